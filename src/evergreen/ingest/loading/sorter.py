"""An external sort: clean rows come in as their source gives them, and go out in the tables' key order.

InnoDB takes rows in the order of the primary key faster than in any other, and rows of one identity (the
keys and the event time) come to lie side by side, wherever in the source they stood. Memory stays bounded for
any number of rows: sorted runs go to disk and are merged from there.

Where a part reads several inputs, such as the files of a glob, a row of a later one takes the place of an
earlier one's with the same identity, as if they had been loaded one after the other. Within one input nobody
knows which of two such rows is true.
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
MAX_MERGED_RUNS = 200
_BATCH_BYTES = 256 * 1024
_EXAMPLES = 10
# The ordinal of a row's input, where there are several; no declared name has such a character.
_SOURCE = "#input"

SortKey = tuple[tuple[bool, Any], ...]


@contextmanager
def translate_disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into a StoreError that says where."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"rows cannot be kept in the temporary folder {folder}: {error.strerror or error}",
            hint="make room there, or name another folder by the environment variable TMPDIR: an ingest needs"
            " about what its source has uncompressed",
        ) from error


class RowSorter:
    """Rows of one part of one ingest, under `folder` (an empty one of the spool's own).

    `identity`: the key columns and the event time, in the order of the table's primary key. After a complete
    pass over `merged`, `repeated` counts the rows left out because they repeat another one exactly,
    `corrected` those left out because a later input gives their identity with other values, and `differing`
    those that share their identity with another, different row of the same input.
    """

    def __init__(self, folder: Path, identity: Sequence[str]) -> None:
        self.folder = folder
        self.identity = tuple(identity)
        self.rows = 0
        self.repeated = 0
        self.corrected = 0
        self.differing = 0
        # What the runs are sorted by.
        self._order = self.identity
        self._examples: dict[str, list[str]] = {"corrected": [], "differing": []}
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0
        self._runs: list[Path] = []
        self._made = 0

    @property
    def left_out(self) -> int:
        """How many rows the last pass did not give, because others stand for them."""
        return self.repeated + self.corrected

    def add(self, table: pa.Table, source: int | None = None) -> None:
        """Take rows of any order; all tables have one schema. `source`: the ordinal of their input, for all
        tables or, where there is but one input, for none."""
        import pyarrow as pa

        if not table.num_rows:
            return
        if source is not None:
            self._order = (*self.identity, _SOURCE)
            ordinals = pa.repeat(pa.scalar(source, pa.int32()), table.num_rows)
            table = table.append_column(_SOURCE, ordinals)
        self.rows += table.num_rows
        self._waiting.append(table)
        self._waiting_bytes += table.nbytes
        if self._waiting_bytes >= RUN_BYTES:
            self._flush()

    def merged(self) -> Iterator[pa.Table]:
        """All rows in ascending order of their identity, one row per identity (of the last input that has
        it), in tables of bounded size.

        May be taken again; each pass counts anew.
        """
        self.repeated = self.corrected = self.differing = 0
        self._examples = {"corrected": [], "differing": []}
        if not self._runs:
            # Few rows never see the disk.
            pieces = iter([self._sorted()] if self._waiting else [])
        else:
            self._flush()
            while len(self._runs) > MAX_MERGED_RUNS:
                first, self._runs = self._runs[:MAX_MERGED_RUNS], self._runs[MAX_MERGED_RUNS:]
                self._runs.append(self._write(_merge_runs(first, self._order)))
                for path in first:
                    path.unlink()
            pieces = _merge_runs(self._runs, self._order)
        for piece in self._distinct(pieces):
            yield piece if self._order == self.identity else piece.drop_columns(_SOURCE)

    def failures(self) -> list[report.Failure]:
        """What the last pass found: repetitions and corrections (warnings) and duplicate keys (an error)."""
        found = []
        if self.repeated:
            found.append(report.build_duplicate_failure(self.identity, self.repeated, differing=False))
        if self.corrected:
            found.append(
                report.build_correction_failure(self.identity, self.corrected, self._examples["corrected"])
            )
        if self.differing:
            examples = self._examples["differing"]
            found.append(
                report.build_duplicate_failure(self.identity, self.differing, examples, differing=True)
            )
        return found

    def _sorted(self) -> pa.Table:
        import pyarrow as pa

        return _sort_table(pa.concat_tables(self._waiting), self._order)

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
            translate_disk_errors(self.folder),
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
        identity is already counted as one whose rows differ within its input. `counted`: whether the first
        row's is."""
        import pyarrow as pa

        here, after = table.slice(0, table.num_rows - 1), table.slice(1)
        same = find_equal_rows(here, after, self.identity, null_is_equal=False)
        if not same.any():
            return None, counted and table.num_rows == 1
        others = [name for name in table.column_names if name not in self._order]
        whole = same & find_equal_rows(here, after, others, null_is_equal=True)
        self.repeated += int(whole.sum())
        within = same
        if self._order != self.identity:
            within = same & find_equal_rows(here, after, [_SOURCE], null_is_equal=False)
            corrected = same & ~within & ~whole
            self.corrected += int(corrected.sum())
            self._show("corrected", table, corrected)
        differs = within & ~whole
        # The number of each row's group of one identity in one input.
        group = (~within).cumsum()
        groups = group[differs]
        new = len(set(groups.tolist()) - ({0} if counted and within[0] else set()))
        self.differing += int(differs.sum()) + new
        self._show("differing", table, differs)
        return pa.array(~same), bool(group[-1] in groups or (counted and group[-1] == 0))

    def _show(self, kind: str, table: pa.Table, where: Any) -> None:
        """Keep some identities of the rows `where` (a boolean array) as examples."""
        examples = self._examples[kind]
        for position in where.nonzero()[0][: 4 * (_EXAMPLES - len(examples))]:
            shown = " ".join(str(table[name][int(position)].as_py()) for name in self.identity)
            if shown not in examples and len(examples) < _EXAMPLES:
                examples.append(shown)


def _merge_runs(paths: Sequence[Path], by: Sequence[str]) -> Iterator[pa.Table]:
    """The runs as one, sorted.

    Each round takes from every run what is not greater than the least of the last rows in memory: nothing
    that is still on disk can be less.
    """
    import pyarrow as pa

    runs = [_Run(path, by, max(1, MERGE_BYTES // len(paths))) for path in paths]
    try:
        while runs := [run for run in runs if run.fill()]:
            more = [run.last() for run in runs if run.more]
            limit = min(more) if more else None
            pieces = [piece for run in runs if (piece := run.take(limit)).num_rows]
            yield _sort_table(pa.concat_tables(pieces), by) if len(pieces) > 1 else pieces[0]
    finally:
        for run in runs:
            run.close()


class _Run:
    """A sorted file, read some batches at a time."""

    def __init__(self, path: Path, by: Sequence[str], size: int) -> None:
        import pyarrow as pa

        # Not memory-mapped: pages of a map count as the process's memory.
        self._file = pa.OSFile(str(path), "rb")
        self._reader = pa.ipc.open_file(self._file)
        self._by = by
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

    def last(self) -> SortKey:
        return self._at(self._table.num_rows - 1)

    def take(self, limit: SortKey | None) -> pa.Table:
        """The rows up to `limit`, which leave this run; all of them without one."""
        rows = self._table.num_rows
        count = rows if limit is None else bisect_right(range(rows), limit, key=self._at)
        taken, self._table = self._table.slice(0, count), self._table.slice(count)
        return taken

    def close(self) -> None:
        self._file.close()

    def _at(self, position: int) -> SortKey:
        return tuple(_to_comparable(self._table[name][position]) for name in self._by)


def _to_comparable(value: pa.Scalar) -> tuple[bool, Any]:
    """A key's value in an order that Python knows; missing ones come last, as Arrow sorts them."""
    if not value.is_valid:
        return True, 0
    # A time as microseconds: quicker to make than a datetime.
    return False, value.value if hasattr(value, "value") else value.as_py()


def _sort_table(table: pa.Table, by: Sequence[str]) -> pa.Table:
    import pyarrow.compute as pc

    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in by])
    return table.take(order).combine_chunks()


def find_equal_rows(left: pa.Table, right: pa.Table, names: Sequence[str], *, null_is_equal: bool) -> Any:
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
