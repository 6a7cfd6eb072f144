"""MariaDB's databases as one compressed SQL script, with the history of system-versioned tables, and back.

It is `mariadb-dump --dump-history` and not `mariadb-backup`: a script goes into later versions of the server
too, and needs neither the server's data folder nor its machine. Both read one snapshot without locking.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from evergreen.errors import BackupError, ChildFailed
from evergreen.private import open_private_file
from evergreen.stack.backup.manifest import BackupFile, Progress, compute_file_digest
from evergreen.stack.processes import warden
from evergreen.stack.servers.mariadb import find_program

DUMP_FILE = "mariadb.sql.gz"
DUMP_PROGRAM = "mariadb-dump"
DUMP_PACKAGE = "mariadb-client"
_OPTIONS = (
    "--single-transaction",
    "--dump-history",
    "--quick",
    "--hex-blob",
    # The ledger's trigger would number and date restored lines anew. The server makes it at its next start.
    "--skip-triggers",
    "--no-tablespaces",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
    "--verbose",
)
_TABLE_LINE = "-- Retrieving table structure for table "
# mariadb-dump prints the first of them after its transaction, and with it the snapshot, has begun.
_SNAPSHOT_LINES = ("-- Setting savepoint", _TABLE_LINE)
_LAST_LINE = b"-- Dump completed"
_CHANGED_TABLE = "(1412)"  # ER_TABLE_DEF_CHANGED
_CHUNK_BYTES = 1024 * 1024
_PROGRESS_SECONDS = 1.0

# The end of time of current rows, as scripts name it (UTC). Versions from 11.5 on have the later one; a row
# that ends at the other version's would be history.
_FIRST_LATE_VERSION = (11, 5)
_EARLY_END = b"'2038-01-19 03:14:07.999999'"
_LATE_END = b"'2106-02-07 06:28:15.999999'"


class TableChanged(ChildFailed):
    """A table was altered after the snapshot and before it was read; the dump is to be begun again."""


def read_dump_version() -> str:
    """What `mariadb-dump --version` says of itself. Raises MissingProgram."""
    program = find_program(DUMP_PROGRAM, DUMP_PACKAGE)
    result = subprocess.run(
        [program, "--version"], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    return result.stdout.partition("Distrib")[2].partition(",")[0].strip() or result.stdout.strip()


def dump_databases(
    client_options: Sequence[str],
    databases: Sequence[str],
    folder: Path,
    progress: Progress,
    on_snapshot: Callable[[], None],
) -> BackupFile:
    """Write the databases, all as of one moment, into `DUMP_FILE` of `folder`.

    `on_snapshot` is called when that moment is fixed, while the script is still being written. Raises
    TableChanged, having removed the script, ChildFailed, MissingProgram, OSError and what `on_snapshot`
    raises.
    """
    program = find_program(DUMP_PROGRAM, DUMP_PACKAGE)
    command = [str(program), *client_options, *_OPTIONS, "--databases", *databases]
    try:
        return _write_script(command, folder / DUMP_FILE, progress, on_snapshot)
    except TableChanged:
        (folder / DUMP_FILE).unlink()
        raise


def load_script(
    client_options: Sequence[str],
    script: Path,
    progress: Progress,
    *,
    source_version: str,
    target_version: str,
) -> None:
    """Run the compressed script on a server. The versions are those of the servers that it comes from and
    goes to. Raises ChildFailed with what MariaDB says, OSError."""
    size = script.stat().st_size
    command = [str(find_program("mariadb")), *client_options, "--max-allowed-packet=1G", "--batch"]
    with _start(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        errors = _ErrorLines(process, lambda _: None)
        told_at = time.monotonic()
        with contextlib.suppress(BrokenPipeError), script.open("rb") as compressed:
            with gzip.open(compressed) as lines:
                for line in convert_row_ends(lines, source_version, target_version):
                    process.stdin.write(line)
                    if time.monotonic() - told_at >= _PROGRESS_SECONDS:
                        told_at = time.monotonic()
                        progress(f"loading MariaDB's tables: {100 * compressed.tell() // max(1, size)} %")
            process.stdin.close()
        code = process.wait()
        text = errors.join_lines()
    if code != 0:
        raise ChildFailed(f"MariaDB refused a part of {script}: {text[-600:]}")


def convert_row_ends(lines: Iterable[bytes], source_version: str, target_version: str) -> Iterator[bytes]:
    """The lines of a script with the end of time of the target's version. Equal versions change nothing."""
    source_end, target_end = (
        _LATE_END if parse_version(version) >= _FIRST_LATE_VERSION else _EARLY_END
        for version in (source_version, target_version)
    )
    if source_end == target_end:
        yield from lines
        return
    for line in lines:
        yield line.replace(source_end, target_end)


