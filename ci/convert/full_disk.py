#!/usr/bin/env python3
"""Convert onto a file system that fills up while it is written, then give it room again.

    full_disk.py PORTER

Fails unless the conversion stops with exit code 5 and says what to do, leaves nothing that looks whole, and the
same command ends in the same bytes once there is room. The file system is a tmpfs in a mount namespace of
its own; where the system does not let one be made, says so and does nothing.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
INSIDE = "PORTER_FULL_DISK_INSIDE"
GIGABYTES = 0.6
ROOM = int(GIGABYTES * 1.3e9)


def main():
    if INSIDE in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            run(sys.argv[1], Path(folder))
        return
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*namespace, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], stderr=subprocess.DEVNULL).returncode:
        print("full disk: not run, this system makes no mount namespaces")
        return
    command = [*namespace, sys.executable, __file__, *sys.argv[1:]]
    sys.exit(subprocess.run(command, env={**os.environ, INSIDE: "1"}).returncode)


def run(porter, folder):
    source, whole, disk = folder / "source", folder / "whole", folder / "disk"
    generator = HERE.parent / "bench" / "synthetic_checkpoint.py"
    subprocess.run([sys.executable, generator, source, "--gigabytes", str(GIGABYTES)], check=True)
    command = [porter, "convert", source, "--quiet", "--memory", "256MiB", "-o"]
    subprocess.run([*command, whole], check=True, stdout=subprocess.DEVNULL)
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", disk], check=True)
    out, ballast = disk / "out", disk / "ballast"
    try:
        check(command, out, ballast, whole)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def check(command, out, ballast, whole):
    process = subprocess.Popen([*command, out], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("*.porter-part")):
        time.sleep(0.001)
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, int(ROOM - GIGABYTES * 0.5e9))
    errors = process.communicate()[1]
    left = sorted(path.name for path in out.rglob("*.safetensors"))
    if process.returncode != 5 or "free some room" not in errors or left:
        sys.exit(f"full disk: exit {process.returncode}, {left} left, said {errors!r}")
    again = subprocess.run([*command, out], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if again.returncode != 5 or "bytes free" not in again.stderr:
        sys.exit(f"full disk, again: exit {again.returncode}, said {again.stderr!r}")
    ballast.unlink()
    subprocess.run([*command, out], check=True, stdout=subprocess.DEVNULL)
    if subprocess.run(["cmp", out / "model.safetensors", whole / "model.safetensors"]).returncode:
        sys.exit("full disk: what was finished with room differs")
    print("full disk: exit 5 in the middle and before the next start, the same bytes once there was room")


if __name__ == "__main__":
    main()
