"""Rows of the spool by columns are those that each row alone would be."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.serving.predictions.record import (
    PredictionRecord,
    SegmentSchema,
    build_segment_schema,
    list_prediction_rows,
)
from evergreen.serving.predictions.record_rows import RecordRows
from evergreen.store.predictions.insert import arrange_by_columns, build_logged_rows
from evergreen.store.predictions.logged_columns import arrange_columns
from evergreen.store.tables.declared import build_prediction_table
from evergreen.usecase import UseCase

NOON = 1_790_000_000_000
VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=5)


def make_id(noise: int, millisecond: int = NOON) -> str:
    return str(uuid.UUID(int=(millisecond << 80) | (0x7 << 76) | (0b10 << 62) | noise))


def make_record(schema: SegmentSchema, ids: list[str], value: Any = 1, **changes: Any) -> PredictionRecord:
    shares = [1 / len(schema.classes)] * len(schema.classes)
    fields: dict[str, Any] = {
        "channel": "online",
        "model_version": 3,
        "ids": ids,
        "inputs": [[value] * len(schema.inputs) for _ in ids],
        "on_demand": [[0.5] * len(ids) for _ in schema.on_demand],
        "predictions": [schema.classes[0] if schema.classes else 1.5] * len(ids),
        "probabilities": [shares] * len(ids) if schema.classes else [],
    }
    return PredictionRecord(**{**fields, **changes})


def collect(schema: SegmentSchema, *records: PredictionRecord) -> RecordRows:
    rows = RecordRows()
    for record in records:
        rows.add(schema, record)
    return rows


@given(st.data())
def test_columns_hold_what_the_rows_hold(toy_use_case: UseCase, data: st.DataObject) -> None:
    schema, table = build_segment_schema(toy_use_case), build_prediction_table(toy_use_case)
    noises = data.draw(st.lists(st.integers(0, 2**62 - 1), min_size=1, max_size=9, unique=True))
    places = data.draw(st.lists(st.integers(0, len(noises)), max_size=2).map(sorted))
    records = []
    for start, end in zip([0, *places], [*places, len(noises)], strict=True):
        part = noises[start:end]
        ids = [make_id(noise, data.draw(st.integers(NOON, NOON + 3))) for noise in part]
        shares = data.draw(
            st.lists(
                st.lists(st.floats(0, 1), min_size=len(schema.classes), max_size=len(schema.classes)),
                min_size=len(ids),
                max_size=len(ids),
            )
        )
        records.append(
            make_record(
                schema,
                ids,
                channel=data.draw(st.sampled_from(["online", "shadow"])),
                model_version=data.draw(st.integers(1, 3)),
                inputs=[[data.draw(VALUES) for _ in schema.inputs] for _ in ids],
                on_demand=[[data.draw(VALUES) for _ in ids] for _ in schema.on_demand],
                predictions=[data.draw(st.sampled_from(schema.classes)) for _ in ids],
                probabilities=shares,
            )
        )
    rows = collect(schema, *records)
    expected_rows = [row for record in records for row in list_prediction_rows(schema, record)]
    expected = arrange_by_columns(list(build_logged_rows(toy_use_case, table, expected_rows).values()))
    columns = arrange_columns(toy_use_case, table, rows)
    assert columns is not None
    assert repr({name: tuple(values) for name, values in columns.items()}) == repr(expected)
    assert list(columns) == list(expected)
    assert len(rows) == len(expected_rows)
    assert repr(list(rows)) == repr(expected_rows)
    assert repr(rows[1:]) == repr(expected_rows[1:])


def test_rows_that_need_a_closer_look_have_no_columns(toy_use_case: UseCase) -> None:
    schema, table = build_segment_schema(toy_use_case), build_prediction_table(toy_use_case)
    usual = make_record(schema, [make_id(1), make_id(2)])
    assert arrange_columns(toy_use_case, table, collect(schema, usual)) is not None
    for unusual in (
        make_record(schema, [make_id(1), make_id(1)]),
        make_record(schema, [make_id(1).upper()]),
        make_record(schema, [make_id(1), "no id"]),
        make_record(schema, [make_id(1, (1 << 48) - 1)]),  # a moment beyond the year 9999
        make_record(schema, [make_id(1)], channel="nowhere"),
    ):
        assert arrange_columns(toy_use_case, table, collect(schema, unusual)) is None
    renamed = SegmentSchema(
        1, schema.use_case, (*schema.inputs[:-1], "gone"), schema.on_demand, schema.classes
    )
    assert arrange_columns(toy_use_case, table, collect(renamed, usual)) is None
    mixed = collect(schema, usual)
    mixed.add(renamed, make_record(renamed, [make_id(3)]))
    assert arrange_columns(toy_use_case, table, mixed) is None
    assert [row.prediction_id for row in mixed] == [make_id(1), make_id(2), make_id(3)]
    assert arrange_columns(toy_use_case, table, list(mixed)) is None


def test_a_record_that_does_not_fit_its_schema_is_refused(toy_use_case: UseCase) -> None:
    schema = build_segment_schema(toy_use_case)
    record = make_record(schema, [make_id(1), make_id(2)])
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    for name, value in (
        ("inputs", [record.inputs[0]]),
        ("inputs", [record.inputs[0], record.inputs[1][1:]]),
        ("predictions", ["yes"]),
        ("predictions", ["yes", "perhaps"]),
        ("probabilities", [record.probabilities[0]]),
        ("probabilities", [[1.0], [1.0]]),
        ("on_demand", []),
        ("on_demand", [[0.5]] * len(schema.on_demand)),
    ):
        with pytest.raises(ValueError, match="does not fit"):
            RecordRows().add(schema, PredictionRecord(**{**fields, name: value}))
    rows = collect(schema, make_record(schema, []))
    assert len(rows) == 0
    assert rows.list_columns() is None
