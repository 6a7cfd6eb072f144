"""Segments read what was written, and set aside what was spoilt, whatever happened to the file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.serving.predictions.record import (
    OutcomeRecord,
    PredictionRecord,
    Record,
    SegmentSchema,
    encode_record,
    list_outcomes,
    list_prediction_rows,
)
from evergreen.serving.predictions.segments import (
    Segment,
    frame_records,
    list_segment_numbers,
    list_segments,
    parse_segment_name,
    read_segment,
)
from evergreen.store.predictions.outcomes import Outcome
from evergreen.store.predictions.prediction_row import PredictionRow

SCHEMA = SegmentSchema(1, "parcel", ("parcel_id", "note"), ("density",), ("no", "yes"))
AT = datetime(2028, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)

VALUES = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
RECORDS = st.lists(
    st.builds(
        lambda number, note, share: PredictionRecord(
            "online", 3, [f"id-{number}"], [[number, note]], [[share]], ["yes"], [[1 - share, share]]
        ),
        st.integers(0, 10**9),
        VALUES,
        st.floats(0, 1),
    ),
    min_size=1,
    max_size=6,
)


def build(records: list[Record]) -> bytes:
    return frame_records([encode_record(SCHEMA), *map(encode_record, records)])


def read(data: bytes) -> Segment:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "0000000001.segment"
        path.write_bytes(data)
        return read_segment(path)


@given(RECORDS)
def test_what_was_written_is_read(records: list[Record]) -> None:
    segment = read(build(records))
    assert segment == Segment(SCHEMA, records)


@given(RECORDS, st.data())
def test_a_file_that_was_cut_has_all_records_before_the_cut(
    records: list[Record], data: st.DataObject
) -> None:
    content = build(records)
    whole = [len(build(records[:count])) for count in range(len(records) + 1)]
    cut = data.draw(st.integers(whole[0], len(content)))
    segment = read(content[:cut])
    expected = [record for record, end in zip(records, whole[1:], strict=True) if end <= cut]
    assert segment.records == expected
    assert segment.spoilt == []
    assert len(segment.torn) == cut - whole[len(expected)]


@given(RECORDS, st.data())
def test_a_changed_byte_costs_its_record_only(records: list[Record], data: st.DataObject) -> None:
    content = bytearray(build(records))
    first = len(build([]))
    place = data.draw(st.integers(first, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    segment = read(bytes(content))
    ends = [len(build(records[: count + 1])) for count in range(len(records))]
    spoilt = next(number for number, end in enumerate(ends) if place < end)
    assert segment.records == records[:spoilt] + records[spoilt + 1 :]
    assert len(segment.spoilt) + bool(segment.torn) == 1


def test_a_spoilt_schema_sets_nothing_right() -> None:
    content = bytearray(build([]))
    content[20] ^= 1
    segment = read(bytes(content))
    assert segment.schema is None
    assert segment.torn == bytes(content)


def test_behind_a_spoilt_schema_nothing_is_lost() -> None:
    prediction = PredictionRecord("online", 3, ["id"], [[1, None]], [[0.5]], ["yes"], [[0.5, 0.5]])
    outcome = OutcomeRecord(AT, ["o"], ["p"], ["yes"])
    content = bytearray(build([prediction, outcome]))
    content[20] ^= 1
    segment = read(bytes(content))
    assert segment == Segment(None, [outcome], [], bytes(content))


def test_records_become_rows() -> None:
    record = PredictionRecord(
        "online",
        3,
        ["a", "b"],
        [[1, None], [2, "x"]],
        [[0.5, None]],
        ["no", "yes"],
        [[0.9, 0.1], [0.3, 0.7]],
    )
    assert list(list_prediction_rows(SCHEMA, record)) == [
        PredictionRow(
            "a",
            3,
            "online",
            {"parcel_id": 1, "note": None},
            "no",
            0.9,
            {"no": 0.9, "yes": 0.1},
            {"density": 0.5},
        ),
        PredictionRow(
            "b",
            3,
            "online",
            {"parcel_id": 2, "note": "x"},
            "yes",
            0.7,
            {"no": 0.3, "yes": 0.7},
            {"density": None},
        ),
    ]


def test_numbers_have_no_probabilities() -> None:
    schema = SegmentSchema(1, "parcel", ("parcel_id",), (), ())
    record = PredictionRecord("batch", 3, ["a"], [[1]], [], [12.5], [])
    (row,) = list_prediction_rows(schema, record)
    assert row == PredictionRow("a", 3, "batch", {"parcel_id": 1}, 12.5)


def test_outcomes_keep_their_moment() -> None:
    record = OutcomeRecord(AT, ["o1", "o2"], ["a", "b"], ["yes", "no"])
    (again,) = read(build([record])).records
    assert isinstance(again, OutcomeRecord)
    assert list(list_outcomes(again)) == [Outcome("o1", "a", "yes", AT), Outcome("o2", "b", "no", AT)]


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("0000000012.open", (12, None)),
        ("0000000012-345.shipping", (12, 345)),
        ("0000000012-0.segment", (12, 0)),
        ("0000000012-.segment", None),
        ("12.old.segment", None),
        ("x.segment", None),
        ("\u0661.segment", None),
        ("lock", None),
    ],
)
def test_names_of_segments_are_told_from_others(name: str, parsed: tuple[int, int | None] | None) -> None:
    assert parse_segment_name(name) == parsed


def test_segments_have_their_numbers_in_whatever_state_they_are(tmp_path: Path) -> None:
    for name in ("lock", "shipped.json", "0000000001-7.shipping", "0000000002-7.segment", "0000000003.open"):
        (tmp_path / name).touch()
    (tmp_path / "0000000004-1.dropped").touch()
    (tmp_path / "x.segment").touch()
    assert list_segment_numbers(tmp_path) == {1, 2, 3}
    assert [path.name for path in list_segments(tmp_path)] == ["0000000002-7.segment"]
    assert list_segment_numbers(tmp_path / "gone") == set()
