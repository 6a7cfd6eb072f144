"""What every contender needs: MariaDB with the use case's tables, the registered champion, the requests."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.common.server import Bench, running
from benchmarks.common.timing import say
from benchmarks.serving.champion import Budget, load_champion, register_champion

from evergreen.ingest.loading.load import load_parts
from evergreen.registry.succession.aliases import set_champion
from evergreen.serving.http.examples import draw_requests
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.ingest_run import start_ingest
from evergreen.usecase import EVENT_TIME, UseCase
from evergreen.usecases import load_use_case

USE_CASE = "credit_score"
BODIES, SEED = 1_000, 11
# Rows in a body of /predict_batch, and how many such bodies are sent in turn.
BATCH_ROWS, BATCH_BODIES = 1_000, 20


@dataclass(frozen=True)
class World:
    """Settings on the run's servers, the model in service, its version, and `rows`: the requests' data.

    `registry_address` is the MLflow server that services ask; where it is empty, that of the settings.
    """

    bench: Bench
    settings: Settings
    use_case: UseCase
    model: Any
    version: int
    rows: Sequence[Mapping[str, Any]]
    registry_address: str = ""

    @property
    def folder(self) -> Path:
        return self.bench.folder

    def write_bodies(self, name: str, bodies: Sequence[object]) -> Path:
        """A file of request bodies, as a plan names it; the same name is the same file."""
        path = self.folder / f"bodies-{name}.json"
        path.write_text(json.dumps([json.dumps(body) for body in bodies]), encoding="utf-8")
        return path

    def write_single_bodies(self) -> Path:
        """One row in each, for /predict."""
        return self.write_bodies("predict", [{"data": row} for row in self.rows])

    def write_batch_bodies(self) -> Path:
        """`BATCH_ROWS` rows in each, for /predict_batch: the same rows in other orders."""
        dice = random.Random(SEED)
        repeats = -(-BATCH_ROWS // len(self.rows))
        rows = (list(self.rows) * repeats)[:BATCH_ROWS]
        return self.write_bodies(
            "batch", [{"data": dice.sample(rows, BATCH_ROWS)} for _ in range(BATCH_BODIES)]
        )

    def write_key_bodies(self) -> Path:
        """One key in each, for /predict_by_key, all of which the online store holds."""
        keys = list(range(1, len(self.rows) + 1))
        random.Random(SEED).shuffle(keys)
        (name,) = self.use_case.entity.key_names
        return self.write_bodies("by-key", [{"data": {name: key}} for key in keys])


@contextmanager
def prepare_world(folder: Path, cache: Path, budget: Budget) -> Iterator[World]:
    """Everything in `folder`, gone at the end; the trained model stays in `cache`."""
    registry = f"sqlite:///{folder / 'mlflow.db'}"
    with running(folder) as bench, bench.store(USE_CASE, "serving", registry) as settings:
        use_case = load_use_case(USE_CASE, settings)
        rows = draw_requests(use_case, BODIES, SEED)
        model = load_champion(cache, budget)
        say(f"registering it: {model.tree_count_} trees")
        version = register_champion(settings, use_case, model, folder)
        set_champion(settings, use_case.name, version, promoted_at=datetime.now(UTC))
        _fill_online_store(settings, use_case, rows)
        yield World(bench, settings, use_case, model, version, rows)


def _fill_online_store(settings: Settings, use_case: UseCase, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows as the newest of the keys 1, 2, ..., true since yesterday."""
    now = datetime.now(UTC)
    frame = pd.DataFrame(rows)
    (key,) = use_case.entity.key_names
    frame[key] = np.arange(1, len(frame) + 1)
    frame[EVENT_TIME] = pd.Series([now - timedelta(days=1)] * len(frame), dtype="datetime64[us, UTC]")
    run = start_ingest(get_engine(settings), use_case, now)
    views = {
        view.name: frame[[key, EVENT_TIME, *(feature.name for feature in view.features)]]
        for view in use_case.views
    }
    load_parts(get_engine(settings), use_case, run.id, views)
