"""The record of a model as a training would write it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from evergreen.model.golden_rows import build_golden_rows
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.model.signature import compute_signature_digest
from evergreen.store.records.model_record import ModelRecord
from evergreen.usecase import UseCase


def build_record(use_case: UseCase, loaded: LoadedModel, rows: Sequence[dict[str, Any]]) -> ModelRecord:
    """The record of a loaded version whose training set is `rows`."""
    columns = add_on_demand_columns(use_case, build_columns_from_rows(use_case, rows))
    return ModelRecord(
        use_case=use_case.name,
        version=loaded.version,
        run_id=loaded.run_id,
        digest=loaded.digest,
        size_bytes=loaded.size_bytes,
        signature_digest=compute_signature_digest(loaded.model),
        golden_rows=build_golden_rows(use_case, loaded.model, columns),
        recorded_at=datetime(2026, 6, 1, tzinfo=UTC),
    )
