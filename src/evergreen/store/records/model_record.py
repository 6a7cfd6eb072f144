"""Registered versions as they were registered: one row per version, which a service compares them with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.errors import StoreError
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.predictions.prediction_row import InputValue
from evergreen.store.tables.platform import MODEL_RECORD


@dataclass(frozen=True)
class GoldenRow:
    """A row of a training set, and the answer of the model that was made of that set.

    `inputs` are the stored features by name. `probabilities` are by class; None for numbers.
    """

    inputs: Mapping[str, InputValue]
    prediction: str | float
    probabilities: Mapping[str, float] | None


@dataclass(frozen=True)
class GoldenRows:
    """Golden rows, and by how much an answer may differ: absolutely for a probability, relatively for a
    number."""

    rows: tuple[GoldenRow, ...]
    tolerance: float

    def to_json(self) -> JsonObject:
        """The document as it is stored, and as the MLflow run keeps it."""
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> GoldenRows:
        """The rows that `to_json` wrote."""
        return read_document(GoldenRows, document)


@dataclass(frozen=True)
class ModelRecord:
    """A version of a use case's model when a training registered it.

    `digest` is the SHA-256 of its file of `size_bytes`, `signature_digest` that of its inputs and classes
    (see `model/signature.py`). `golden_rows` is None where the training kept none. `recorded_at` is aware
    UTC.
    """

    use_case: str
    version: int
    run_id: str
    digest: str
    size_bytes: int
    signature_digest: str
    golden_rows: GoldenRows | None
    recorded_at: datetime


def save_model_record(engine: sa.Engine, record: ModelRecord) -> None:
    """Write a version's record, in place of a former one of that number."""
    values = {
        "mlflow_run_id": record.run_id,
        "digest": record.digest,
        "size_bytes": record.size_bytes,
        "signature_digest": record.signature_digest,
        "golden_rows": json.dumps(record.golden_rows.to_json()) if record.golden_rows else None,
        "recorded_at": to_naive_utc(record.recorded_at),
    }
    insert = sa.dialects.mysql.insert(MODEL_RECORD).values(
        use_case=record.use_case, model_version=record.version, **values
    )
    with engine.begin() as connection:
        connection.execute(insert.on_duplicate_key_update(**values))


def find_model_record(engine: sa.Engine, use_case_name: str, version: int, run_id: str) -> ModelRecord | None:
    """The record of that version of that MLflow run; None where no training wrote one.

    A record of another run belongs to a registered model that was deleted since, and does not count. Raises
    StoreError when the record was changed into something that cannot be read.
    """
    c = MODEL_RECORD.c
    statement = sa.select(MODEL_RECORD).where(
        c.use_case == use_case_name, c.model_version == version, c.mlflow_run_id == run_id
    )
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    if not rows:
        return None
    (row,) = rows
    try:
        golden_rows = GoldenRows.from_json(json.loads(row.golden_rows)) if row.golden_rows else None
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the golden rows of {use_case_name} version {version} in model_record cannot be read:"
            f" {type(error).__name__}: {error}",
            hint=f"train it again: evergreen train {use_case_name}; without that row the version counts as"
            " not on record, and is served with a warning",
        ) from error
    return ModelRecord(
        use_case=row.use_case,
        version=row.model_version,
        run_id=row.mlflow_run_id,
        digest=row.digest,
        size_bytes=row.size_bytes,
        signature_digest=row.signature_digest,
        golden_rows=golden_rows,
        recorded_at=to_aware_utc(row.recorded_at),
    )
