"""Score: the champion's predictions for every known entity, in partitions that run in parallel.

The features are those known as of the moment; the model is today's champion, also for a moment of the past. A
row's prediction id follows from `as_of` and its key, so a rerun writes the same rows. `score_file` does it
from file to file.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from evergreen.registry.champion import require_champion
from evergreen.scoring.file import score_file
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.model.loaded_model import LoadedModel

__all__ = ["compute_prediction_id", "plan_partitions", "run_score", "score_file", "score_partition"]

PARTITION_ROWS = 50_000
_INSERT_ROWS = 2_000


def plan_partitions(
    settings: Settings, use_case: str, as_of: datetime, size: int = PARTITION_ROWS
) -> list[dict[str, Any]]:
    """Divide the entities known as of a moment into parts of `size`: {"after", "until", "model_version"}.

    A part is a range of keys (lists with one value per key column; None: no bound), the parts together hold
    every key, so an ingest meanwhile moves no entity from one to another. The version is fixed here, so that
    one run is scored by one model. Raises NoChampion.
    """
    from evergreen.store.connection.database import get_engine
    from evergreen.store.online.vectors import compute_key_ranges

    declared = load_use_case(use_case, settings)
    version = require_champion(settings, use_case).version
    ranges = compute_key_ranges(get_engine(settings), declared, as_of, size)
    return [{"after": after, "until": until, "model_version": version} for after, until in ranges]


def score_partition(
    settings: Settings, use_case: str, as_of: datetime, partition: Mapping[str, Any]
) -> dict[str, Any]:
    """Score one part into the log, channel 'batch'. Returns {"rows", "inserted", "model_version"}."""
    from evergreen.registry.models import load_model
    from evergreen.store.connection.database import get_engine
    from evergreen.store.online.vectors import read_rows_as_of
    from evergreen.store.predictions.prediction_log import insert_predictions

    declared = load_use_case(use_case, settings)
    database = get_engine(settings)
    frame = read_rows_as_of(database, declared, as_of, partition["after"], partition["until"])
    model = load_model(settings, declared, partition["model_version"])
    inserted = 0
    for start in range(0, len(frame), _INSERT_ROWS):
        rows = _prediction_rows(declared, model, frame.iloc[start : start + _INSERT_ROWS], as_of)
        inserted += insert_predictions(database, declared, rows)
    return {"rows": len(frame), "inserted": inserted, "model_version": model.version}


def run_score(settings: Settings, use_case: str, as_of: datetime) -> dict[str, Any]:
    """Score everything, one part after the other. Returns {"rows", "inserted", "parts"}."""
    parts = [
        score_partition(settings, use_case, as_of, part)
        for part in plan_partitions(settings, use_case, as_of)
    ]
    return {
        "rows": sum(part["rows"] for part in parts),
        "inserted": sum(part["inserted"] for part in parts),
        "parts": len(parts),
    }


def compute_prediction_id(use_case: str, as_of: datetime, key: Sequence[Any]) -> uuid.UUID:
    """The id of a key's batch prediction: a UUIDv7 (RFC 9562) with `as_of` as its time, else a hash."""
    milliseconds = int(as_of.timestamp() * 1000)
    digest = int.from_bytes(hashlib.sha256(repr((use_case, as_of.isoformat(), *key)).encode()).digest()[:10])
    random_a, random_b = digest >> 68, digest & ((1 << 62) - 1)
    return uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (random_a << 64) | (0b10 << 62) | random_b)


def _prediction_rows(
    use_case: UseCase, model: LoadedModel, frame: pd.DataFrame, as_of: datetime
) -> list[dict[str, Any]]:
    """Predict a frame of stored features and make the log's rows of it."""
    from evergreen.model.on_demand import build_columns_from_frame
    from evergreen.model.predict import predict_rows

    columns = build_columns_from_frame(frame, use_case)
    outcome = predict_rows(use_case, model, columns)
    keys = list(zip(*(frame[name].tolist() for name in use_case.entity.key_names), strict=True))
    rows: list[dict[str, Any]] = []
    for number, key in enumerate(keys):
        answer = outcome.answer(number)
        rows.append(
            {
                "prediction_id": str(compute_prediction_id(use_case.name, as_of, key)),
                "model_version": model.version,
                "channel": "batch",
                **dict(zip(use_case.entity.key_names, key, strict=True)),
                **{
                    f.name: _to_plain_value(columns[f.name][number], f.dtype)
                    for f in use_case.stored_features
                },
                "prediction": answer["prediction"],
                "probability": answer.get("probability"),
                "probabilities": answer.get("probabilities"),
            }
        )
    return rows


def _to_plain_value(value: Any, dtype: str) -> Any:
    """A cell as plain Python: None for missing, int for whole-number features."""
    if value is None or value != value:
        return None
    return int(value) if dtype == "int" else float(value) if dtype == "float" else str(value)
