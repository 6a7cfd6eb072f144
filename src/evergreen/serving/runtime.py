"""The moving parts of one service, wired: model slot, prediction log, store and metrics."""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy.exc
from prometheus_client import REGISTRY, CollectorRegistry
from sqlalchemy import Engine
from uuid_utils import uuid7

from evergreen.errors import (
    KeyNotFound,
    SchemaMismatch,
    SignatureMismatch,
    StoreError,
    StoreRefused,
    StoreUnreachable,
)
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import explain_prediction, predict_rows
from evergreen.private import make_private_folder, open_private_file
from evergreen.registry.champion import read_champion
from evergreen.registry.models import load_model
from evergreen.registry.reconcile import reconcile_ledger
from evergreen.serving.http.examples import draw_requests
from evergreen.serving.metrics import ServiceMetrics
from evergreen.serving.models.slot import ModelSlot, ServedModel
from evergreen.serving.models.watch import ChampionWatch
from evergreen.serving.predictions.log_writer import PredictionLog
from evergreen.serving.predictions.spool import PredictionSpool, Row
from evergreen.serving.predictions.table_update import TableUpdate
from evergreen.serving.standing import format_restart_command
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.online.vectors import read_online_features
from evergreen.store.predictions.prediction_log import insert_predictions, record_actual
from evergreen.store.tables.migrate_generated import migrate_generated_tables
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_serving_digest, shorten_digest
from evergreen.validation.domain_words import list_domain_warnings

logger = logging.getLogger(__name__)

# How long a feedback waits for its prediction to reach the log.
FLUSH_SECONDS = 5.0
# How long the ledger's comparison waits for a promotion in progress, before it is tried again.
_RECONCILE_SECONDS = 60.0


