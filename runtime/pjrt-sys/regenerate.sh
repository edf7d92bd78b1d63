#!/bin/sh
# Writes src/bindings.rs from pjrt_c_api.h of API 0.81, which the Python package xla-cpu-pjrt 0.0.1
# ships (Apache-2.0). Needs pip, libclang, and bindgen-cli 0.72.1 (cargo install bindgen-cli).
set -eu
cd "$(dirname "$0")"
headers=$(mktemp -d)
trap 'rm -rf "$headers"' EXIT
python3 -m pip install --quiet --no-deps --target "$headers" xla-cpu-pjrt==0.0.1
header=$(find "$headers" -name pjrt_c_api.h)
bindgen "$header" --allowlist-item 'PJRT_.*' --no-prepend-enum-name --with-derive-default \
    --no-derive-debug --no-doc-comments --output src/bindings.rs
