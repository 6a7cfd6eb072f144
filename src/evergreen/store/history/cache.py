"""A cache of tables that were read: Arrow files, mapped into memory, that are valid until the table changes.

A file carries its table's token (`table_state.TableState.token`) and is valid while the token is the same.
Only settled content is cached: MariaDB gives the moment of the last change in whole seconds, so rows read
within that second may be older than the token. A file holds one version of one table; a later read replaces
it. Files used longest ago are deleted first.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from evergreen.private import DRAFT_SUFFIX, create_draft, make_private_folder
from evergreen.store.history.query import TableSelection
from evergreen.store.tables.table_state import TableState

_TOKEN = b"evergreen.token"
_FORMAT = 1  # of the files: raised when their content means something else, so that older ones are ignored
_KEPT = ".arrow"
_DRAFTS = (DRAFT_SUFFIX, ".draft")  # the second one is of earlier versions
_ABANDONED_SECONDS = 6 * 3600.0
_PARTS_AHEAD = 8
_BOOT = Path("/proc/sys/kernel/random/boot_id")

_unfinished: dict[Path, tuple[int, Future[None]]] = {}


class Cache:
    """Files in `folder`, `megabytes` in all at most. `server` is the address of the database."""

    def __init__(self, folder: Path, megabytes: int, server: str) -> None:
        self.folder = folder
        self.limit = megabytes * 1024 * 1024
        self._server = server
        # Files are not synced to disk, so none may outlive a crash of the machine.
        self._boot = _BOOT.read_text(encoding="utf-8").strip() if _BOOT.exists() else ""

    def find(self, part: TableSelection, state: TableState, at: datetime) -> list[pa.Table] | None:
        """The parts of that table as it was at `at`; None where no valid file has them."""
        path = self._path(part)
        if not state.settled(at):
            return None
        wait_for_files(path)
        try:
            with pa.memory_map(str(path)) as mapped:
                reader = pa.ipc.open_file(mapped)
                if (reader.schema.metadata or {}).get(_TOKEN) != self._token(state):
                    return None
                batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
            os.utime(path)  # the files used longest ago are deleted first
        except (OSError, pa.ArrowInvalid):
            return None  # deleted in this moment
        return [pa.Table.from_batches([batch]).replace_schema_metadata(None) for batch in batches]

    def draft(self, part: TableSelection, state: TableState) -> Draft:
        """A new file for that table, which the caller must finish; see `finish_drafts`."""
        return Draft(self, part, state)

    def _path(self, part: TableSelection) -> Path:
        what = repr((self._server, part.table, part.keys, part.columns, part.stored))
        return self.folder / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}{_KEPT}"

    def _token(self, state: TableState) -> bytes:
        return f"{_FORMAT}|{self._boot}|{state.token}".encode()

    def _make_room(self) -> None:
        files = []
        for path in self.folder.iterdir():
            try:
                stat = path.stat()
            except OSError:
                continue
            if path.suffix == _KEPT:
                files.append((stat.st_mtime, stat.st_size, path))
            elif path.suffix in _DRAFTS and time.time() - stat.st_mtime > _ABANDONED_SECONDS:
                path.unlink(missing_ok=True)
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.limit:
                break
            path.unlink(missing_ok=True)
            total -= size


class Draft:
    """A file that is being written. On a full or read-only disk, or with too many rows, it is given up.

    A thread of its own writes it, so that the reader of the rows does not wait for the disk.
    """

    def __init__(self, cache: Cache, part: TableSelection, state: TableState) -> None:
        self._cache, self._part, self.state = cache, part, state
        self._path: Path | None = None
        self._writer: Any = None
        self._size = 0
        self._queue: deque[Future[None]] = deque()
        self._thread = ThreadPoolExecutor(1, "evergreen-cache")
        self._thread.submit(self._open)

    def add(self, rows: pa.Table) -> None:
        """Write one part (a chunk per column); waits only when the disk is far behind."""
        self._queue.append(self._thread.submit(self._write, rows))
        if len(self._queue) > _PARTS_AHEAD:
            self._queue.popleft().result()

    def finish(self, publish: bool) -> None:
        """Publish the file to `Cache.find`, in place of an earlier one, or delete it."""
        target = self._cache._path(self._part)
        _unfinished[target] = (os.getpid(), self._thread.submit(self._close, target, publish))
        self._thread.shutdown(wait=False)

    def _open(self) -> None:
        try:
            make_private_folder(self._cache.folder)
            self._path = create_draft(self._cache._path(self._part))
            schema = self._part.schema.with_metadata({_TOKEN: self._cache._token(self.state)})
            self._writer = pa.ipc.new_file(str(self._path), schema)
        except OSError:
            self._discard()

    def _write(self, rows: pa.Table) -> None:
        self._size += rows.nbytes
        if self._path is None:
            return
        if self._size > self._cache.limit:
            self._discard()
            return
        try:
            for batch in rows.to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)]:
                self._writer.write_batch(batch)
        except (OSError, pa.ArrowInvalid):
            self._discard()

    def _close(self, target: Path, publish: bool) -> None:
        try:
            if publish and self._path is not None:
                self._writer.close()
                self._path.replace(target)
                self._path = None
                self._cache._make_room()
        except (OSError, pa.ArrowInvalid):
            pass  # a full disk, or a folder that is being deleted: there will be none
        finally:
            self._discard()
            _unfinished.pop(target, None)

    def _discard(self) -> None:
        self._writer = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None


def finish_drafts(drafts: Sequence[Draft], now: Mapping[str, TableState]) -> None:
    """Finish the drafts; publish those whose table has the same state as before they were read."""
    for draft in drafts:
        state = now.get(draft.state.name)
        draft.finish(state is not None and state.token == draft.state.token)


def wait_for_files(path: Path | None = None) -> None:
    """Wait until this process has finished its file at that path, or all of its files."""
    for unfinished, (process, future) in list(_unfinished.items()):
        # A fork has its parent's list, but not the threads that work on it.
        if process == os.getpid() and path in (None, unfinished):
            future.result()
