"""What the spool holds, as MessagePack: predictions, outcomes, and counts of refused requests.

The rows of one batch are one record. It holds values only; their names are in the schema at the head of its
segment, which says under which declaration it was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from evergreen.errors import SpoiltRecord
from evergreen.model.log_rows import list_logged_names
from evergreen.store.predictions.outcomes import Outcome
from evergreen.store.predictions.prediction_id import parse_prediction_id
from evergreen.store.predictions.prediction_row import InputValue, PredictionRow
from evergreen.store.predictions.refused import RefusedCount
from evergreen.usecase import UseCase

FORMAT = 1


class SegmentSchema(msgspec.Struct, frozen=True):
    """The names of the values in a segment's records.

    `inputs` are the keys and stored features, `on_demand` the features computed from them, `classes` those of
    the probabilities (none for numbers).
    """

    format: int
    use_case: str
    inputs: tuple[str, ...]
    on_demand: tuple[str, ...]
    classes: tuple[str, ...]


class PredictionRecord(msgspec.Struct, array_like=True, tag="prediction", frozen=True):
    """The n predictions of one batch that one model made for one channel.

    `inputs` has a row for each, `on_demand` a column for each feature, `probabilities` a row for each in the
    order of the classes (none for numbers).
    """

    channel: str
    model_version: int
    ids: Sequence[str]
    inputs: Sequence[Sequence[InputValue]]
    on_demand: Sequence[Sequence[InputValue]]
    predictions: Sequence[str | float]
    probabilities: Sequence[Sequence[float]]


class OutcomeRecord(msgspec.Struct, array_like=True, tag="outcome", frozen=True):
    """Outcomes that clients reported at one moment (aware UTC), each with an id of its own."""

    recorded_at: datetime
    ids: Sequence[str]
    prediction_ids: Sequence[str]
    actuals: Sequence[str | float]


class RefusedRecord(msgspec.Struct, array_like=True, tag="refused", frozen=True):
    """Counts of values that were refused."""

    counts: Sequence[RefusedCount]


Record: TypeAlias = PredictionRecord | OutcomeRecord | RefusedRecord

_encoder = msgspec.msgpack.Encoder()
_record_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(
    PredictionRecord | OutcomeRecord | RefusedRecord
)
_schema_decoder = msgspec.msgpack.Decoder(SegmentSchema)


def build_segment_schema(use_case: UseCase) -> SegmentSchema:
    """The schema of records that are written under a declaration."""
    return SegmentSchema(
        FORMAT,
        use_case.name,
        list_logged_names(use_case),
        tuple(feature.name for feature in use_case.on_demand_order),
        use_case.label.classes,
    )


def build_outcome_record(
    outcomes: Sequence[tuple[str, str | float]], at: datetime, ids: Sequence[str]
) -> OutcomeRecord:
    """The record of outcomes that came at a moment (aware UTC), pairs of a prediction's id and what really
    happened, under ids of their own. Raises StoreError for a prediction's id that no service gives."""
    prediction_ids = [parse_prediction_id(prediction_id)[0] for prediction_id, _ in outcomes]
    return OutcomeRecord(at, ids, prediction_ids, [each for _, each in outcomes])


def encode_record(record: Record | SegmentSchema) -> bytes:
    """A record or a schema as MessagePack."""
    return _encoder.encode(record)


def decode_schema(data: bytes) -> SegmentSchema:
    """The schema that `encode_record` wrote. Raises SpoiltRecord for anything else."""
    try:
        schema = _schema_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise SpoiltRecord(f"no segment's schema: {error}") from error
    if schema.format != FORMAT:
        raise SpoiltRecord(
            f"the segment has format {schema.format}", hint="it was written by a later version of Evergreen"
        )
    return schema


def decode_record(data: bytes) -> Record:
    """The record that `encode_record` wrote. Raises SpoiltRecord for anything else."""
    try:
        return _record_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise SpoiltRecord(f"no record: {error}") from error


def list_prediction_rows(schema: SegmentSchema, record: PredictionRecord) -> Iterator[PredictionRow]:
    """The rows of the prediction log that a record holds."""
    columns = list(zip(*record.on_demand, strict=True)) if record.on_demand else [()] * len(record.ids)
    for number, prediction_id in enumerate(record.ids):
        prediction = record.predictions[number]
        shares = (
            dict(zip(schema.classes, record.probabilities[number], strict=True)) if schema.classes else None
        )
        yield PredictionRow(
            prediction_id,
            record.model_version,
            record.channel,
            dict(zip(schema.inputs, record.inputs[number], strict=True)),
            prediction,
            shares[str(prediction)] if shares else None,
            shares,
            dict(zip(schema.on_demand, columns[number], strict=True)),
        )


def list_outcomes(record: OutcomeRecord) -> Iterator[Outcome]:
    """The outcomes that a record holds."""
    for outcome_id, prediction_id, actual in zip(
        record.ids, record.prediction_ids, record.actuals, strict=True
    ):
        yield Outcome(outcome_id, prediction_id, actual, record.recorded_at)
