#!/usr/bin/env bash
# Restores what Porter writes with orbax-checkpoint. The first run installs it with pip, about 150 MB.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=target/orbax-venv
if ! cmp -s ci/orbax/requirements.txt "$venv/installed.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --requirement ci/orbax/requirements.txt
  cp ci/orbax/requirements.txt "$venv/installed.txt"
fi
PORTER_ORBAX_PYTHON="$PWD/$venv/bin/python" \
  cargo test --locked -p porter-zoo --features orbax --test it -- --exact maxtext::orbax::orbax_restores_every_decoder
