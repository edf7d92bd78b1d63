#!/usr/bin/env bash
# Runs the action's shell steps as a runner would, on fixtures and a porter binary that is already built:
# PORTER, or target/release/porter, or target/debug/porter. Needs Python 3 with PyYAML, or pip.
set -euo pipefail
cd "$(dirname "$0")/../.."

for candidate in "${PORTER:-}" target/release/porter target/debug/porter; do
  if [ -n "$candidate" ] && [ -x "$candidate" ]; then
    PORTER=$(realpath "$candidate")
    break
  fi
done
[ -x "${PORTER:-}" ] || { echo "no porter binary: cargo build -p porter" >&2; exit 2; }
export PORTER

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if ! python3 -c 'import yaml' 2> /dev/null; then
  python3 -m pip install -q --target "$scratch/python" PyYAML
  export PYTHONPATH="$scratch/python"
fi
exec python3 ci/action/test.py "$scratch"