class Runtime:
    """Answers for one use case. Thread-safe: the event loop and worker threads share it."""

    def __init__(self, settings: Settings, use_case: UseCase, registry: CollectorRegistry = REGISTRY) -> None:
        self.settings = settings
        self.use_case = use_case
        self.started_at = datetime.now(UTC)
        # Taken now, from what was just loaded: the files may be edited while this process runs.
        self.declaration = compute_serving_digest(use_case)
        self.metrics = ServiceMetrics(use_case.name, registry)
        self.slot = ModelSlot(
            partial(read_champion, settings, use_case.name),
            self._load,
            poll_seconds=settings.champion_poll_seconds,
            swapped=self._swapped,
            named=ChampionWatch(self._reconcile).saw,
        )
        self.log = PredictionLog(
            self._write,
            PredictionSpool(self._spill_home, use_case.name),
            at_fault=_is_row_at_fault,
            refuse=self._keep_refused,
            observe=self.metrics.log_moved,
        )
        self._table_update = TableUpdate(lambda: migrate_generated_tables(self._engine, use_case))
        self.answered = {"online": 0, "canary": 0}
        self._features = tuple(feature.name for feature in use_case.stored_features)
        self._guessed = tuple(feature for feature in use_case.stored_features if not feature.strict)

    def start(self) -> None:
        """Begin to ask for the champion and to write the log."""
        self.log.start()
        self.slot.start()

    def stop(self) -> None:
        """Stop asking, and drain the log: into MariaDB, or onto the disk for the next start."""
        self.slot.stop()
        self.log.stop()
        logger.info("prediction log drained: %d written, %d wait on disk", self.log.written, self.log.spilled)

    @property
    def _engine(self) -> Engine:
        return get_engine(self.settings)

    @property
    def _spill_home(self) -> Any:
        return self.settings.home / "predictions"

    def answer(self, rows: Sequence[Row], channel: str) -> tuple[int, list[dict[str, Any]]]:
        """Predict rows of the request's form with ONE model, log them, and return (version, answers).

        Where features have the severity "warning", each answer has a list `warnings`, empty for none.

        Raises NoChampion, StoreError of an on-demand feature, and PredictionLogFull.
        """
        served = self.slot.require()
        outcome = predict_rows(self.use_case, served.model, build_columns_from_rows(self.use_case, rows))
        answers: list[dict[str, Any]] = []
        logged: list[dict[str, Any]] = []
        keys = self.use_case.entity.key_names
        for number, row in enumerate(rows):
            prediction_id = uuid7()
            key = {name: row.get(name) for name in keys}
            result = outcome.answer(number)
            identity = {"prediction_id": str(prediction_id), "model_version": served.version, **key}
            warnings = {"warnings": list_domain_warnings(self._guessed, row)} if self._guessed else {}
            answers.append({**identity, **result, **warnings})
            logged.append(
                {
                    **identity,
                    "predicted_at": datetime.fromtimestamp(prediction_id.timestamp / 1000, UTC),
                    "channel": channel,
                    **{name: row.get(name) for name in self._features},
                    "prediction": result["prediction"],
                    "probability": result.get("probability"),
                    "probabilities": result.get("probabilities"),
                }
            )
        self.log.put(logged)
        self.answered[channel] += len(rows)
        self.metrics.answered(served.version, channel, len(rows))
        self.metrics.log_moved(self.log)
        return served.version, answers

    def stored_rows(self, keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The newest stored features of each key, as request rows. Raises KeyNotFound naming the unknown."""
        names = self.use_case.entity.key_names
        wanted = [tuple(key[name] for name in names) for key in keys]
        found = read_online_features(self._engine, self.use_case, wanted)
        unknown = [key for key in wanted if key not in found]
        if unknown:
            shown = ", ".join(
                " ".join(f"{n}={v!r}" for n, v in zip(names, key, strict=True)) for key in unknown[:5]
            )
            raise KeyNotFound(
                f"the online store has no {self.use_case.entity.name} {shown}"
                f"{f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''}",
                hint="run the ingest for its rows, or send the features themselves to /predict",
            )
        return [{**found[key], **dict(zip(names, key, strict=True))} for key in wanted]

    def explain(self, row: Row) -> dict[str, Any]:
        """Each feature's contribution to the prediction of one row. Not a prediction: it is not logged."""
        served = self.slot.require()
        columns = build_columns_from_rows(self.use_case, [row])
        return {"model_version": served.version, **explain_prediction(self.use_case, served.model, columns)}

    def feedback(self, prediction_id: str, actual: str | float, at: datetime) -> None:
        """Record what really happened, also for a prediction that is still on its way into the log.

        Raises KeyNotFound when nobody was given that id, StoreUnreachable while that cannot be known.
        """
        try:
            record_actual(self._engine, self.use_case, prediction_id, actual, at)
            return
        except KeyNotFound:
            arrived = self.log.flush(FLUSH_SECONDS)
        if not arrived:
            raise StoreUnreachable(
                "the prediction log is still on its way into MariaDB",
                hint="send the feedback again in a minute",
            )
        record_actual(self._engine, self.use_case, prediction_id, actual, at)

    def metadata(self) -> dict[str, Any]:
        """What is served and since when: the body of GET /metadata."""
        served = self.slot.current
        use_case = self.use_case
        return {
            "use_case": use_case.name,
            "title": use_case.title,
            "entity": use_case.entity.name,
            "keys": list(use_case.entity.key_names),
            "problem": use_case.problem,
            "started_at": self.started_at.isoformat(),
            "declaration": self.declaration,
            "model_version": served.version if served else None,
            "run_id": served.model.run_id if served else None,
            "promoted_at": served.promoted_at.isoformat() if served and served.promoted_at else None,
            "loaded_at": served.loaded_at.isoformat() if served else None,
            "features": [
                {"name": f.name, "type": f.dtype, "meaning": f.meaning} for f in use_case.stored_features
            ],
            "model_features": list(served.model.feature_names) if served else [],
            "classes": list(use_case.label.classes),
            "predictions": dict(self.answered),
            "log": {
                "queued": self.log.queued,
                "spilled": self.log.spilled,
                "written": self.log.written,
                "lost": self.log.lost,
            },
            "trouble": self.slot.trouble,
        }

    def _load(self, version: int) -> LoadedModel:
        try:
            loaded = load_model(self.settings, self.use_case, version)
        except SignatureMismatch as error:
            raise SignatureMismatch(
                f"{error.message}; this service holds the declaration that was there when it started"
                f" ({shorten_digest(self.declaration)}): if it was changed since,"
                f" {format_restart_command(self.use_case.name)}",
                hint=error.hint,
            ) from error
        # A model that cannot answer must fail here, while the former one still serves.
        rows = draw_requests(self.use_case, 1, seed=version)
        predict_rows(self.use_case, loaded, build_columns_from_rows(self.use_case, rows))
        return loaded

    def _swapped(self, served: ServedModel) -> None:
        self.metrics.swapped(served.version)
        # Full collections over BentoML's large heap are the latency tail: keep them off what stays anyway.
        gc.collect()
        gc.freeze()

    def _reconcile(self) -> None:
        """Tell the ledger if this champion was set by hand in MLflow."""
        reconcile_ledger(self.settings, self._engine, self.use_case.name, _RECONCILE_SECONDS)

    def _write(self, rows: Sequence[Row]) -> None:
        self._table_update.start()
        try:
            insert_predictions(self._engine, self.use_case, rows)
        except sqlalchemy.exc.DataError as error:
            if self._table_update.done:
                raise
            # Only the new form of the table may hold the value: the rows wait on disk for it.
            raise StoreRefused(
                f"{self.use_case.prediction_table} is not up to date yet, and does not take a value",
                hint="see the service's log for what keeps the table from being brought up to date",
            ) from error

    def _keep_refused(self, row: Row, error: Exception) -> None:
        home = self._spill_home
        make_private_folder(home)
        path = home / f"{self.use_case.name}.refused.jsonl"
        handle = open_private_file(path, os.O_WRONLY | os.O_APPEND)
        with os.fdopen(handle, "a", encoding="utf-8") as kept:
            kept.write(f"{json.dumps({'reason': str(error), 'row': dict(row)}, default=str)}\n")


def _is_row_at_fault(error: Exception) -> bool:
    """Whether MariaDB would refuse the row again: a value or a field that the table does not have."""
    if isinstance(error, StoreError):
        return not isinstance(error, StoreUnreachable | StoreRefused | SchemaMismatch)
    return isinstance(error, sqlalchemy.exc.DataError | sqlalchemy.exc.IntegrityError)
