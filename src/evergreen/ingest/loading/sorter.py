"""An external merge sort: clean rows come in in any order and go out in the key order of their table.

InnoDB loads rows in the order of the primary key faster than in any other. And sorting brings the rows of one
identity (the keys and the event time) together, so that repeated ones can be removed. Memory stays bounded
for any number of rows: sorted runs are written to disk and merged from there.

Where a part reads several inputs, such as the files of a glob, a row of a later input replaces one of an
earlier input with the same identity, as if the inputs had been loaded one after the other. Two different rows
of one identity within one input are an error, because neither can be preferred.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.errors import StoreError
from evergreen.validation import report

# Size of a sorted run. A run is sorted in memory, which takes twice its size.
RUN_BYTES = 32 * 1024 * 1024
# What a merge holds in memory of all its runs together, and about the size of one table that it yields.
MERGE_BYTES = 24 * 1024 * 1024
# Runs merged at once; each keeps a file open.
MAX_MERGED_RUNS = 200
_BATCH_BYTES = 256 * 1024
_EXAMPLES = 10
# The column with the ordinal of a row's input, where there are several; no declared name has a "#".
_SOURCE = "#input"

SortKey: TypeAlias = tuple[tuple[bool, Any], ...]
Mask: TypeAlias = npt.NDArray[np.bool_]


@contextmanager
def translate_disk_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block, such as a full disk, into a StoreError that names the folder."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"rows cannot be kept in the temporary folder {folder}: {error.strerror or error}",
            hint="make room there, or name another folder by the environment variable TMPDIR: an ingest needs"
            " about what its source has uncompressed",
        ) from error


class RowSorter:
    """Sorts the rows of one part of one ingest; its runs lie under `folder`, which must be empty and its own.

    `identity`: the key columns and the event time, in the order of the table's primary key. After a complete
    pass over `merged`, `repeated` counts the rows left out because they repeat another one exactly,
    `corrected` those left out because a later input has their identity with other values, and `differing`
    those that share their identity with another, different row of the same input.
    """

    def __init__(self, folder: Path, identity: Sequence[str]) -> None:
        self.folder = folder
        self.identity = tuple(identity)
        self.rows = 0
        self.repeated = 0
        self.corrected = 0
        self.differing = 0
        # The columns that the runs are sorted by.
        self._order = self.identity
        self._examples: dict[str, list[str]] = {"corrected": [], "differing": []}
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0
        self._runs: list[Path] = []
        self._run_count = 0

    @property
    def left_out(self) -> int:
        """How many rows the last pass left out because another row stands for them."""
        return self.repeated + self.corrected

    def add(self, table: pa.Table, source: int | None = None) -> None:
        """Add rows in any order; all tables have the same schema.

        `source`: the ordinal of the rows' input, given for all tables, or for none where there is only one
        input.
        """
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

        It may be called again; each pass starts its counts at 0.
        """
        self.repeated = self.corrected = self.differing = 0
        self._examples = {"corrected": [], "differing": []}
        if not self._runs:
            # Few rows are not written to disk.
            pieces = iter([self._sort_waiting_rows()] if self._waiting else [])
        else:
            self._flush()
            while len(self._runs) > MAX_MERGED_RUNS:
                first, self._runs = self._runs[:MAX_MERGED_RUNS], self._runs[MAX_MERGED_RUNS:]
                self._runs.append(self._write_run(_merge_runs(first, self._order)))
                for path in first:
                    path.unlink()
            pieces = _merge_runs(self._runs, self._order)
        for piece in self._keep_last_rows(pieces):
            yield piece if self._order == self.identity else piece.drop_columns(_SOURCE)

    def failures(self) -> list[report.Failure]:
        """The failures of the last pass: repeated and corrected rows (warnings), duplicate keys (an
        error)."""
        failures = []
        if self.repeated:
            failures.append(report.build_duplicate_failure(self.identity, self.repeated, differing=False))
        if self.corrected:
            failures.append(
                report.build_correction_failure(self.identity, self.corrected, self._examples["corrected"])
            )
        if self.differing:
            examples = self._examples["differing"]
            failures.append(
                report.build_duplicate_failure(self.identity, self.differing, examples, differing=True)
            )
        return failures

    def _sort_waiting_rows(self) -> pa.Table:
        return _sort_table(pa.concat_tables(self._waiting), self._order)

    def _flush(self) -> None:
        """Write the waiting rows to disk as a run."""
        if self._waiting:
            table = self._sort_waiting_rows()
            self._waiting, self._waiting_bytes = [], 0
            self._runs.append(self._write_run(iter([table])))

    def _write_run(self, tables: Iterator[pa.Table]) -> Path:
        path = self.folder / f"{self._run_count}.run"
        self._run_count += 1
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

    def _keep_last_rows(self, pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The last row of each identity; `pieces` are sorted, and an identity may span several of them."""
        # The last row of a piece waits for the next piece, which may continue its identity.
        last_row: pa.Table | None = None
        is_counted = False
        for piece in pieces:
            table = piece if last_row is None else pa.concat_tables([last_row, piece]).combine_chunks()
            is_last, is_counted = self._count_repeated_rows(table, is_counted)
            last_row = table.take([table.num_rows - 1])
            rows = table.slice(0, table.num_rows - 1)
            if is_last is not None:
                rows = rows.filter(is_last)
            if rows.num_rows:
                yield rows
        if last_row is not None:
            yield last_row

    def _count_repeated_rows(self, table: pa.Table, is_counted: bool) -> tuple[pa.Array | None, bool]:
        """Count the repeated, corrected and differing rows of a sorted table.

        Returns a mask over all rows except the last: whether the row is the last of its identity (None: all
        are). And whether the rows of the last row's identity and input are counted as differing already;
        `is_counted` says the same of the first row.
        """
        rows, next_rows = table.slice(0, table.num_rows - 1), table.slice(1)
        same_identity = find_equal_rows(rows, next_rows, self.identity, null_is_equal=False)
        if not same_identity.any():
            return None, is_counted and table.num_rows == 1
        values = [name for name in table.column_names if name not in self._order]
        same_row = same_identity & find_equal_rows(rows, next_rows, values, null_is_equal=True)
        self.repeated += int(same_row.sum())
        same_input = same_identity
        if self._order != self.identity:
            same_input = same_identity & find_equal_rows(rows, next_rows, [_SOURCE], null_is_equal=False)
            corrected = same_identity & ~same_input & ~same_row
            self.corrected += int(corrected.sum())
            self._add_examples("corrected", table, corrected)
        differs = same_input & ~same_row
        # For each row, the number of its group: the rows of one identity in one input.
        group = (~same_input).cumsum()
        groups = group[differs]
        # Each pair of neighbours that differ counts one row, and each group one more, for its first row.
        new_groups = len(set(groups.tolist()) - ({0} if is_counted and same_input[0] else set()))
        self.differing += int(differs.sum()) + new_groups
        self._add_examples("differing", table, differs)
        return pa.array(~same_identity), bool(group[-1] in groups or (is_counted and group[-1] == 0))

    def _add_examples(self, kind: str, table: pa.Table, mask: Mask) -> None:
        """Keep some identities of those rows of the table for which `mask` is true."""
        examples = self._examples[kind]
        for position in mask.nonzero()[0][: 4 * (_EXAMPLES - len(examples))]:
            identity = " ".join(str(table[name][int(position)].as_py()) for name in self.identity)
            if identity not in examples and len(examples) < _EXAMPLES:
                examples.append(identity)


def _merge_runs(paths: Sequence[Path], by: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of all runs, sorted by the columns `by`.

    Each round takes from every run the rows that are not greater than the least of the last rows in memory:
    no row that is still on disk can be less.
    """
    runs = [_Run(path, by, max(1, MERGE_BYTES // len(paths))) for path in paths]
    try:
        while runs := [run for run in runs if run.fill()]:
            last_keys = [run.last() for run in runs if run.has_more]
            limit = min(last_keys) if last_keys else None
            pieces = [piece for run in runs if (piece := run.take(limit)).num_rows]
            yield _sort_table(pa.concat_tables(pieces), by) if len(pieces) > 1 else pieces[0]
    finally:
        for run in runs:
            run.close()


class _Run:
    """A sorted run, read from its file some batches at a time, about `size` bytes."""

    def __init__(self, path: Path, by: Sequence[str], size: int) -> None:
        # Not memory-mapped, because pages of a map count as memory of the process.
        self._file = pa.OSFile(str(path), "rb")
        self._reader = pa.ipc.open_file(self._file)
        self._by = by
        self._size = size
        self._next = 0
        self._table: pa.Table = self._reader.schema.empty_table()

    @property
    def has_more(self) -> bool:
        """Whether the file has batches that were not read yet."""
        return bool(self._next < self._reader.num_record_batches)

    def fill(self) -> bool:
        """Read the next batches when no row is left in memory; return whether there are rows."""
        if not self._table.num_rows and self.has_more:
            batches, size = [], 0
            while self.has_more and size < self._size:
                batches.append(self._reader.get_batch(self._next))
                size += batches[-1].nbytes
                self._next += 1
            self._table = pa.Table.from_batches(batches).combine_chunks()
        if not self._table.num_rows:
            self.close()
        return bool(self._table.num_rows)

    def last(self) -> SortKey:
        """The sort key of the last row in memory."""
        return self._build_key(self._table.num_rows - 1)

    def take(self, limit: SortKey | None) -> pa.Table:
        """Remove and return the rows in memory up to `limit`; all of them without one."""
        rows = self._table.num_rows
        count = rows if limit is None else bisect_right(range(rows), limit, key=self._build_key)
        head, self._table = self._table.slice(0, count), self._table.slice(count)
        return head

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _build_key(self, position: int) -> SortKey:
        return tuple(_to_comparable(self._table[name][position]) for name in self._by)


def _to_comparable(value: pa.Scalar) -> tuple[bool, Any]:
    """A value as a tuple that Python compares as Arrow sorts it: missing values come last."""
    if not value.is_valid:
        return True, 0
    # A time as microseconds, which is quicker than a datetime.
    return False, value.value if hasattr(value, "value") else value.as_py()


def _sort_table(table: pa.Table, by: Sequence[str]) -> pa.Table:
    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in by])
    return table.take(order).combine_chunks()


def find_equal_rows(first: pa.Table, second: pa.Table, names: Sequence[str], *, null_is_equal: bool) -> Mask:
    """For each row of two tables of n rows: whether all those columns are equal; shape (n,)."""
    equal: Mask = np.ones(first.num_rows, dtype=bool)
    for name in names:
        column, other = first[name], second[name]
        same_value = pc.fill_null(pc.equal(column, other), False).to_numpy()
        if null_is_equal and column.null_count and other.null_count:
            same_value = same_value | (pc.is_null(column).to_numpy() & pc.is_null(other).to_numpy())
        equal &= same_value
    return equal
