"""Rows of the future: an ingest and a demo say that there is nothing but those, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from evergreen.errors import SourceError
from evergreen.ingest.future_rows import compute_known_from, describe_future, refuse_only_future_rows
from evergreen.ingest.input_notes import InputNote, RunInputs
from evergreen.usecase import UseCase

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)


def note(rows: int, held_back: int, known_from: str = "") -> InputNote:
    moment = datetime.fromisoformat(known_from) if known_from else None
    return InputNote("rows.csv", rows=rows, held_back=held_back, known_from=moment)


def inputs(**parts: InputNote) -> RunInputs:
    return RunInputs({part: (each,) for part, each in parts.items()})


def test_all_rows_of_the_future_are_told_with_an_as_of_that_loads_them() -> None:
    late = note(120, 120, "2026-07-01T00:00:00+00:00")
    said = describe_future(inputs(facts=late, label=late), AS_OF, now=AS_OF + timedelta(days=90))
    assert said == (
        "all 120 rows lie after as_of 2026-06-01 00:00 UTC: nothing to load; the earliest is known from"
        " 2026-07-01 00:00 UTC on; give --as-of after it, such as 2026-07-01T00:00:01"
    )


def test_no_as_of_is_advised_that_would_be_refused() -> None:
    late = note(120, 120, "2031-01-01T00:00:00+00:00")
    said = describe_future(inputs(facts=late), AS_OF, now=AS_OF)
    assert "--as-of" not in said
    assert "evergreen new without --time" in said


def test_a_part_of_the_future_is_named_and_a_few_rows_of_it_are_not() -> None:
    late, known = note(5, 5, "2026-07-01T00:00:00+00:00"), note(5, 4, "2026-07-01T00:00:00+00:00")
    assert "all 5 rows of label lie" in describe_future(inputs(facts=known, label=late), AS_OF)
    assert describe_future(inputs(facts=known, label=note(0, 0)), AS_OF) == ""


def tables(*months: str) -> Iterator[pa.Table]:
    for month in months:
        yield pa.table({"month": [month, "2031-05-01"]})


def test_a_source_of_the_future_is_refused_before_anything_starts(toy_use_case: UseCase) -> None:
    view = toy_use_case.views[0]
    with pytest.raises(SourceError, match="all 4 rows of facts lie after as_of 2026-06-01 00:00 UTC"):
        refuse_only_future_rows(view, "facts", tables("2030-01-01", "2030-02-01"), AS_OF)


def test_one_row_of_now_is_enough_and_nothing_is_read_after_it(toy_use_case: UseCase) -> None:
    def batches() -> Iterator[pa.Table]:
        yield from tables("2030-01-01", "2026-05-31")
        pytest.fail("that was read in vain")

    refuse_only_future_rows(toy_use_case.views[0], "facts", batches(), AS_OF)


@pytest.mark.parametrize("batch", [pa.table({"other": ["2030-01-01"]}), pa.table({"month": ["soon"]})])
def test_what_has_no_time_is_left_to_the_checks(toy_use_case: UseCase, batch: pa.Table) -> None:
    refuse_only_future_rows(toy_use_case.views[0], "facts", [batch], AS_OF)
    refuse_only_future_rows(
        replace(toy_use_case.views[0], event_time=None), "facts", tables("2030-01-01"), AS_OF
    )


def test_a_label_is_late_by_its_delay(toy_use_case: UseCase) -> None:
    label = toy_use_case.label
    assert label.delay == timedelta(days=7)
    with pytest.raises(SourceError, match="known from 2026-06-05 00:00 UTC on"):
        refuse_only_future_rows(label, "label", tables("2026-05-29"), AS_OF)


def test_an_open_end_such_as_the_year_9999_is_no_error() -> None:
    end = datetime(9999, 12, 31, 12, tzinfo=UTC)
    assert compute_known_from(end, timedelta(days=30)) == datetime.max.replace(tzinfo=UTC)
    assert compute_known_from(AS_OF, timedelta(days=7)) == AS_OF + timedelta(days=7)
