"""The service of one use case without HTTP: it predicts with the champion, logs, and takes feedback.

`app.py` calls it from its routes. It holds the champion's model (`models/`), the writer of the prediction log
(`predictions/`) and the service's metrics.
"""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import cast

import sqlalchemy.exc
from prometheus_client import REGISTRY, CollectorRegistry
from sqlalchemy import Engine
from uuid_utils import uuid7

from evergreen.errors import (
    KeyNotFound,
    SchemaMismatch,
    StoreError,
    StoreRefused,
    StoreUnreachable,
)
from evergreen.model.log_rows import build_prediction_rows, list_logged_names, list_request_inputs
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import explain_prediction, predict_rows
from evergreen.private import make_private_folder, open_private_file
from evergreen.registry.champion import read_champion
from evergreen.registry.reconcile import reconcile_ledger
from evergreen.registry.refusals import record_refusal
from evergreen.serving.channels import CANARY, ONLINE, PROBE_CHANNEL
from evergreen.serving.http.bodies import (
    ExplanationBody,
    FieldReason,
    MetadataBody,
    PredictionBatchBody,
    RequestRow,
    build_prediction_body,
)
from evergreen.serving.metrics import ServiceMetrics
from evergreen.serving.models.loader import build_model_loader
from evergreen.serving.models.model_state import describe_model_state
from evergreen.serving.models.refusals import Refusal, RefusalLog
from evergreen.serving.models.slot import ModelSlot, ServedModel
from evergreen.serving.models.watch import ChampionWatch
from evergreen.serving.predictions.log_writer import PredictionLog
from evergreen.serving.predictions.spool import PredictionSpool
from evergreen.serving.predictions.table_update import TableUpdate
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.connection.values import KeyTuple
from evergreen.store.online.vectors import read_online_features
from evergreen.store.predictions.prediction_log import insert_predictions, record_actual
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.tables.migrate_generated import migrate_generated_tables
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_serving_digest
from evergreen.validation.domain_words import list_domain_warnings

logger = logging.getLogger(__name__)

# How long a feedback waits for its prediction to reach the log.
FLUSH_SECONDS = 5.0
# How long the ledger's comparison waits for a promotion in progress, before it is tried again.
_RECONCILE_SECONDS = 60.0


