"""A small disk of one's own: a file system in memory, which only a command and its descendants see.

python -m benchmarks.chaos.small_disk FOLDER MEGABYTES PROGRAM [ARGUMENT ...]

It runs the program in a mount namespace of its own, where a tmpfs of that size lies on FOLDER; it is gone
with the last of these processes. As root nothing else is needed; other users get a user namespace for it, in
which they are themselves, where the system allows that. Linux only.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000  # CLONE_NEWNS, CLONE_NEWUSER
_RECURSIVE, _PRIVATE = 0x4000, 1 << 18  # MS_REC, MS_PRIVATE
_NO_DISK = 125


def build_prefix(folder: Path, megabytes: int) -> tuple[str, ...]:
    """Words of Python before a program and its arguments."""
    return ("-m", "benchmarks.chaos.small_disk", str(folder), str(megabytes))


def find_obstacle() -> str:
    """Why there can be no small disk here; "" when there can."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, *build_prefix(Path(folder), 1), sys.executable, "-c", "pass"],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    return "" if done.returncode == 0 else done.stderr.strip()[-300:]


def make_disk(folder: str, megabytes: int) -> None:
    """Mount it in a new namespace of this process. Raises OSError."""
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: object) -> None:
        if getattr(libc, name)(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")

    try:
        call("unshare", _NEW_MOUNTS)
    except PermissionError:
        call("unshare", _NEW_MOUNTS | _NEW_USERS)
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    # Nobody outside of the namespace shall see the mount.
    call("mount", None, b"/", None, ctypes.c_ulong(_RECURSIVE | _PRIVATE), None)
    options = f"size={megabytes}m,mode=700,uid={user},gid={group}".encode()
    call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), options)


def main() -> int:
    folder, megabytes, program, *arguments = sys.argv[1:]
    try:
        make_disk(folder, int(megabytes))
    except OSError as error:
        sys.stderr.write(f"no file system of its own can be mounted here: {error.strerror or error}\n")
        return _NO_DISK
    os.execvp(program, [program, *arguments])


if __name__ == "__main__":
    sys.exit(main())
