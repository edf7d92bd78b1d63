#!/usr/bin/env python3
"""Convert a large synthetic checkpoint: memory, and kill -9 at random moments.

    test.py PORTER --gigabytes 12 --memory 512MiB --peak-mib 768 --kills 20 [--args="--dtype f32"]

Fails unless the peak resident size of an undisturbed run stays below the limit, and a run that was killed
again and again ends in the same bytes. Figures go to stdout. Needs about three times the size on disk,
in --folder (default: a temporary one).
"""

import argparse
import hashlib
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent


def digest(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("porter-convert"):
            hash_ = hashlib.sha256()
            with open(path, "rb") as file:
                while data := file.read(1 << 22):
                    hash_.update(data)
            found[str(path.relative_to(folder))] = hash_.hexdigest()
    return found


def peak_mib(command):
    """Runs a command and returns its seconds and its peak resident size (what /usr/bin/time -v prints)."""
    start = time.monotonic()
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=nowhere)
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"{shlex.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - start, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("porter")
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--memory", default="512MiB")
    parser.add_argument("--peak-mib", type=float, default=768)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--args", default="--dtype f32", help="more arguments of porter convert")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        run(options, Path(folder))


def run(options, folder):
    source, whole, killed = folder / "source", folder / "whole", folder / "killed"
    generator = HERE.parent / "bench" / "synthetic_checkpoint.py"
    subprocess.run([sys.executable, generator, source, "--gigabytes", str(options.gigabytes)], check=True)
    command = [options.porter, "convert", str(source), "--quiet", "--memory", options.memory]
    command += ["--max-shard-size", "300MB", *shlex.split(options.args), "-o"]
    seconds, peak = peak_mib([*command, str(whole)])
    print(f"{options.gigabytes} GB: {seconds:.1f} s, peak {peak:.0f} MiB with --memory {options.memory}")
    if peak > options.peak_mib:
        sys.exit(f"the peak of {peak:.0f} MiB is over {options.peak_mib} MiB")
    expected = digest(whole)
    shutil.rmtree(whole)
    rng = random.Random(options.seed)
    kills = finished = 0
    while kills < options.kills:
        process = subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, max(4.0, 4 * seconds / options.kills)))
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            kills += 1
            continue
        finished += 1
        if digest(killed) != expected:
            sys.exit(f"the conversion that was killed {kills} times differs")
        shutil.rmtree(killed)
    print(f"killed {kills} runs; {finished} times it was finished in between, in the same bytes")
    subprocess.run([*command, str(killed)], check=True, stdout=subprocess.DEVNULL)
    found = digest(killed)
    if found != expected:
        differ = sorted(set(found.items()) ^ set(expected.items()))
        sys.exit(f"the killed conversion differs: {differ}")
    print("the killed conversion ends in the same bytes")


if __name__ == "__main__":
    main()
