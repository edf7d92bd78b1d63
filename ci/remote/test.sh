#!/usr/bin/env bash
# Buckets against servers on 127.0.0.1: an S3 server (moto) and a Google Cloud Storage one, both from PyPI.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=${PORTER_REMOTE_VENV:-target/remote-venv}
if [ ! -x "$venv/bin/moto_server" ] || [ ! -x "$venv/bin/gcp-storage-emulator" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement ci/remote/requirements.txt
fi

logs=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$logs"
}
trap stop EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_for() { # port, log
    for _ in $(seq 100); do
        python3 -c "import socket; socket.create_connection(('127.0.0.1', $1), 1)" 2>/dev/null && return
        sleep 0.2
    done
    cat "$2"
    echo "no server on port $1" >&2
    return 1
}

s3=$(free_port)
"$venv/bin/moto_server" -H 127.0.0.1 -p "$s3" >"$logs/s3" 2>&1 &
pids+=($!)
gcs=$(free_port)
"$venv/bin/gcp-storage-emulator" start --host 127.0.0.1 --port "$gcs" --in-memory >"$logs/gcs" 2>&1 &
pids+=($!)
wait_for "$s3" "$logs/s3"
wait_for "$gcs" "$logs/gcs"

export PORTER_TEST_S3="http://127.0.0.1:$s3" PORTER_TEST_GCS="http://127.0.0.1:$gcs"
cargo nextest run --locked -p porter-remote --features servers "$@"