def parse_version(version: str) -> tuple[int, int]:
    """Major and minor number of a version such as "10.11.19-MariaDB". Raises BackupError for another text."""
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    if not (major.isdigit() and minor.isdigit()):
        raise BackupError(f"{version!r} is no version of MariaDB")
    return int(major), int(minor)


def _write_script(
    command: Sequence[str], target: Path, progress: Progress, on_snapshot: Callable[[], None]
) -> BackupFile:
    may_read = threading.Event()  # the snapshot was taken, or the program has ended
    has_snapshot = False
    told_at = 0.0

    def observe(line: str) -> None:
        """Follow what mariadb-dump says that it does."""
        nonlocal told_at, has_snapshot
        if line.startswith(_SNAPSHOT_LINES):
            has_snapshot = True
            may_read.set()
        if line.startswith(_TABLE_LINE) and time.monotonic() - told_at >= _PROGRESS_SECONDS:
            told_at = time.monotonic()
            progress(f"dumping MariaDB: table {line.removeprefix(_TABLE_LINE).removesuffix('...')}")

    with _start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        errors = _ErrorLines(process, observe, at_end=may_read.set)
        # Nothing is read before: what the program prints until then fits into the pipe.
        may_read.wait()
        if has_snapshot:
            on_snapshot()
        last_bytes = _compress(process.stdout, target)
        code = process.wait()
        text = errors.join_lines()
    if code != 0 or _LAST_LINE not in last_bytes:
        if _CHANGED_TABLE in text:
            raise TableChanged(
                f"a table was altered while it was dumped: {text}",
                hint="take the backup again when no upkeep or migration is under way",
            )
        raise ChildFailed(f"{DUMP_PROGRAM} failed: {text[-600:] or f'exit code {code}'}")
    return BackupFile(target.name, target.stat().st_size, compute_file_digest(target))


def _compress(reader: IO[bytes], target: Path) -> bytes:
    """Write all that `reader` gives into a compressed file; the last bytes of it, uncompressed."""
    last_bytes = b""
    handle = open_private_file(target, os.O_WRONLY | os.O_EXCL)
    with (
        os.fdopen(handle, "wb") as raw,
        # A script shrinks to a fifth; the greater levels take thrice the time for a tenth more.
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=1, mtime=0) as writer,
    ):
        while chunk := reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            last_bytes = (last_bytes + chunk)[-200:]
    return last_bytes


@contextlib.contextmanager
def _start(command: Sequence[str], *, stdin: int, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with this one, however that ends, and with the block when that fails."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", warden.__file__, "launch", str(os.getpid()), "--", *command],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class _ErrorLines:
    """Reads what a process writes to standard error, in a thread, so that the process never waits for it."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        observe: Callable[[str], None],
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        assert process.stderr is not None
        self._stream = process.stderr
        self._observe = observe
        self._at_end = at_end
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def join_lines(self) -> str:
        """What it wrote and is no report of progress, when it has ended."""
        self._thread.join()
        return "\n".join(self._lines)

    def _read(self) -> None:
        try:
            with self._stream:
                for raw in self._stream:
                    line = raw.decode(errors="replace").strip()
                    self._observe(line)
                    if line and not line.startswith("-- "):
                        self._lines.append(line)
        finally:
            self._at_end()
