"""A whole table, read in batches: statistics of its columns, a sample of its rows, repeated keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from evergreen.errors import UseCaseError
from evergreen.sources.read import SourceInput
from evergreen.workbench.declaration.column_facts import Column

# How many rows are kept to try the hold-out on, and how many identities are compared for repetitions.
_SAMPLE_ROWS = 200_000
_MOST_IDENTITIES = 20_000_000

Progress = Callable[[int], None]


class Table:
    """Statistics of a table's columns and an evenly spread sample of its rows, from one reading."""

    def __init__(self) -> None:
        self.columns: dict[str, Column] = {}
        self.rows = 0
        self._sample: list[pa.Table] = []
        self._stride = 1

    @classmethod
    def read(cls, inputs: Sequence[SourceInput], progress: Progress | None) -> Table:
        """Read all inputs; `progress` gets the number of rows after each batch.

        Raises UseCaseError when the inputs have different columns, or no row.
        """
        table = cls()
        for each in inputs:
            first = True
            for batch in each.batches():
                if first and table.columns and set(batch.column_names) != set(table.columns):
                    differ = sorted(set(batch.column_names) ^ set(table.columns))
                    raise UseCaseError(
                        f"{each.name} has other columns than {inputs[0].name}: {', '.join(differ[:5])}",
                        hint="name files of one kind",
                    )
                first = False
                table._add(batch)
                if progress is not None:
                    progress(table.rows)
        if not table.rows:
            raise UseCaseError("the table has no rows", hint="give one with rows to learn from")
        return table

    def _add(self, batch: pa.Table) -> None:
        for column in batch.column_names:
            if column not in self.columns:
                self.columns[column] = Column(column)
            self.columns[column].observe(batch.column(column))
        self.rows += batch.num_rows
        # Every n-th row, with n growing: the sample spans the table, however long it turns out to be.
        self._sample.append(batch.take(np.arange(0, batch.num_rows, self._stride)))
        while sum(part.num_rows for part in self._sample) > self._sample_limit:
            self._stride *= 2
            self._sample = [part.take(np.arange(0, part.num_rows, 2)) for part in self._sample]

    @property
    def _sample_limit(self) -> int:
        return max(1_000, min(_SAMPLE_ROWS, 5_000_000 // max(1, len(self.columns))))

    def sample(self, *columns: str) -> pd.DataFrame:
        """Rows of the whole table, evenly spread: all of them when there are few."""
        samples = [part.select(list(columns)) for part in self._sample]
        frame: pd.DataFrame = pa.concat_tables(samples, promote_options="permissive").to_pandas()
        return frame


def count_repeated_rows(
    inputs: Sequence[SourceInput], identity: Sequence[str], *, even_exactly: bool = False
) -> int:
    """How many rows have the identity of another row and differ from it; with `even_exactly`, or equal it.

    Compares 64-bit hashes of up to _MOST_IDENTITIES rows; what comes after is left to the first ingest.
    """
    identities = _hash_rows(inputs, identity)
    repeats = len(identities) - _count_different(identities)
    if not repeats or even_exactly:
        return repeats
    return _count_different(_hash_rows(inputs, None)) - _count_different(identities)


def _count_different(hashes: np.ndarray) -> int:
    return len(np.unique(hashes))


def _hash_rows(inputs: Sequence[SourceInput], columns: Sequence[str] | None) -> np.ndarray:
    """A hash of each row's values in these columns, or in all."""
    hashes: list[np.ndarray] = []
    rows = 0
    for batch in _list_batches(inputs):
        frame = batch.select(list(columns) if columns else batch.column_names).to_pandas()
        texts = frame.astype(object).where(frame.notna(), None).astype(str).apply(lambda c: c.str.strip())
        hashes.append(pd.util.hash_pandas_object(texts, index=False).to_numpy())
        rows += len(frame)
        if rows >= _MOST_IDENTITIES:
            break
    return np.concatenate(hashes) if hashes else np.empty(0, dtype=np.uint64)


def _list_batches(inputs: Sequence[SourceInput]) -> Iterator[pa.Table]:
    for each in inputs:
        yield from each.batches()
