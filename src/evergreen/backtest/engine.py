"""The replay engine: a stream of checks under one policy, each with what was known at its moment only.

Quality is not estimated: a replay's rows have labels, and each is evidence from the moment at which it was
known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Generic

from evergreen.backtest.task import Fits, Model, ReplayTask
from evergreen.backtest.window_fit import ReplayFit, train_best_window
from evergreen.errors import TrainingError
from evergreen.monitoring.governor.answer import RetrainAnswer
from evergreen.monitoring.governor.decide import decide
from evergreen.monitoring.governor.inputs import (
    DriftEvidence,
    GovernorInputs,
    LabelCounts,
    Outcome,
    PastRetrain,
    QualityPoint,
    RealisedEvidence,
)
from evergreen.monitoring.governor.training_window import ALL_ROWS, TrainingWindow, WindowPlan
from evergreen.usecase import RetrainPolicy


@dataclass(frozen=True)
class ReplayStep:
    """One check: the champion that answered since the check before, the quality of its answers (None without
    labelled rows), what was decided, and on what."""

    as_of: datetime
    champion: int
    quality: QualityPoint | None
    inputs: GovernorInputs
    answer: RetrainAnswer


@dataclass(frozen=True)
class ReplayRetrain:
    """One retrain: its version, trigger and reason, the window and rows that it was fitted on, its cost, and
    whether the gate promoted it."""

    as_of: datetime
    version: int
    trigger: str
    reason: str
    window: TrainingWindow
    rows: int
    fits: int
    cpu_seconds: float
    promoted: bool


@dataclass(frozen=True)
class ReplayResult:
    """A whole replay. `distinct_fits` are the different training sets that were fitted, the first champion's
    included; `cpu_seconds` is the processor time of all retrains, without the first training."""

    steps: tuple[ReplayStep, ...]
    retrains: tuple[ReplayRetrain, ...]
    distinct_fits: int
    cpu_seconds: float

    @property
    def quality(self) -> float | None:
        """The mean of the metric over all answered rows with labels; None without any."""
        points = [step.quality for step in self.steps if step.quality is not None]
        rows = sum(point.rows for point in points)
        return sum(point.value * point.rows for point in points) / rows if rows else None


@dataclass
class _Champion(Generic[Model]):
    version: int
    fit: ReplayFit[Model]
    trained_at: datetime
    promoted_at: datetime
    points: list[QualityPoint] = field(default_factory=list)


class Replay(Generic[Model]):
    """The replay of one task under one policy, whose models come from `fits`.

    `moments` are the checks in order; the first champion is trained as of `first_training` and answers what
    comes after it. `drift_window` is how far back a check's drift looks. Raises
    TrainingError where the rows known as of `first_training` are too few for a model.
    """

    def __init__(
        self,
        task: ReplayTask[Model],
        fits: Fits[Model],
        policy: RetrainPolicy,
        moments: Sequence[datetime],
        first_training: datetime,
        drift_window: timedelta = timedelta(days=7),
    ) -> None:
        self.task, self.fits, self.policy, self.moments = task, fits, policy, moments
        self.first_training, self.drift_window = first_training, drift_window
        self.steps: list[ReplayStep] = []
        self.retrains: list[ReplayRetrain] = []
        self._identities: set[str] = set()
        self._drift_breaches = 0
        self._drift_since: datetime | None = None

    def run(self) -> ReplayResult:
        """All steps at once."""
        for _ in self.iterate():
            pass
        return self.result()

    def result(self) -> ReplayResult:
        """What was collected so far."""
        cpu_seconds = sum(retrain.cpu_seconds for retrain in self.retrains)
        return ReplayResult(tuple(self.steps), tuple(self.retrains), len(self._identities), cpu_seconds)

    def iterate(self) -> Iterator[ReplayStep]:
        """Check by check, so that a caller can show progress or stop."""
        first = self._train(self.first_training, WindowPlan((ALL_ROWS,), self.policy.validation_share))
        if first is None:
            raise TrainingError(
                f"a model as of {self.first_training:%Y-%m-%d} has too few labelled rows",
                hint="let the replay begin later",
            )
        champion = _Champion(1, first, self.first_training, self.first_training)
        before, versions = self.first_training, 1
        past: list[PastRetrain] = []
        for moment in self.moments:
            self._observe(champion, before, moment)
            quality = self.task.measure(champion.fit.model, before, moment)
            inputs = self._build_inputs(champion, moment, tuple(past))
            # Of the rows answered just now only their number is known: their labels come later.
            rows, days = quality.rows if quality else 0, (moment - before) / timedelta(days=1)
            inputs = replace(inputs, predictions_per_day=rows / days)
            answer = decide(self.policy, inputs)
            step = ReplayStep(
                as_of=moment,
                champion=champion.version,
                quality=quality,
                inputs=inputs,
                answer=answer,
            )
            self.steps.append(step)
            if answer.retrain and answer.window is not None:
                candidate = self._train(moment, answer.window)
                versions += candidate is not None
                promoted = candidate is not None and self._judge(candidate, champion, moment)
                outcome: Outcome = "promoted" if promoted else "failed" if candidate is None else "rejected"
                past.append(PastRetrain(moment, answer.trigger, outcome, answer.window.drift_since))
                if candidate is not None:
                    self._record(moment, versions, answer, candidate, promoted)
                    if promoted:
                        champion = _Champion(versions, candidate, moment, moment)
            before = moment
            yield step

    def _observe(self, champion: _Champion[Model], before: datetime, moment: datetime) -> None:
        """Add what was learned between two checks to the champion's evidence."""
        point = self.task.measure(
            champion.fit.model, champion.promoted_at, moment, learned_after=before, learned_by=moment
        )
        if point is not None:
            champion.points.append(point)

    def _build_inputs(
        self, champion: _Champion[Model], moment: datetime, past: tuple[PastRetrain, ...]
    ) -> GovernorInputs:
        task, fit = self.task, champion.fit
        window_start = max(moment - self.drift_window, champion.promoted_at)
        label_count = task.count_labels(moment)
        # As live: a no leaves the rows to the next check.
        last_training = max([champion.trained_at, *(retrain.as_of for retrain in past)])
        inputs = GovernorInputs(
            as_of=moment,
            champion=champion.version,
            trained_at=champion.trained_at,
            promoted_at=champion.promoted_at if champion.version > 1 else None,
            trained_since=fit.window.start,
            drift=self._measure_drift(champion, window_start, moment),
            realised=RealisedEvidence(
                task.metric, task.less_is_better, fit.reference, tuple(champion.points)
            ),
            labels=LabelCounts(
                known=label_count,
                new=label_count - task.count_labels(champion.trained_at),
                oldest=task.find_oldest(moment),
                newest=task.find_newest(moment),
            ),
            new_rows=label_count > task.count_labels(last_training),
            retrains=past,
        )
        since = inputs.change_since
        if since is None:
            return inputs
        training, available = (task.count_labels(at, since) for at in (champion.trained_at, moment))
        return replace(inputs, labels=replace(inputs.labels, training=training, available=available))

    def _measure_drift(
        self, champion: _Champion[Model], start: datetime, end: datetime
    ) -> DriftEvidence | None:
        drift = self.task.measure_drift(champion.fit.model, start, end)
        if drift is None:
            return None
        # Drift that a promotion did not end goes on, although the reference is another one.
        if drift.severity == "drift":
            self._drift_breaches += 1
            self._drift_since = self._drift_since or start
        elif drift.severity != "unknown":
            self._drift_breaches = 0
            self._drift_since = None
        return replace(drift, breaches=self._drift_breaches, since=self._drift_since)

    def _train(self, moment: datetime, plan: WindowPlan) -> ReplayFit[Model] | None:
        fit = train_best_window(self.task, self.fits, moment, plan)
        if fit is not None:
            self._identities.update(fit.identities)
        return fit

    def _judge(self, candidate: ReplayFit[Model], champion: _Champion[Model], moment: datetime) -> bool:
        tail = self.task.find_tail(moment, self.policy.validation_share)
        return self.task.judge(candidate.model, champion.fit.model, tail, moment)

    def _record(
        self,
        moment: datetime,
        version: int,
        answer: RetrainAnswer,
        candidate: ReplayFit[Model],
        promoted: bool,
    ) -> None:
        self.retrains.append(
            ReplayRetrain(
                as_of=moment,
                version=version,
                trigger=answer.trigger,
                reason=answer.reason,
                window=candidate.window,
                rows=candidate.rows,
                fits=len(candidate.identities),
                cpu_seconds=candidate.cpu_seconds,
                promoted=promoted,
            )
        )


def build_fixed_policy(base: RetrainPolicy, every: timedelta | None) -> RetrainPolicy:
    """The policy that retrains at a fixed interval, or never (None), on windows chosen as by `base`."""
    return RetrainPolicy(
        on_drift=False,
        on_realised_drop=False,
        on_estimated_drop=False,
        on_growth=0.0,
        every=every,
        window=base.window,
        candidate_windows=base.candidate_windows,
        validation_share=base.validation_share,
    )
