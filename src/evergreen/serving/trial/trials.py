"""The trials of one worker: how its rows are predicted while one runs, and what it tells of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from evergreen.serving.trial.canary import PredictedGroup, predict_canary
from evergreen.serving.trial.running import RunningTrial
from evergreen.serving.trial.shadow import ShadowThread
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
        self,
        running: RunningTrial,
        champion: LoadedModel,
        rows: Sequence[RequestValues],
        ids: Sequence[str],
    ) -> list[PredictedGroup]:
        """Predict rows, each a request of its own, during a trial. Raises what `Predictor.predict` raises."""
        if running.trial.mode == "canary":
            return predict_canary(self._predictor, champion, running, rows, ids)
        predicted = self._predictor.predict(champion, rows, ids)
        return [PredictedGroup(range(len(rows)), ONLINE, predicted)]

    def follow(self, groups: Sequence[PredictedGroup]) -> None:
        """Hand answered rows to the challenger of a shadow trial, if one runs. Returns at once."""
        if (shadow := self._shadow) is not None:
            for group in groups:
                shadow.submit(group.predicted)

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
            "rows": {**running.tally.count_rows(), "dropped": shadow.dropped if shadow else 0},
        }

    def start(self) -> None:
        """Begin to follow the trials."""
        self.watch.start()

    def stop(self) -> None:
        """Stop to follow them; this worker's challenger answers no more."""
        self.watch.stop()

    def _handle_change(self, running: RunningTrial | None) -> None:
        if self._shadow is not None:
            self._shadow.stop()
            self._shadow = None
        if running is not None:
            self._on_begin()
            if running.trial.mode == "shadow":
                self._shadow = ShadowThread(self._predictor, running, self._log_shadow)
                self._shadow.start()
        self._update_metrics()

    def _update_metrics(self) -> None:
        running, shadow = self.running, self._shadow
        self._version.set(running.trial.challenger_version if running else 0)
        self._failed.set(running.tally.count_rows()["failed"] if running else 0)
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
