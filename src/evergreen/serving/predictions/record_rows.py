"""The predictions of a spool's records: by columns, as MariaDB gets them, or as rows where one is looked at.

A shipper moves thousands of rows a second. An object for each of them would cost it as much as everything
else that it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, overload

from evergreen.serving.predictions.record import PredictionRecord, SegmentSchema, list_prediction_rows
from evergreen.store.predictions.prediction_row import PredictionRow


class RecordRows(Sequence[PredictionRow]):
    """The rows of records, in their order; made when they are asked for."""

    def __init__(self) -> None:
        self._records: list[tuple[SegmentSchema, PredictionRecord]] = []

    def add(self, schema: SegmentSchema, record: PredictionRecord) -> None:
        """Add the rows of a record. Raises ValueError for one that does not fit its schema."""
        if not _fits_schema(schema, record):
            raise ValueError("the record does not fit the schema of its segment")
        if record.ids:
            self._records.append((schema, record))

    def __len__(self) -> int:
        return sum(len(record.ids) for _, record in self._records)

    def __iter__(self) -> Iterator[PredictionRow]:
        for schema, record in self._records:
            yield from list_prediction_rows(schema, record)

    @overload
    def __getitem__(self, index: int) -> PredictionRow: ...

    @overload
    def __getitem__(self, index: slice) -> list[PredictionRow]: ...

    def __getitem__(self, index: int | slice) -> PredictionRow | list[PredictionRow]:
        return list(self)[index]

    def list_columns(self) -> dict[str, Sequence[Any]] | None:
        """The values of all rows by the name of their column, `probabilities` as a dict for each row; None
        where the records were written under several declarations."""
        if not self._records:
            return None
        schema = self._records[0][0]
        if any(other is not schema and other != schema for other, _ in self._records):
            return None
        records = [record for _, record in self._records]
        columns: dict[str, Sequence[Any]] = {
            "prediction_id": _join(record.ids for record in records),
            "model_version": _join([record.model_version] * len(record.ids) for record in records),
            "channel": _join([record.channel] * len(record.ids) for record in records),
        }
        inputs = chain.from_iterable(record.inputs for record in records)
        columns |= zip(schema.inputs, zip(*inputs, strict=True), strict=True)
        for number, name in enumerate(schema.on_demand):
            columns[name] = _join(record.on_demand[number] for record in records)
        predictions = columns["prediction"] = _join(record.predictions for record in records)
        if schema.classes:
            place = {name: number for number, name in enumerate(schema.classes)}
            shares = _join(record.probabilities for record in records)
            columns["probability"] = [row[place[name]] for row, name in zip(shares, predictions, strict=True)]
            columns["probabilities"] = [dict(zip(schema.classes, row, strict=True)) for row in shares]
        return columns


def _fits_schema(schema: SegmentSchema, record: PredictionRecord) -> bool:
    rows = len(record.ids)
    return (
        len(record.inputs) == len(record.predictions) == rows
        and set(map(len, record.inputs)) <= {len(schema.inputs)}
        and len(record.on_demand) == len(schema.on_demand)
        and set(map(len, record.on_demand)) <= {rows}
        and (not schema.classes or _has_probabilities(schema, record))
    )


def _has_probabilities(schema: SegmentSchema, record: PredictionRecord) -> bool:
    return (
        len(record.probabilities) == len(record.ids)
        and set(map(len, record.probabilities)) <= {len(schema.classes)}
        and set(record.predictions) <= set(schema.classes)
    )


def _join(parts: Any) -> list[Any]:
    return list(chain.from_iterable(parts))
