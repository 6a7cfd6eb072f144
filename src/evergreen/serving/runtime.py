"""The service of one use case without HTTP: it predicts with the champion, logs, and takes feedback.

`app.py` and `fast_path.py` call it. It holds the champion's model (`models/`), the spool of the prediction
log (`predictions/`) and the service's metrics.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, cast

import msgspec
from prometheus_client import REGISTRY, CollectorRegistry
from sqlalchemy import Engine

from evergreen.errors import PredictionLogFull
from evergreen.model.log_rows import list_logged_names
from evergreen.model.request_inputs import RequestValues
from evergreen.registry.champion import read_champion
from evergreen.registry.reconcile import reconcile_ledger
from evergreen.registry.refusals import record_refusal
from evergreen.serving.channels import ONLINE, PROBE_CHANNEL
from evergreen.serving.fast.key_reader import build_unknown_keys_error
from evergreen.serving.fast.predictor import PredictedRows, Predictor
from evergreen.serving.following.successor import build_succession
from evergreen.serving.http.bodies import ExplanationBody, MetadataBody, PredictionBody, RequestRow
from evergreen.serving.metadata import build_metadata
from evergreen.serving.metrics.service_metrics import ServiceMetrics
from evergreen.serving.metrics.stage_metrics import StageMetrics
from evergreen.serving.models.explanation import build_explanation
from evergreen.serving.models.frozen_heap import FrozenHeap
from evergreen.serving.models.loader import build_model_loader
from evergreen.serving.models.refusals import Refusal, RefusalLog
from evergreen.serving.models.slot import ModelSlot, ServedModel
from evergreen.serving.models.watch import ChampionWatch
from evergreen.serving.predictions.idempotency import make_row_ids
from evergreen.serving.predictions.log_counts import LogCounts
from evergreen.serving.predictions.record import RefusedRecord, build_outcome_record, encode_record
from evergreen.serving.predictions.refused import RefusedCounter
from evergreen.serving.predictions.shipping import Shipping
from evergreen.serving.predictions.spool import build_spool
from evergreen.serving.trial.trials import Trials, build_trial_source
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.connection.values import KeyTuple
from evergreen.store.online.vectors import OnlineVector, find_missing_keys, read_online_vectors
from evergreen.store.predictions.channels import CHALLENGER, SHADOW
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_serving_digest

if TYPE_CHECKING:
    from evergreen.registry.champion import Champion

logger = logging.getLogger(__name__)

# How long the ledger's comparison waits for a promotion in progress, before it is tried again.
_RECONCILE_SECONDS = 60.0
# So many rows of a large request are predicted at a time.
_PART_ROWS = 1000
_encoder = msgspec.json.Encoder()
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
        self.stages = StageMetrics(use_case.name, registry)
        self.refusals = RefusalLog(self._record_refusal, on_new=lambda _: self.metrics.count_refused_model())
        self.succession = build_succession(self.declaration)
        self._champion_watch = ChampionWatch(self._reconcile)
        lasting_declaration = None if self.succession.follows else self.declaration
        self.models = build_model_loader(settings, use_case, lasting_declaration, self.refusals)
        # Another one, because a loader is for one thread: that which follows the trials.
        challengers = build_model_loader(settings, use_case, lasting_declaration, self.refusals)
        self.slot = ModelSlot(
            partial(read_champion, settings, use_case.name),
            self.models.load_verified_model,
            poll_seconds=settings.champion_poll_seconds,
            load_cached_model=self.models.load_cached_model,
            on_swap=self._handle_swap,
            on_champion=self._notice_champion,
        )
        self.spool = build_spool(settings.home / "predictions", use_case)
        self.shipping = Shipping(self.spool, self._observe_log)
        self._refused = RefusedCounter(list_logged_names(use_case), self.spool.folder.name, observe_refused)
        self.answered = {ONLINE: 0, PROBE_CHANNEL: 0}
        self._key_names = use_case.entity.key_names
        self._logged_names = list_logged_names(use_case)
        self._predictor = Predictor(use_case)
        self._heap = FrozenHeap()
        self.trials = Trials(
            use_case,
            build_trial_source(
                settings, use_case, challengers.load_verified_model, self._find_champion_version
            ),
            self._predictor,
            partial(self._log_predicted, channel=SHADOW),
            poll_seconds=settings.champion_poll_seconds,
            registry=registry,
            on_begin=self._heap.freeze,
        )

    def start(self) -> None:
        """Start the threads that ship the log, and follow the champion and the trials.

        In a worker that is to take over from another one, first load the champion, and return only when it is
        to answer.
        """
        self.succession.wait_for_turn(self.slot, self.refusals)
        self.shipping.start()
        self.slot.start()
        self.trials.start()

    def stop(self) -> None:
        """Stop the threads; rows that MariaDB does not take stay on disk for the next start."""
        self.trials.stop()
        self.slot.stop()
        if self.shipping.stop(_DRAIN_SECONDS):
            logger.info("the prediction log is in MariaDB")
        else:
            logger.warning("predictions wait in %s for the next start", self.spool.folder)

    @property
    def _engine(self) -> Engine:
        return get_engine(self.settings)

    def answer(self, rows: Sequence[RequestValues], channel: str, ids: Sequence[str]) -> list[PredictionBody]:
        """Predict rows by the champion, and log them under `ids` (UUIDv7); they are durable when it returns.

        A second prediction under an id is answered, and the log keeps the first. Raises NoChampion,
        StoreError of an on-demand feature, and PredictionLogFull.
        """
        predicted = self._predictor.predict(self.slot.require().model, rows, ids)
        bodies = self._log_answers(predicted, channel)
        if channel == ONLINE and self.trials.running is not None:
            self.trials.follow(predicted)
        return bodies

    def answer_by_challenger(self, predicted: PredictedRows) -> list[PredictionBody]:
        """Log what a version on trial has predicted, and answer it. Raises PredictionLogFull."""
        return self._log_answers(predicted, CHALLENGER)

    def _log_answers(self, predicted: PredictedRows, channel: str) -> list[PredictionBody]:
        bodies = self._predictor.build_bodies(predicted)
        # Last, because a prediction is in the log exactly when it is answered.
        began = perf_counter()
        self._log_predicted(predicted, channel)
        self.stages.observe_batch(
            len(predicted.rows), predicted.feature_seconds, predicted.model_seconds, perf_counter() - began
        )
        return bodies

    def answer_many(
        self, rows: Sequence[RequestValues], channel: str, request_id: str | None = None
    ) -> bytes:
        """The JSON of the answer to many rows, logged together or not at all.

        The version in service is the same for all of them; in a canary or A/B test each row is answered by
        the version that its key belongs to. `request_id` is the key by which a caller knows a repeated
        request. The rows are predicted in parts, so that what is needed beside rows and answer has the size
        of a part. It waits for versions on trial, and then is not for an event loop. Raises what `answer`
        raises.
        """
        parts: list[bytes] = []
        ids = make_row_ids(request_id, len(rows))
        # Without the brackets of the list.
        version = self._answer_divided(
            rows, channel, ids, lambda bodies: parts.append(_encoder.encode(bodies)[1:-1])
        )
        return b'{"model_version":%d,"predictions":[%s]}' % (version, b",".join(parts))

    def answer_rows(
        self, rows: Sequence[RequestRow], channel: str, request_id: str | None = None
    ) -> list[PredictionBody]:
        """The answers to rows by name; all else as for `answer_many`."""
        bodies: list[PredictionBody] = []
        ids = make_row_ids(request_id, len(rows))
        self._answer_divided(self.list_values(rows), channel, ids, bodies.extend)
        return bodies

    def _answer_divided(
        self,
        rows: Sequence[RequestValues],
        channel: str,
        ids: Sequence[str],
        keep: Callable[[list[PredictionBody]], object],
    ) -> int:
        """Predict rows in parts, give the answers of each to `keep`, and log all; the version in service."""
        champion = self.slot.require().model
        records: list[bytes] = []
        counts: Counter[tuple[int, str]] = Counter()
        followed: list[PredictedRows] = []
        feature_seconds = model_seconds = 0.0
        for start in range(0, len(rows), _PART_ROWS):
            end = start + _PART_ROWS
            groups = self.trials.predict(champion, rows[start:end], ids[start:end], channel)
            bodies: dict[int, PredictionBody] = {}
            for group in groups:
                bodies.update(zip(group.places, self._predictor.build_bodies(group.predicted), strict=True))
                records.append(self._predictor.encode_record(group.predicted, group.channel))
                counts[group.predicted.version, group.channel] += len(group.places)
                feature_seconds += group.predicted.feature_seconds
                model_seconds += group.predicted.model_seconds
            keep([bodies[place] for place in range(len(bodies))])
            if channel == ONLINE and start < self.trials.most_shadow_rows:
                followed += [group.predicted for group in groups]
        began = perf_counter()
        self._log(records, counts, len(rows))
        spool_seconds = perf_counter() - began
        self.stages.observe_batch(len(rows), feature_seconds, model_seconds, spool_seconds, is_request=True)
        if channel == ONLINE:
            self.trials.follow_parts(followed, len(rows))
        return int(champion.version)

    def list_values(self, rows: Sequence[RequestRow]) -> list[RequestValues]:
        """The values of rows by name, as the other methods take them."""
        return [tuple([row.get(name) for name in self._logged_names]) for row in rows]

    def _log(self, records: Sequence[bytes], counts: Mapping[tuple[int, str], int], rows: int) -> None:
        """Log records of so many rows, `counts` by version and channel. Raises PredictionLogFull."""
        self.spool.append(records, rows)
        for (version, channel), count in counts.items():
            self.answered[channel] = self.answered.get(channel, 0) + count
            self.metrics.count_answers(version, channel, count)

    def _log_predicted(self, predicted: PredictedRows, channel: str) -> None:
        """Log what one version predicts for a channel. Raises PredictionLogFull."""
        rows = len(predicted.ids)
        record = self._predictor.encode_record(predicted, channel)
        self._log([record], {(predicted.version, channel): rows}, rows)

    def read_vectors(self, keys: Sequence[KeyTuple]) -> dict[KeyTuple, OnlineVector]:
        """The newest stored features of those keys that the online store has. Raises StoreUnreachable."""
        return read_online_vectors(self._engine, self.use_case, keys)

    def list_keys(self, keys: Sequence[RequestRow]) -> list[KeyTuple]:
        """Keys by name as the other methods take them."""
        # The request's types admit no other key than text or a whole number.
        return [cast("KeyTuple", tuple([key[name] for name in self._key_names])) for key in keys]

    def answer_keys(
        self,
        key_tuples: Sequence[KeyTuple],
        vectors: Mapping[KeyTuple, OnlineVector],
        channel: str,
        request_id: str | None = None,
    ) -> list[PredictionBody]:
        """Predict from the stored features of each key that `read_vectors` has returned, and log them.

        All else as for `answer_many`. Raises KeyNotFound naming the unknown keys.
        """
        if unknown := find_missing_keys(key_tuples, vectors):
            raise build_unknown_keys_error(self.use_case, unknown)
        values = [(*key, *vectors[key].features.values()) for key in key_tuples]
        bodies: list[PredictionBody] = []
        self._answer_divided(values, channel, make_row_ids(request_id, len(key_tuples)), bodies.extend)
        for key, body in zip(key_tuples, bodies, strict=True):
            body["stale_views"] = list(vectors[key].stale_views)
            body["missing_views"] = list(vectors[key].missing_views)
        return bodies

    def explain(self, row: RequestRow) -> ExplanationBody:
        """Each feature's contribution to the prediction of one row. Not a prediction: it is not logged."""
        return build_explanation(self.use_case, self.slot.require(), row)

    def take_feedback(
        self, outcomes: Sequence[tuple[str, str | float]], at: datetime, request_id: str | None = None
    ) -> None:
        """Log what really happened, as pairs of a prediction's id and the outcome, at a moment (aware UTC).

        All are durable when it returns, or none. The predictions need not be in MariaDB yet, and other
        replicas may have made them. `request_id` as for `answer_many`. Raises StoreError for an id that no
        service gives, PredictionLogFull.
        """
        record = build_outcome_record(outcomes, at, make_row_ids(request_id, len(outcomes)))
        self.spool.append([encode_record(record)], len(outcomes))

    def count_refused(self, faults: Sequence[tuple[str, str]]) -> None:
        """Count the faults of a request that was refused for its values, each a field and a kind."""
        self._refused.count(faults)

    def metadata(self) -> MetadataBody:
        """What is served and since when: the body of GET /metadata."""
        return build_metadata(self)

    def _handle_swap(self, served: ServedModel) -> None:
        """Count a new model in service, remember it for the next start, and collect garbage now."""
        self.metrics.count_swap(served.version, from_cache=served.from_cache)
        self.models.note_champion(served)
        self.succession.write_model(self.slot)
        self._heap.freeze()

    def _notice_champion(self, champion: Champion | None) -> None:
        """Take the registry's present champion, before it is loaded."""
        self.succession.write_model(self.slot)
        if self.succession.is_answering:
            self._champion_watch.notice_champion(champion)

    def _find_champion_version(self) -> int | None:
        champion = self.slot.champion
        return champion.version if champion else None

    def _observe_log(self, counts: LogCounts) -> None:
        """Show the log's counts, and put what was refused since the last call into the log."""
        self.metrics.update_log(counts)
        self.metrics.update_follower(self.succession.read_state())
        if refused := self._refused.take():
            try:
                self.spool.append([encode_record(RefusedRecord(refused))], len(refused))
            except PredictionLogFull:
                self._refused.put_back(refused)

    def _reconcile(self) -> None:
        """Compare the ledger with the registry, so that a champion set by hand in MLflow gets its entry."""
        reconcile_ledger(self.settings, self._engine, self.use_case.name, _RECONCILE_SECONDS)

    def _record_refusal(self, refusal: Refusal) -> None:
        """Write a refused version into the ledger, with the one that stays in service."""
        if not self.succession.is_answering:
            return  # the version is in service: only a changed declaration does not suit it
        served_model = self.slot.current
        record_refusal(
            self._engine,
            self.use_case.name,
            refusal.version,
            refusal.run_id,
            refusal.reason,
            serving_version=served_model.version if served_model else None,
        )
