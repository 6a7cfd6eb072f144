"""The servers' logs, a file each in `logs/` of the home, of bounded size; logs of tasks, of bounded age."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from evergreen.private import open_private_file

MAX_BYTES = 10 * 1024 * 1024


def build_log_path(home: Path, name: str) -> Path:
    """Where the server of that name writes what it prints."""
    return home / "logs" / f"{name}.log"


def open_log(path: Path) -> int:
    """Open for appending (mode 600, as logs may hold what users send); returns the file descriptor."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    limit_log_size(path)
    # O_APPEND lets `limit_log_size` truncate the file under a server that keeps it open.
    return open_private_file(path, os.O_WRONLY | os.O_APPEND)


def limit_log_size(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Move a log that has grown too large to `<name>.log.1` and empty it; its writer may go on writing."""
    if path.exists() and path.stat().st_size > max_bytes:
        former = open_private_file(Path(f"{path}.1"), os.O_WRONLY | os.O_TRUNC)
        with path.open("rb") as log, os.fdopen(former, "wb") as old:
            shutil.copyfileobj(log, old)
        os.truncate(path, 0)


def delete_old_logs(folder: Path, oldest: float) -> int:
    """Delete the files below `folder` that were last written before `oldest` (seconds since 1970), and the
    folders that are then empty; how many files. A file that is being written is never that old."""
    count = 0
    emptied: set[Path] = set()
    for name, _, files in os.walk(folder, topdown=False):
        parent = Path(name)
        for path in (parent / file for file in files):
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime < oldest:
                    path.unlink()
                    emptied.add(parent)
                    count += 1
        # A folder that a task has just made is empty for a moment, too.
        if parent in emptied and parent != folder:
            with contextlib.suppress(OSError):
                parent.rmdir()
                emptied.add(parent.parent)
    return count


def read_log_tail(path: Path, lines: int = 15, max_bytes: int = 16_384) -> str:
    """The last lines of a log, or an empty text when there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - max_bytes))
        text = file.read().decode(errors="replace")
    return "\n".join(line[:400] for line in text.splitlines()[-lines:])