class Runtime:
    """Predicts, explains and takes feedback for one use case. Thread-safe."""

    def __init__(self, settings: Settings, use_case: UseCase, registry: CollectorRegistry = REGISTRY) -> None:
        self.settings = settings
        self.use_case = use_case
        self.started_at = datetime.now(UTC)
        # Computed now, because the files may be edited while this process runs.
        self.declaration = compute_serving_digest(use_case)
        self.metrics = ServiceMetrics(use_case.name, registry)
        self.refusals = RefusalLog(self._record_refusal)
        self.models = build_model_loader(settings, use_case, self.declaration, self.refusals)
        self.slot = ModelSlot(
            partial(read_champion, settings, use_case.name),
            self.models.load_verified_model,
            poll_seconds=settings.champion_poll_seconds,
            load_cached_model=self.models.load_cached_model,
            on_swap=self._handle_swap,
            on_champion=ChampionWatch(self._reconcile).notice_champion,
        )
        self.log = PredictionLog(
            self._write,
            PredictionSpool(self._spool_home, use_case.name),
            is_row_at_fault=_is_row_at_fault,
            refuse=self._append_refused,
            observe=self.metrics.update_log,
        )
        self.answered = {ONLINE: 0, PROBE_CHANNEL: 0}
        self._key_names = use_case.entity.key_names
        self._logged_names = list_logged_names(use_case)
        self._warning_features = tuple(feature for feature in use_case.stored_features if not feature.strict)
        self._table_update = TableUpdate(lambda: migrate_generated_tables(self._engine, use_case))

    def start(self) -> None:
        """Start the threads that write the log and follow the champion."""
        self.log.start()
        self.slot.start()

    def stop(self) -> None:
        """Stop both threads; rows that MariaDB does not take stay on disk for the next start."""
        self.slot.stop()
        self.log.stop()
        logger.info("prediction log drained: %d written, %d wait on disk", self.log.written, self.log.spilled)

    @property
    def _engine(self) -> Engine:
        return get_engine(self.settings)

    @property
    def _spool_home(self) -> Path:
        return self.settings.home / "predictions"

    def answer(self, rows: Sequence[RequestRow], channel: str) -> PredictionBatchBody:
        """Predict rows of the request's form with ONE model, and log them.

        Where features have the severity "warning", each answer has a list `warnings`, empty for none.

        Raises NoChampion, StoreError of an on-demand feature, and PredictionLogFull.
        """
        served_model = self.slot.require()
        version = served_model.version
        outcome = predict_rows(
            self.use_case, served_model.model, build_columns_from_rows(self.use_case, rows)
        )
        answers = outcome.list_answers()
        inputs = list_request_inputs(self._logged_names, rows)
        ids = [str(uuid7()) for _ in rows]
        self.log.put(build_prediction_rows(channel, version, ids, inputs, answers))
        self.answered[channel] += len(rows)
        self.metrics.count_answers(version, channel, len(rows))
        self.metrics.update_log(self.log)
        bodies = [
            build_prediction_body(
                prediction_id,
                version,
                {name: values[name] for name in self._key_names},
                answer,
                self._list_warnings(row),
            )
            for prediction_id, values, answer, row in zip(ids, inputs, answers, rows, strict=True)
        ]
        return {"model_version": version, "predictions": bodies}

    def _list_warnings(self, row: RequestRow) -> list[FieldReason] | None:
        """What a row breaks of the domains that only warn; None where the use case has no such domain."""
        if not self._warning_features:
            return None
        return cast("list[FieldReason]", list_domain_warnings(self._warning_features, row))

    def stored_rows(self, keys: Sequence[RequestRow]) -> list[RequestRow]:
        """The newest stored features of each key, as request rows. Raises KeyNotFound naming the unknown."""
        names = self._key_names
        # The request's types admit no other key than text or a whole number.
        key_tuples = [cast("KeyTuple", tuple(key[name] for name in names)) for key in keys]
        features_by_key = read_online_features(self._engine, self.use_case, key_tuples)
        unknown = [key for key in key_tuples if key not in features_by_key]
        if unknown:
            listing = ", ".join(
                " ".join(f"{n}={v!r}" for n, v in zip(names, key, strict=True)) for key in unknown[:5]
            )
            raise KeyNotFound(
                f"the online store has no {self.use_case.entity.name} {listing}"
                f"{f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''}",
                hint="run the ingest for its rows, or send the features themselves to /predict",
            )
        return [
            cast("RequestRow", {**features_by_key[key], **dict(zip(names, key, strict=True))})
            for key in key_tuples
        ]

    def explain(self, row: RequestRow) -> ExplanationBody:
        """Each feature's contribution to the prediction of one row. Not a prediction: it is not logged."""
        served_model = self.slot.require()
        columns = build_columns_from_rows(self.use_case, [row])
        explanation = explain_prediction(self.use_case, served_model.model, columns)
        return {
            "model_version": served_model.version,
            "prediction": explanation.prediction,
            "base_value": explanation.base_value,
            "contributions": explanation.contributions,
        }

    def feedback(self, prediction_id: str, actual: str | float, at: datetime) -> None:
        """Record what really happened, also for a prediction that is still on its way into the log.

        Raises KeyNotFound for an unknown id, StoreUnreachable while rows on their way may have that id.
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

    def metadata(self) -> MetadataBody:
        """What is served and since when: the body of GET /metadata."""
        served_model = self.slot.current
        use_case = self.use_case
        return {
            "use_case": use_case.name,
            "title": use_case.title,
            "entity": use_case.entity.name,
            "keys": list(use_case.entity.key_names),
            "problem": use_case.problem,
            "started_at": self.started_at.isoformat(),
            "declaration": self.declaration,
            "model_version": served_model.version if served_model else None,
            "run_id": served_model.model.run_id if served_model else None,
            "promoted_at": served_model.promoted_at.isoformat()
            if served_model and served_model.promoted_at
            else None,
            "loaded_at": served_model.loaded_at.isoformat() if served_model else None,
            "features": [
                {"name": f.name, "type": f.dtype, "meaning": f.meaning} for f in use_case.stored_features
            ],
            "model_features": list(served_model.model.feature_names) if served_model else [],
            "classes": list(use_case.label.classes),
            "predictions": dict(self.answered),
            "log": {
                "queued": self.log.queued,
                "spilled": self.log.spilled,
                "written": self.log.written,
                "lost": self.log.lost,
            },
            "trouble": self.slot.trouble,
            **describe_model_state(self.slot, self.refusals),
        }

    def _handle_swap(self, served: ServedModel) -> None:
        """Count a new model in service, remember it for the next start, and collect garbage now."""
        self.metrics.count_swap(served.version)
        self.models.note_champion(served)
        # Full collections over BentoML's large heap make single requests slow: exempt the objects of now.
        gc.collect()
        gc.freeze()

    def _reconcile(self) -> None:
        """Compare the ledger with the registry, so that a champion set by hand in MLflow gets its entry."""
        reconcile_ledger(self.settings, self._engine, self.use_case.name, _RECONCILE_SECONDS)

    def _record_refusal(self, refusal: Refusal) -> None:
        """Write a refused version into the ledger, with the one that stays in service."""
        served_model = self.slot.current
        record_refusal(
            self._engine,
            self.use_case.name,
            refusal.version,
            refusal.run_id,
            refusal.reason,
            serving_version=served_model.version if served_model else None,
        )

    def _write(self, rows: Sequence[PredictionRow]) -> None:
        self._table_update.start()
        up_to_date = self._table_update.done
        try:
            self._insert(rows)
        except sqlalchemy.exc.DataError:
            if up_to_date:
                raise
            # A table that an earlier version made knows a probe by its former name only.
            self._insert(
                [replace(row, channel=CANARY) if row.channel == PROBE_CHANNEL else row for row in rows]
            )

    def _insert(self, rows: Sequence[PredictionRow]) -> None:
        insert_predictions(self._engine, self.use_case, [row.to_columns() for row in rows])

    def _append_refused(self, row: PredictionRow, error: Exception) -> None:
        """Append a row that MariaDB refused, and why, to a file for an operator."""
        home = self._spool_home
        make_private_folder(home)
        path = home / f"{self.use_case.name}.refused.jsonl"
        line = json.dumps({"reason": str(error), "row": row.to_json()})
        with os.fdopen(open_private_file(path, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def _is_row_at_fault(error: Exception) -> bool:
    """Whether MariaDB would refuse the row again: a value or a field that the table does not have."""
    if isinstance(error, StoreError):
        return not isinstance(error, StoreUnreachable | StoreRefused | SchemaMismatch)
    return isinstance(error, sqlalchemy.exc.DataError | sqlalchemy.exc.IntegrityError)
