"""The trials of one worker: how its rows are predicted while one runs, and what it tells of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import Engine

from evergreen.errors import StoreUnreachable
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.request_inputs import RequestValues
from evergreen.registry.refusals import SERVICE_ACTOR
from evergreen.registry.succession.trial import end_trial, end_trial_in_time
from evergreen.serving.fast.predictor import PredictedRows, Predictor
from evergreen.serving.models.time_limit import TimeLimitedCall
from evergreen.serving.trial.arm import Arm
from evergreen.serving.trial.canary import PredictedGroup, predict_divided
from evergreen.serving.trial.running import RunningTrial
from evergreen.serving.trial.shadow import MOST_WAITING_ROWS, ShadowThread
from evergreen.serving.trial.watch import TrialSource, TrialWatch
from evergreen.settings import Settings
from evergreen.store.connection.database import UNREACHABLE_HINT, get_engine
from evergreen.store.predictions.channels import ONLINE
from evergreen.store.records.model_trial import ModelTrial, find_running_trial
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    from evergreen.serving.http.bodies import TrialBody

# Every worker knows of a trial within 5 seconds, however seldom it asks for the champion.
_LONGEST_POLL_SECONDS = 3.0
# A MariaDB that takes the connection and never answers is given up after so many seconds.
_ANSWER_SECONDS = 10.0


class Trials:
    """Follows the trials of a use case, and predicts with champion and challenger while one runs.

    `log_shadow` logs the challenger's predictions of a shadow trial. `on_begin` is called when a challenger
    was loaded.
    """

    def __init__(
        self,
        use_case: UseCase,
        source: TrialSource,
        predictor: Predictor,
        log_shadow: Callable[[PredictedRows], None],
        *,
        poll_seconds: float,
        registry: CollectorRegistry,
        on_begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._predictor = predictor
        self._log_shadow = log_shadow
        self._on_begin = on_begin
        self._shadow: ShadowThread | None = None
        # The trial whose versions answer requests, if that is what the present one does. A plain attribute,
        # because each request reads it.
        self.canary: RunningTrial | None = None
        self.watch = TrialWatch(
            source,
            len(use_case.entity.keys),
            poll_seconds=min(poll_seconds, _LONGEST_POLL_SECONDS),
            on_change=self._handle_change,
            on_check=self._update_metrics,
        )

        def _create_gauge(name: str, text: str, mode: Literal["livemostrecent", "livesum"]) -> Gauge:
            family = Gauge(name, text, ["use_case"], registry=registry, multiprocess_mode=mode)
            return family.labels(use_case.name)

        self._version = _create_gauge(
            "evergreen_trial_version", "The version on trial; 0 for none.", "livemostrecent"
        )
        self._failed = _create_gauge(
            "evergreen_trial_failed_rows", "Rows that the present trial's challenger failed on.", "livesum"
        )
        self._dropped = _create_gauge(
            "evergreen_trial_dropped_rows", "Rows that the present shadow trial has left out.", "livesum"
        )
        self._update_metrics()

    @property
    def running(self) -> RunningTrial | None:
        """The trial that this worker takes part in at this moment."""
        return self.watch.running

    def predict(
        self, champion: LoadedModel, rows: Sequence[RequestValues], ids: Sequence[str], channel: str
    ) -> list[PredictedGroup]:
        """Predict rows, each by the version that its key belongs to; without a trial by the champion.

        Waits for the versions on trial, so it is not for an event loop. Raises what `Predictor.predict`
        raises.
        """
        canary = self.canary
        if canary is not None and not canary.broken_limit and channel == ONLINE:
            return predict_divided(self._predictor, champion, canary, rows, ids)
        predicted = self._predictor.predict(champion, rows, ids)
        return [PredictedGroup(range(len(rows)), channel, predicted)]

    def predict_by_arm(
        self, arm: Arm, rows: Sequence[RequestValues], ids: Sequence[str]
    ) -> Future[PredictedRows]:
        """The future predictions of a version on trial, which `Arm.take_answer` takes."""
        return arm.submit(self._predictor, rows, ids)

    def follow(self, answered: PredictedRows) -> None:
        """Tell the trial of requests that the champion has answered and the log has. Returns at once."""
        if (shadow := self._shadow) is not None:
            shadow.submit(answered)
        elif (canary := self.canary) is not None:
            canary.observe_champion(answered.outcome, answered.model_seconds)

    @property
    def most_shadow_rows(self) -> int:
        """How many rows of one request a shadow trial takes at most; 0 while none runs."""
        return MOST_WAITING_ROWS if self._shadow is not None else 0

    def follow_parts(self, answered: Sequence[PredictedRows], rows: int) -> None:
        """Hand parts of a request of so many rows to the challenger of a shadow trial; the rest is counted
        as left out. Returns at once."""
        if (shadow := self._shadow) is not None:
            for part in answered:
                shadow.submit(part)
            shadow.drop(rows - sum(len(part.rows) for part in answered))

    def describe(self) -> TrialBody | None:
        """The trial that this worker takes part in: its part of /metadata."""
        running, shadow = self.running, self._shadow
        if running is None:
            return None
        trial = running.trial
        return {
            "id": trial.id,
            "mode": trial.mode,
            "champion_version": trial.champion_version,
            "challenger_version": trial.challenger_version,
            "share": trial.share,
            "started_at": trial.started_at.isoformat(),
            "ends_at": trial.ends_at.isoformat(),
            "rival_version": trial.rival_version,
            "rows": {**running.count_rows(), "dropped": shadow.dropped if shadow else 0},
        }

    def start(self) -> None:
        """Begin to follow the trials."""
        self.watch.start()

    def stop(self) -> None:
        """Stop to follow them; this worker's challenger answers no more."""
        self.watch.stop()

    def _handle_change(self, running: RunningTrial | None) -> None:
        shadow, canary = self._shadow, self.canary
        self._shadow = self.canary = None
        if shadow is not None:
            shadow.stop()
        if canary is not None:
            canary.stop()
        if running is not None:
            self._on_begin()
            if running.trial.mode == "shadow":
                self._shadow = ShadowThread(self._predictor, running, self._log_shadow)
                self._shadow.start()
            else:
                running.start()
                self.canary = running
        self._update_metrics()

    def _update_metrics(self) -> None:
        running, shadow = self.running, self._shadow
        self._version.set(running.trial.challenger_version if running else 0)
        self._failed.set(running.count_rows()["failed"] if running else 0)
        self._dropped.set(shadow.dropped if shadow else 0)


def build_trial_source(
    settings: Settings,
    use_case: UseCase,
    load_model: Callable[[int], LoadedModel],
    find_champion: Callable[[], int | None],
) -> TrialSource:
    """The trials on the MariaDB and MLflow of these settings."""
    call: TimeLimitedCall[ModelTrial | None] = TimeLimitedCall(_ANSWER_SECONDS)

    def _get_engine() -> Engine:
        return get_engine(settings)

    def _read_running() -> ModelTrial | None:
        try:
            return call.run(lambda: find_running_trial(_get_engine(), use_case.name))
        except TimeoutError:
            raise StoreUnreachable("MariaDB does not answer", hint=UNREACHABLE_HINT) from None

    return TrialSource(
        read_running=_read_running,
        load_model=load_model,
        end=lambda trial, outcome, reason: end_trial(
            settings, _get_engine(), trial, outcome=outcome, reason=reason, actor=SERVICE_ACTOR
        ),
        end_in_time=lambda trial: end_trial_in_time(
            settings, _get_engine(), use_case, trial, actor=SERVICE_ACTOR
        ),
        find_champion=find_champion,
    )
