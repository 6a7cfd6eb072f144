"""An external sort: clean rows come in as their source gives them, and go out in the tables' key order.

InnoDB takes rows in the order of the primary key at twice the speed of any other order, and rows of one
identity (the keys and the event time) come to lie side by side, wherever in the source they stood. Memory
stays bounded for any number of rows: sorted runs go to disk and are merged from there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.errors import StoreError
from evergreen.validation import report

if TYPE_CHECKING:
    import pyarrow as pa

# A run is sorted in memory, which takes its size twice.
RUN_BYTES = 32 * 1024 * 1024
# What a merge holds of all its runs together, and about what one of its tables takes.
MERGE_BYTES = 24 * 1024 * 1024
# Runs merged at once: each keeps a file open.
MOST_RUNS = 200
_BATCH_BYTES = 256 * 1024
_EXAMPLES = 10

Identity = tuple[tuple[bool, Any], ...]


@contextmanager
def no_room(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into a StoreError that says where."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"rows cannot be kept in the temporary folder {folder}: {error.strerror or error}",
            hint="make room there, or name another folder by the environment variable TMPDIR: an ingest needs"
            " about what its source has uncompressed",
        ) from error


class Spool:
    """Rows of one part of one ingest, under `folder` (an empty one of the spool's own).

    `identity`: the key columns and the event time, in the order of the table's primary key. After a complete
    pass over `merged`, `repeated` counts the rows left out because they repeat another one exactly, and
    `differing` those that share their identity with another, different row.
    """

    def __init__(self, folder: Path, identity: Sequence[str]) -> None:
        self.folder = folder
        self.identity = tuple(identity)
        self.rows = 0
        self.repeated = 0
        self.differing = 0
        self._examples: list[str] = []
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0
        self._runs: list[Path] = []
        self._made = 0

    def add(self, table: pa.Table) -> None:
        """Take rows of any order; all tables have one schema."""
        if not table.num_rows:
            return
        self.rows += table.num_rows
        self._waiting.append(table)
        self._waiting_bytes += table.nbytes
        if self._waiting_bytes >= RUN_BYTES:
            self._flush()

    def merged(self) -> Iterator[pa.Table]:
        """All rows in ascending order of their identity, one row per identity, in tables of bounded size.

        May be taken again; each pass counts anew.
        """
        self.repeated = self.differing = 0
        self._examples = []
        if not self._runs:
            # Few rows never see the disk.
            pieces = iter([self._sorted()] if self._waiting else [])
        else:
            self._flush()
            while len(self._runs) > MOST_RUNS:
                first, self._runs = self._runs[:MOST_RUNS], self._runs[MOST_RUNS:]
                self._runs.append(self._write(_merge(first, self.identity)))
                for path in first:
                    path.unlink()
            pieces = _merge(self._runs, self.identity)
        yield from self._distinct(pieces)

    def failures(self) -> list[report.Failure]:
        """What the last pass found: repetitions (a warning) and duplicate keys (an error)."""
        found = []
        if self.repeated:
            found.append(report.duplicates(self.identity, self.repeated, differing=False))
        if self.differing:
            found.append(report.duplicates(self.identity, self.differing, self._examples, differing=True))
        return found

    def _sorted(self) -> pa.Table:
        import pyarrow as pa

        return _sort(pa.concat_tables(self._waiting), self.identity)

    def _flush(self) -> None:
        """The rows that wait become a run on disk."""
        if self._waiting:
            table = self._sorted()
            self._waiting, self._waiting_bytes = [], 0
            self._runs.append(self._write(iter([table])))

    def _write(self, tables: Iterator[pa.Table]) -> Path:
        import pyarrow as pa

        path = self.folder / f"{self._made}.run"
        self._made += 1
        first = next(tables)
        rows = max(1, min(8192, _BATCH_BYTES * first.num_rows // max(first.nbytes, 1)))
        with (
            no_room(self.folder),
            pa.OSFile(str(path), "wb") as sink,
            pa.ipc.new_file(sink, first.schema) as writer,
        ):
            writer.write_table(first, max_chunksize=rows)
            for table in tables:
                writer.write_table(table, max_chunksize=rows)
        return path

    def _distinct(self, pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """One row per identity, the last; `pieces` are sorted, and an identity may span several of them."""
        import pyarrow as pa

        # The last row of a piece waits for the next one, which may go on with its identity.
        carried: pa.Table | None = None
        counted = False
        for piece in pieces:
            table = piece if carried is None else pa.concat_tables([carried, piece]).combine_chunks()
            keep, counted = self._judge(table, counted)
            carried = table.take([table.num_rows - 1])
            ready = table.slice(0, table.num_rows - 1)
            if keep is not None:
                ready = ready.filter(keep)
            if ready.num_rows:
                yield ready
        if carried is not None:
            yield carried

    def _judge(self, table: pa.Table, counted: bool) -> tuple[pa.Array | None, bool]:
        """Which rows but the last are the last of their identity (None: all), and whether the last row's
        identity is already counted as one whose rows differ. `counted`: whether the first row's is."""
        import pyarrow as pa

        here, after = table.slice(0, table.num_rows - 1), table.slice(1)
        same = all_equal(here, after, self.identity, null_is_equal=False)
        if not same.any():
            return None, counted and table.num_rows == 1
        others = [name for name in table.column_names if name not in self.identity]
        whole = same & all_equal(here, after, others, null_is_equal=True)
        self.repeated += int(whole.sum())
        differs = same & ~whole
        # The number of each row's group of one identity.
        group = (~same).cumsum()
        groups = group[differs]
        new = len(set(groups.tolist()) - ({0} if counted and same[0] else set()))
        self.differing += int(differs.sum()) + new
        room = _EXAMPLES - len(self._examples)
        for position in differs.nonzero()[0][: 4 * room]:
            shown = " ".join(str(table[name][int(position)].as_py()) for name in self.identity)
            if shown not in self._examples and len(self._examples) < _EXAMPLES:
                self._examples.append(shown)
        return pa.array(~same), bool(group[-1] in groups or (counted and group[-1] == 0))


def _merge(paths: Sequence[Path], identity: Sequence[str]) -> Iterator[pa.Table]:
    """The runs as one, sorted.

    Each round takes from every run what is not greater than the least of the last rows in memory: nothing
    that is still on disk can be less.
    """
    import pyarrow as pa

    runs = [_Run(path, identity, max(1, MERGE_BYTES // len(paths))) for path in paths]
    try:
        while runs := [run for run in runs if run.fill()]:
            more = [run.last() for run in runs if run.more]
            limit = min(more) if more else None
            pieces = [piece for run in runs if (piece := run.take(limit)).num_rows]
            yield _sort(pa.concat_tables(pieces), identity) if len(pieces) > 1 else pieces[0]
    finally:
        for run in runs:
            run.close()


class _Run:
    """A sorted file, read some batches at a time."""

    def __init__(self, path: Path, identity: Sequence[str], size: int) -> None:
        import pyarrow as pa

        # Not memory-mapped: pages of a map count as the process's memory.
        self._file = pa.OSFile(str(path), "rb")
        self._reader = pa.ipc.open_file(self._file)
        self._identity = identity
        self._size = size
        self._next = 0
        self._table: pa.Table = self._reader.schema.empty_table()

    @property
    def more(self) -> bool:
        return bool(self._next < self._reader.num_record_batches)

    def fill(self) -> bool:
        """Read on when nothing is left in memory; whether there are rows."""
        import pyarrow as pa

        if not self._table.num_rows and self.more:
            batches, size = [], 0
            while self.more and size < self._size:
                batches.append(self._reader.get_batch(self._next))
                size += batches[-1].nbytes
                self._next += 1
            self._table = pa.Table.from_batches(batches).combine_chunks()
        if not self._table.num_rows:
            self.close()
        return bool(self._table.num_rows)

    def last(self) -> Identity:
        return self._at(self._table.num_rows - 1)

    def take(self, limit: Identity | None) -> pa.Table:
        """The rows up to `limit`, which leave this run; all of them without one."""
        rows = self._table.num_rows
        count = rows if limit is None else bisect_right(range(rows), limit, key=self._at)
        taken, self._table = self._table.slice(0, count), self._table.slice(count)
        return taken

    def close(self) -> None:
        self._file.close()

    def _at(self, position: int) -> Identity:
        return tuple(_comparable(self._table[name][position]) for name in self._identity)


def _comparable(value: pa.Scalar) -> tuple[bool, Any]:
    """A key's value in an order that Python knows; missing ones come last, as Arrow sorts them."""
    if not value.is_valid:
        return True, 0
    # A time as microseconds: quicker to make than a datetime.
    return False, value.value if hasattr(value, "value") else value.as_py()


def _sort(table: pa.Table, identity: Sequence[str]) -> pa.Table:
    import pyarrow.compute as pc

    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in identity])
    return table.take(order).combine_chunks()


def all_equal(left: pa.Table, right: pa.Table, names: Sequence[str], *, null_is_equal: bool) -> Any:
    """By row, as a NumPy array: whether all those columns are equal."""
    import numpy as np
    import pyarrow.compute as pc

    equal = np.ones(left.num_rows, dtype=bool)
    for name in names:
        one, other = left[name], right[name]
        found = pc.fill_null(pc.equal(one, other), False).to_numpy()
        if null_is_equal and one.null_count and other.null_count:
            found = found | (pc.is_null(one).to_numpy() & pc.is_null(other).to_numpy())
        equal &= found
    return equal
