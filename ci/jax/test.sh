#!/usr/bin/env bash
# Runs ports in JAX, in orbax-checkpoint's environment, which has it: ci/jax/test.sh [PORTER].
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=$(ci/venv orbax)
"$venv/bin/python" ci/jax/test.py "${1:-target/debug/porter}" ci/fixtures/tiny/llama ci/fixtures/tiny/qwen3
