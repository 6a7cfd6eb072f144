"""The service of one use case without HTTP: it predicts with the champion, logs, and takes feedback.

`app.py` and `fast_path.py` call it. It holds the champion's model (`models/`), the spool of the prediction
log (`predictions/`) and the service's metrics.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import cast

from prometheus_client import REGISTRY, CollectorRegistry
from sqlalchemy import Engine
from uuid_utils import uuid7

from evergreen.errors import KeyNotFound, PredictionLogFull
from evergreen.model.log_rows import list_logged_names, list_on_demand_columns
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import explain_prediction, predict_pool
from evergreen.model.predictions import Predictions
from evergreen.model.request_inputs import RequestInputBuilder, RequestInputs, RequestValues
from evergreen.registry.champion import read_champion
from evergreen.registry.reconcile import reconcile_ledger
from evergreen.registry.refusals import record_refusal
from evergreen.serving.channels import ONLINE, PROBE_CHANNEL
from evergreen.serving.http.bodies import (
    ExplanationBody,
    FieldReason,
    LogBody,
    MetadataBody,
    PredictionBatchBody,
    PredictionBody,
    RequestRow,
    build_prediction_body,
)
from evergreen.serving.metrics import ServiceMetrics
from evergreen.serving.models.loader import build_model_loader
from evergreen.serving.models.model_state import describe_model_state
from evergreen.serving.models.refusals import Refusal, RefusalLog
from evergreen.serving.models.slot import ModelSlot, ServedModel
from evergreen.serving.models.watch import ChampionWatch
from evergreen.serving.predictions.idempotency import make_prediction_ids
from evergreen.serving.predictions.record import (
    OutcomeRecord,
    PredictionRecord,
    RefusedRecord,
    build_segment_schema,
    encode_record,
)
from evergreen.serving.predictions.refused import RefusedCounter
from evergreen.serving.predictions.shipping import LogCounts, Shipping
from evergreen.serving.predictions.spool import Spool
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.connection.values import KeyTuple
from evergreen.store.online.vectors import OnlineVector, find_missing_keys, read_online_vectors
from evergreen.store.predictions.prediction_id import parse_prediction_id
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_serving_digest
from evergreen.validation.domain_words import list_domain_warnings

logger = logging.getLogger(__name__)

# How long the ledger's comparison waits for a promotion in progress, before it is tried again.
_RECONCILE_SECONDS = 60.0
# How long the end of the service waits for the shipper, which itself takes a little less.
_DRAIN_SECONDS = 18.0


class Runtime:
    """Predicts, explains and takes feedback for one use case. Thread-safe."""

    def __init__(
        self,
        settings: Settings,
        use_case: UseCase,
        registry: CollectorRegistry = REGISTRY,
        observe_refused: Callable[[str, str, int], None] = lambda *_: None,
    ) -> None:
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
        self.spool = Spool(
            settings.home / "predictions",
            build_segment_schema(use_case),
            durability=use_case.serving.durability,
            limit_bytes=use_case.serving.spool_mb * 10**6,
            full_policy=use_case.serving.spool_full,
        )
        self.shipping = Shipping(self.spool, self._observe_log)
        self._refused = RefusedCounter(list_logged_names(use_case), self.spool.folder.name, observe_refused)
        self.answered = {ONLINE: 0, PROBE_CHANNEL: 0}
        self._key_names = use_case.entity.key_names
        self._logged_names = list_logged_names(use_case)
        self._warning_features = tuple(feature for feature in use_case.stored_features if not feature.strict)
        self._inputs = RequestInputBuilder(use_case)

    def start(self) -> None:
        """Start the threads that ship the log and follow the champion."""
        self.shipping.start()
        self.slot.start()

    def stop(self) -> None:
        """Stop both threads; rows that MariaDB does not take stay on disk for the next start."""
        self.slot.stop()
        if self.shipping.stop(_DRAIN_SECONDS):
            logger.info("the prediction log is in MariaDB")
        else:
            logger.warning("predictions wait in %s for the next start", self.spool.folder)

    @property
    def _engine(self) -> Engine:
        return get_engine(self.settings)

    def answer(self, rows: Sequence[RequestValues], channel: str, ids: Sequence[str]) -> list[PredictionBody]:
        """Predict rows with ONE model, and log them under `ids` (UUIDv7); they are durable when it returns.

        A second prediction under an id is answered, and the log keeps the first. Where features have the
        severity "warning", each answer has a list `warnings`, empty for none.

        Raises NoChampion, StoreError of an on-demand feature, and PredictionLogFull.
        """
        served_model = self.slot.require()
        model, version = served_model.model, served_model.version
        inputs = self._inputs.build(rows)
        outcome = predict_pool(model.model, inputs.pool, model.classes, model.weights)
        bodies = [
            build_prediction_body(
                prediction_id,
                version,
                dict(zip(self._key_names, row, strict=False)),
                answer,
                self._list_warnings(row),
            )
            for prediction_id, row, answer in zip(ids, rows, outcome.list_answers(), strict=True)
        ]
        # Last, because a prediction is in the log exactly when it is answered.
        self._log(channel, version, ids, rows, inputs, outcome)
        self.answered[channel] += len(rows)
        self.metrics.count_answers(version, channel, len(rows))
        return bodies

    def answer_rows(
        self, rows: Sequence[RequestRow], channel: str, request_id: str | None = None
    ) -> PredictionBatchBody:
        """The same for rows by name. `request_id` is the key by which a caller knows a repeated request."""
        names = self._logged_names
        values = [tuple([row.get(name) for name in names]) for row in rows]
        bodies = self.answer(values, channel, make_prediction_ids(request_id, len(rows)))
        return {"model_version": bodies[0]["model_version"], "predictions": bodies}

    def _log(
        self,
        channel: str,
        version: int,
        ids: Sequence[str],
        rows: Sequence[RequestValues],
        inputs: RequestInputs,
        outcome: Predictions,
    ) -> None:
        record = PredictionRecord(
            channel,
            version,
            ids,
            rows,
            list(list_on_demand_columns(self.use_case, inputs.on_demand).values()),
            outcome.predictions.tolist(),
            [] if outcome.probabilities is None else outcome.probabilities.tolist(),
        )
        self.spool.append([encode_record(record)], len(ids))

    def _list_warnings(self, values: RequestValues) -> list[FieldReason] | None:
        """What a row breaks of the domains that only warn; None where the use case has no such domain."""
        if not self._warning_features:
            return None
        row = dict(zip(self._logged_names, values, strict=True))
        return cast("list[FieldReason]", list_domain_warnings(self._warning_features, row))

    def read_vectors(self, keys: Sequence[KeyTuple]) -> dict[KeyTuple, OnlineVector]:
        """The newest stored features of those keys that the online store has. Raises StoreUnreachable."""
        return read_online_vectors(self._engine, self.use_case, keys)

    def answer_keys(
        self, keys: Sequence[RequestRow], channel: str, request_id: str | None = None
    ) -> PredictionBatchBody:
        """Predict from the newest stored features of each key, and log the vectors with the predictions.

        Raises KeyNotFound naming the unknown keys, StoreUnreachable, and what `answer` raises.
        """
        # The request's types admit no other key than text or a whole number.
        key_tuples = [cast("KeyTuple", tuple([key[name] for name in self._key_names])) for key in keys]
        vectors = self.read_vectors(key_tuples)
        if unknown := find_missing_keys(key_tuples, vectors):
            raise self.build_unknown_keys_error(unknown)
        values = [(*key, *vectors[key].features.values()) for key in key_tuples]
        bodies = self.answer(values, channel, make_prediction_ids(request_id, len(keys)))
        for key, body in zip(key_tuples, bodies, strict=True):
            body["stale_views"] = list(vectors[key].stale_views)
            body["missing_views"] = list(vectors[key].missing_views)
        return {"model_version": bodies[0]["model_version"], "predictions": bodies}

    def build_unknown_keys_error(self, unknown: Sequence[KeyTuple]) -> KeyNotFound:
        """The error for keys that no view has."""
        listing = ", ".join(
            " ".join(f"{n}={v!r}" for n, v in zip(self._key_names, key, strict=True)) for key in unknown[:5]
        )
        return KeyNotFound(
            f"the online store has no {self.use_case.entity.name} {listing}"
            f"{f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''}",
            hint="run the ingest for its rows, or send the features themselves to /predict",
        )

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

    def take_feedback(self, outcomes: Sequence[tuple[str, str | float]], at: datetime) -> None:
        """Log what really happened, as pairs of a prediction's id and the outcome, at a moment (aware UTC).

        All of them are durable when it returns, or none. The predictions need not be in MariaDB yet, and
        other replicas may have made them. Raises StoreError for an id that no service gives,
        PredictionLogFull.
        """
        prediction_ids = [parse_prediction_id(prediction_id)[0] for prediction_id, _ in outcomes]
        ids = [str(uuid7()) for _ in outcomes]
        record = OutcomeRecord(at, ids, prediction_ids, [actual for _, actual in outcomes])
        self.spool.append([encode_record(record)], len(ids))

    def count_refused(self, faults: Sequence[tuple[str, str]]) -> None:
        """Count the faults of a request that was refused for its values, each a field and a kind."""
        self._refused.count(faults)

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
            "log": cast("LogBody", asdict(self.shipping.count_rows())),
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

    def _observe_log(self, counts: LogCounts) -> None:
        """Show the log's counts, and put what was refused since the last call into the log."""
        self.metrics.update_log(counts)
        refused = self._refused.take()
        if refused:
            try:
                self.spool.append([encode_record(RefusedRecord(refused))], len(refused))
            except PredictionLogFull:
                self._refused.put_back(refused)

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
