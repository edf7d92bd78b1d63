#!/usr/bin/env bash
# ONNX's own backend suite (onnx 1.22.0, the last release that ships its data) through import, then on
# the CPU plugin as StableHLO and on the reference executor, against ci/onnx/expectations.txt. Arguments go to the harness: --filter TEXT, --bless,
# --table docs/onnx.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache="${PORTER_ONNX_SUITE:-${XDG_CACHE_HOME:-$HOME/.cache}/porter/onnx-suite-1.22.0}"
if [ ! -d "$cache/onnx/backend/test/data" ]; then
    mkdir -p "$cache"
    python3 -m pip download --quiet --no-deps --require-hashes --only-binary=:all: \
        --python-version 3.11 --platform manylinux_2_27_x86_64 --platform manylinux_2_28_x86_64 \
        --dest "$cache" --requirement ci/onnx/requirements.txt
    python3 -m zipfile -e "$cache"/onnx-1.22.0-*.whl "$cache"
fi
# Of the whole workspace: its features are those that the tests were built with.
cargo build --quiet --workspace --example suite --locked
exec target/debug/examples/suite run "$cache/onnx/backend/test/data" --expect ci/onnx/expectations.txt "$@"
