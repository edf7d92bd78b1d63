#!/usr/bin/env bash
# Buckets against a server on 127.0.0.1: moto, from PyPI, which speaks S3 and what Google Cloud Storage's XML API shares
# with it.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=$(ci/venv remote)

log=$(mktemp)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$venv/bin/moto_server" -H 127.0.0.1 -p "$port" >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$log"' EXIT

for _ in $(seq 150); do
    python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null && break
    kill -0 "$server" 2>/dev/null || { cat "$log"; exit 1; }
    sleep 0.2
done

export PORTER_TEST_S3="http://127.0.0.1:$port"
cargo nextest run --locked -p porter-remote -p porter-import -p porter \
    --features porter-remote/servers,porter-import/servers,porter/servers -E 'not package(porter) or binary(remote)' "$@"
