"""The external sort: the same rows as a plain sort, whatever the sizes of its runs and merges."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import StoreError
from evergreen.ingest.loading import sorter
from evergreen.ingest.loading.sorter import RowSorter

START = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = pa.schema(
    {"number": pa.int64(), "name": pa.string(), "event_time": pa.timestamp("us", "UTC"), "size": pa.float64()}
)
IDENTITY = ("number", "name", "event_time")

rows = st.tuples(
    st.integers(-2, 2) | st.sampled_from([-(2**63), 2**63 - 1]),
    st.sampled_from(["a", "B", "é", "😀", "ab", ""]),
    st.integers(0, 2),
    st.sampled_from([None, 0.5, 1.5]),
)
# Sizes in bytes: one row to a run and a batch, some, or all in memory.
sizes = st.tuples(st.sampled_from([1, 200, 10**6]), st.sampled_from([1, 300]), st.sampled_from([1, 100]))


def table(batch: list[tuple[Any, ...]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"number": number, "name": name, "event_time": START + timedelta(microseconds=at), "size": size}
            for number, name, at, size in batch
        ],
        schema=SCHEMA,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@given(batches=st.lists(st.lists(rows, max_size=12), max_size=8), size=sizes)
def test_a_spool_is_a_sort_without_repetitions(
    batches: list[list[tuple[Any, ...]]], size: tuple[int, int, int]
) -> None:
    given_rows = [row for batch in batches for row in batch]
    distinct = set(given_rows)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as made:
        patch.setattr(sorter, "RUN_BYTES", size[0])
        patch.setattr(sorter, "MERGE_BYTES", size[1])
        patch.setattr(sorter, "_BATCH_BYTES", size[2])
        patch.setattr(sorter, "MAX_MERGED_RUNS", 3)
        filled = RowSorter(Path(made), IDENTITY)
        for batch in batches:
            filled.add(table(batch))
        assert filled.rows == len(given_rows)
        for _ in range(2):
            out = [row for piece in filled.merged() for row in piece.to_pylist()]
            identities = [tuple(row[name] for name in IDENTITY) for row in out]
            wanted = sorted(
                {(number, name, START + timedelta(microseconds=at)) for number, name, at, _ in distinct}
            )
            assert identities == wanted
            assert all(
                (row["number"], row["name"], (row["event_time"] - START).microseconds, row["size"])
                in distinct
                for row in out
            )
            same = [row for row in distinct if sum(other[:3] == row[:3] for other in distinct) > 1]
            assert (filled.differing > 0) == bool(same)
            if not same:
                assert filled.repeated == len(given_rows) - len(distinct)


@given(batches=st.lists(st.tuples(st.integers(0, 12), st.lists(rows, max_size=8)), max_size=8), size=sizes)
def test_of_several_inputs_the_later_counts(
    batches: list[tuple[int, list[tuple[Any, ...]]]], size: tuple[int, int, int]
) -> None:
    """As if the inputs were loaded one after the other into a dict, each refused that contradicts itself."""
    given_rows = [(source, row) for source, batch in batches for row in batch]
    known: dict[tuple[Any, ...], Any] = {}
    repeated, corrected, refused = 0, 0, set()
    for source, (*identity, value) in sorted(given_rows, key=lambda each: each[0]):
        key = tuple(identity)
        if {row[3] for other, row in given_rows if other == source and list(row[:3]) == identity} != {value}:
            refused.add(key)
        repeated += key in known and known[key] == value
        corrected += key in known and known[key] != value
        known[key] = value
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as made:
        patch.setattr(sorter, "RUN_BYTES", size[0])
        patch.setattr(sorter, "MERGE_BYTES", size[1])
        patch.setattr(sorter, "_BATCH_BYTES", size[2])
        patch.setattr(sorter, "MAX_MERGED_RUNS", 3)
        filled = RowSorter(Path(made), IDENTITY)
        for source, batch in batches:
            filled.add(table(batch), source)
        for _ in range(2):
            pieces = list(filled.merged())
            assert all(piece.schema == SCHEMA for piece in pieces)
            out = [tuple(row.values()) for piece in pieces for row in piece.to_pylist()]
            assert [row[:3] for row in out] == sorted(
                (number, name, START + timedelta(microseconds=at)) for number, name, at in known
            )
            assert (filled.differing > 0) == bool(refused)
            if not refused:
                values = {(n, name, (at - START).microseconds): value for n, name, at, value in out}
                assert values == known
                assert (filled.repeated, filled.corrected) == (repeated, corrected)
                assert filled.left_out == len(given_rows) - len(known)


@pytest.mark.parametrize("run_bytes", [1, 10**6])
def test_corrections_are_told_and_contradictions_within_an_input_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, run_bytes: int
) -> None:
    monkeypatch.setattr(sorter, "RUN_BYTES", run_bytes)
    filled = RowSorter(folder, IDENTITY)
    # The tenth input comes after the second, and both after the first, in whichever order they are added.
    filled.add(table([(1, "a", 0, 10.0), (3, "a", 0, None)]), 10)
    filled.add(table([(1, "a", 0, 2.0), (2, "a", 0, 2.0)]), 2)
    filled.add(table([(number, "a", 0, 0.5) for number in range(5)]), 0)
    out = [row for piece in filled.merged() for row in piece.to_pylist()]
    assert [(row["number"], row["size"]) for row in out] == [
        (0, 0.5),
        (1, 10.0),
        (2, 2.0),
        (3, None),
        (4, 0.5),
    ]
    [told] = filled.failures()
    assert (told.severity, told.count) == ("warning", 4)
    assert told.check == "is corrected in a later file, which counts (left out)"
    assert told.examples == tuple(f"{number} a 2026-01-01 00:00:00+00:00" for number in (1, 2, 3))
    # A later input does not say which of two rows of an earlier one was true.
    filled.add(table([(1, "a", 0, 0.75)]), 0)
    list(filled.merged())
    warning, error = filled.failures()
    assert (warning.severity, warning.count, error.severity, error.count) == ("warning", 4, "error", 2)
    assert error.examples == ("1 a 2026-01-01 00:00:00+00:00",)


@pytest.mark.parametrize("run_bytes", [1, 10**6])
def test_repetitions_and_duplicate_keys_are_counted_and_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, run_bytes: int
) -> None:
    monkeypatch.setattr(sorter, "RUN_BYTES", run_bytes)
    filled = RowSorter(folder, IDENTITY)
    sound = [(number, "a", 0, 0.5) for number in range(40)]
    filled.add(table(sound))
    filled.add(table([(7, "a", 0, 0.5), (8, "a", 0, 0.5), (8, "a", 0, 0.5)]))
    assert sum(piece.num_rows for piece in filled.merged()) == 40
    assert (filled.repeated, filled.differing) == (3, 0)
    [told] = filled.failures()
    assert (told.severity, told.count, told.column) == ("warning", 3, "number, name, event_time")
    filled.add(table([(3, "a", 0, None), (5, "a", 0, 1.5), (5, "a", 0, 2.5)]))
    assert sum(piece.num_rows for piece in filled.merged()) == 40
    assert (filled.repeated, filled.differing) == (3, 5)
    duplicate = next(found for found in filled.failures() if found.severity == "error")
    assert (duplicate.count, duplicate.examples) == (
        5,
        ("3 a 2026-01-01 00:00:00+00:00", "5 a 2026-01-01 00:00:00+00:00"),
    )


def test_rows_of_one_key_only_do_not_pile_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrongly declared key: every row has the same identity, over many runs and batches."""
    monkeypatch.setattr(sorter, "RUN_BYTES", 2000)
    monkeypatch.setattr(sorter, "MERGE_BYTES", 500)
    monkeypatch.setattr(sorter, "_BATCH_BYTES", 100)
    filled = RowSorter(folder, IDENTITY)
    for start in range(0, 3000, 50):
        filled.add(table([(1, "a", 0, float(n)) for n in range(start, start + 50)]))
    sizes = [piece.num_rows for piece in filled.merged()]
    assert sizes == [1]
    assert filled.differing == 3000


def test_missing_keys_are_nobodys_duplicate(folder: Path) -> None:
    filled = RowSorter(folder, IDENTITY)
    filled.add(table([(None, "a", 0, 1.0), (None, "a", 0, 1.0), (1, "a", 0, 1.0)]))  # type: ignore[list-item]
    assert sum(piece.num_rows for piece in filled.merged()) == 3
    assert filled.failures() == []


def test_a_disk_that_takes_no_rows_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorter, "RUN_BYTES", 1)
    filled = RowSorter(folder / "gone", IDENTITY)
    with pytest.raises(StoreError, match=r"temporary folder .*gone") as raised:
        filled.add(table([(1, "a", 0, 1.0)]))
    assert "TMPDIR" in raised.value.hint
