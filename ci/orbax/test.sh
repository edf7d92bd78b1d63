#!/usr/bin/env bash
# Restores what Porter writes with orbax-checkpoint. The first run installs it with pip, about 150 MB.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=$(ci/venv orbax)
PORTER_ORBAX_PYTHON="$venv/bin/python" \
  cargo test --locked -p porter-zoo --features orbax --test it -- --exact maxtext::orbax::orbax_restores_every_decoder
