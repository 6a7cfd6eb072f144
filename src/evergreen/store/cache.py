"""What was last read of a table, kept as an Arrow file that is mapped into memory, until the table changes.

A file is good as long as its table's token is the same, if the content had settled when it was read: MariaDB
tells the last change in whole seconds, so what was read within the same second may be older than its token
(git treats files so). A file is one version of one table; a later read replaces it, the oldest go first.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from evergreen.store.query import Part
from evergreen.store.state import TableState

_TOKEN = b"evergreen.token"
_KEPT, _DRAFT = ".arrow", ".draft"
_ABANDONED_SECONDS = 6 * 3600.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Cache:
    """Files in `folder`, `megabytes` in all at most. `server` tells one database from another."""

    def __init__(self, folder: Path, megabytes: int, server: str) -> None:
        self.folder = folder
        self.limit = megabytes * 1024 * 1024
        self._server = server
        # Files are not synced to disk, so none may outlive a crash of the machine.
        self._boot = _BOOT.read_text().strip() if _BOOT.exists() else ""

    def find(self, part: Part, state: TableState, at: datetime) -> list[pa.Table] | None:
        """The parts of that table as it was at `at`, if they are kept and the table has not changed since."""
        path = self._path(part)
        if not state.settled(at) or not path.exists():
            return None
        try:
            with pa.memory_map(str(path)) as mapped:
                reader = pa.ipc.open_file(mapped)
                if (reader.schema.metadata or {}).get(_TOKEN) != self._token(state):
                    return None
                batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
            os.utime(path)  # the last used goes last
        except (OSError, pa.ArrowInvalid):
            return None  # gone in this moment
        return [pa.Table.from_batches([batch]).replace_schema_metadata(None) for batch in batches]

    def draft(self, part: Part, state: TableState) -> Draft:
        """A file of that table in the making; `publish` it when the table was not changed meanwhile."""
        return Draft(self, part, state)

    def _path(self, part: Part) -> Path:
        what = repr((self._server, part.table, part.keys, part.columns, part.stored))
        return self.folder / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}{_KEPT}"

    def _token(self, state: TableState) -> bytes:
        return f"1|{self._boot}|{state.token}".encode()

    def _make_room(self) -> None:
        files = []
        for path in self.folder.iterdir():
            try:
                found = path.stat()
            except OSError:
                continue
            if path.suffix == _KEPT:
                files.append((found.st_mtime, found.st_size, path))
            elif path.suffix == _DRAFT and time.time() - found.st_mtime > _ABANDONED_SECONDS:
                path.unlink(missing_ok=True)
        taken = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if taken <= self.limit:
                break
            path.unlink(missing_ok=True)
            taken -= size


class Draft:
    """A file in the making. A full or read-only disk, or too many rows, and there simply will be none."""

    def __init__(self, cache: Cache, part: Part, state: TableState) -> None:
        self._cache, self._part, self.state = cache, part, state
        self._path: Path | None = None
        self._writer: Any = None
        self._size = 0
        self._pool = ThreadPoolExecutor(1)
        self._written: list[Future[None]] = []

    def __enter__(self) -> Draft:
        try:
            self._cache.folder.mkdir(parents=True, exist_ok=True)
            target = self._cache._path(self._part)
            handle, name = tempfile.mkstemp(_DRAFT, f"{target.stem}.", self._cache.folder)
            os.close(handle)
            self._path = Path(name)
            schema = self._part.schema.with_metadata({_TOKEN: self._cache._token(self.state)})
            self._writer = pa.ipc.new_file(name, schema)
        except OSError:
            self.discard()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        try:
            for written in self._written:
                written.result()
            if self._writer is not None:
                self._writer.close()
        except (OSError, pa.ArrowInvalid):
            self.discard()
        if kind is not None:
            self.discard()

    def add(self, rows: pa.Table) -> None:
        """Write one part (a chunk per column) in a thread of its own."""
        self._size += rows.nbytes
        if self._path is not None and self._size <= self._cache.limit:
            self._written.append(self._pool.submit(self._write, rows))

    def publish(self) -> None:
        """Let `find` find it, in place of what was there."""
        if self._path is None or self._size > self._cache.limit:
            self.discard()
            return
        try:
            self._path.replace(self._cache._path(self._part))
            self._path = None
            self._cache._make_room()
        except OSError:
            self.discard()

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def _write(self, rows: pa.Table) -> None:
        for batch in rows.to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)]:
            self._writer.write_batch(batch)


def settle(drafts: Sequence[Draft], now: Mapping[str, TableState]) -> None:
    """Publish those drafts whose table has the same state as before they were read; discard the others."""
    for draft in drafts:
        found = now.get(draft.state.name)
        if found is not None and found.token == draft.state.token:
            draft.publish()
        else:
            draft.discard()
