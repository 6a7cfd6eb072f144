"""Score: predict every entity of the store with the champion, in partitions that can run in parallel.

The features are those known as of a moment; the model is the present champion, also for a moment of the past.
A row's prediction id follows from `as_of` and its key, so a rerun writes the same rows. `score_file` scores
the rows of a file instead.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict

import pandas as pd

from evergreen.model.loaded_model import LoadedModel
from evergreen.model.log_rows import build_prediction_rows, list_column_inputs, list_on_demand_values
from evergreen.model.on_demand import build_columns_from_frame
from evergreen.model.predict import predict_rows
from evergreen.model.prediction_counter import PredictionCounter
from evergreen.registry.champion import require_champion
from evergreen.registry.verification import load_recorded_model
from evergreen.scoring.file import score_file
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.online.vectors import compute_key_ranges, read_rows_as_of
from evergreen.store.predictions.channels import BATCH
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.tables.prediction_tables import update_prediction_tables
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

__all__ = ["compute_prediction_id", "plan_partitions", "run_score", "score_file", "score_partition"]

PARTITION_ROWS = 50_000
_INSERT_ROWS = 2_000


class Partition(TypedDict):
    """A range of entity keys, `after` excluded and `until` included, and the version that scores it.

    A key is a sequence with one value per key column; None is no bound.
    """

    after: Sequence[Any] | None
    until: Sequence[Any] | None
    model_version: int


class PartitionResult(TypedDict):
    """The rows of a partition, and how many of them were not in the log yet."""

    rows: int
    inserted: int
    model_version: int


class ScoreResult(TypedDict):
    """The sums of `PartitionResult` over all partitions; `parts` is how many there are."""

    rows: int
    inserted: int
    parts: int


def plan_partitions(
    settings: Settings, use_case_name: str, as_of: datetime, size: int = PARTITION_ROWS
) -> list[Partition]:
    """Divide the entities known as of a moment into partitions of `size` rows.

    Together they hold every key, so an ingest meanwhile moves no entity from one to another. The version is
    fixed here, so that one run is scored by one model. Raises NoChampion.
    """
    use_case = load_use_case(use_case_name, settings)
    version = require_champion(settings, use_case_name).version
    ranges = compute_key_ranges(get_engine(settings), use_case, as_of, size)
    return [{"after": after, "until": until, "model_version": version} for after, until in ranges]


def score_partition(
    settings: Settings, use_case_name: str, as_of: datetime, partition: Partition
) -> PartitionResult:
    """Predict one partition and write the predictions to the log, in the channel `batch`, where they are
    counted as those of a service are.

    Raises ModelRefused for a version that is not the one that was registered.
    """
    use_case = load_use_case(use_case_name, settings)
    database = get_engine(settings)
    update_prediction_tables(database, use_case)
    frame = read_rows_as_of(database, use_case, as_of, partition["after"], partition["until"])
    model = load_recorded_model(settings, database, use_case, partition["model_version"])
    counter = PredictionCounter(database, use_case)
    inserted = 0
    for start in range(0, len(frame), _INSERT_ROWS):
        rows = build_batch_rows(use_case, model, frame.iloc[start : start + _INSERT_ROWS], as_of)
        inserted += insert_predictions(database, use_case, rows, counter)
    return {"rows": len(frame), "inserted": inserted, "model_version": model.version}


def run_score(settings: Settings, use_case_name: str, as_of: datetime) -> ScoreResult:
    """Score all partitions, one after the other."""
    results = [
        score_partition(settings, use_case_name, as_of, partition)
        for partition in plan_partitions(settings, use_case_name, as_of)
    ]
    return {
        "rows": sum(result["rows"] for result in results),
        "inserted": sum(result["inserted"] for result in results),
        "parts": len(results),
    }


def compute_prediction_id(use_case_name: str, as_of: datetime, key: Sequence[Any]) -> uuid.UUID:
    """The id of a key's batch prediction: a UUIDv7 (RFC 9562) with `as_of` as its time, else a hash."""
    milliseconds = int(as_of.timestamp() * 1000)
    digest = int.from_bytes(
        hashlib.sha256(repr((use_case_name, as_of.isoformat(), *key)).encode()).digest()[:10]
    )
    random_a, random_b = digest >> 68, digest & ((1 << 62) - 1)
    return uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (random_a << 64) | (0b10 << 62) | random_b)


def build_batch_rows(
    use_case: UseCase, model: LoadedModel, frame: pd.DataFrame, as_of: datetime
) -> list[PredictionRow]:
    """Predict the rows of a frame, which has the entity's keys and the stored features as columns."""
    columns = build_columns_from_frame(frame, use_case)
    outcome = predict_rows(use_case, model, columns)
    keys = {name: frame[name].tolist() for name in use_case.entity.key_names}
    ids = [str(compute_prediction_id(use_case.name, as_of, key)) for key in zip(*keys.values(), strict=True)]
    inputs = list_column_inputs(use_case, keys, columns)
    on_demand = list_on_demand_values(use_case, outcome.on_demand, len(ids))
    return build_prediction_rows(BATCH, model.version, ids, inputs, outcome.list_answers(), on_demand)
