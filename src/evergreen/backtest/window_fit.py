"""One training of a replay: the best of the planned windows is chosen, and fitted on all of its rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic

from evergreen.backtest.task import Fits, Model, ReplayTask
from evergreen.monitoring.governor.inputs import QualityPoint
from evergreen.monitoring.governor.training_window import TrainingWindow, WindowPlan


@dataclass(frozen=True)
class ReplayFit(Generic[Model]):
    """One training: the final model, the chosen window, and the quality of the same window's model on the
    validation tail (`reference`, None where the rows were too few to split).

    `identities` are those of the training sets that were fitted for it, the candidates of the window's choice
    included; `cpu_seconds` is the processor time of all of them.
    """

    model: Model
    window: TrainingWindow
    rows: int
    reference: QualityPoint | None
    identities: tuple[str, ...]
    cpu_seconds: float


@dataclass
class FitCache(Generic[Model]):
    """`Fits` in memory. `identify_rows` and `fit_rows` take what `Fits.fit` takes; the former returns a text
    that is equal for equal rows, the latter the model, or None where the rows are too few."""

    identify_rows: Callable[[datetime, datetime | None, datetime | None], str]
    fit_rows: Callable[[datetime, datetime | None, datetime | None], Model | None]
    models: dict[str, tuple[Model | None, float]] = field(default_factory=dict)

    def fit(
        self, known_at: datetime, start: datetime | None, end: datetime | None
    ) -> tuple[str, Model | None, float]:
        """See `Fits.fit`."""
        identity = self.identify_rows(known_at, start, end)
        if identity not in self.models:
            clock = time.process_time()
            model = self.fit_rows(known_at, start, end)
            self.models[identity] = model, time.process_time() - clock
        return identity, *self.models[identity]


def train_best_window(
    task: ReplayTask[Model], fits: Fits[Model], moment: datetime, plan: WindowPlan
) -> ReplayFit[Model] | None:
    """Fit each candidate of the plan without the newest rows, choose the one that is best on them, and fit it
    again on all of its rows. None where the rows are too few for a model."""
    identities: list[str] = []
    cpu_seconds, reference = 0.0, None
    best = plan.candidates[0]
    tail = find_tail(task, moment, plan)
    for window in plan.candidates if tail is not None else ():
        if tail is None or (window.start is not None and window.start >= tail):
            continue
        identity, model, seconds = fits.fit(moment, window.start, tail)
        identities.append(identity)
        cpu_seconds += seconds
        point = None if model is None else task.measure(model, tail, moment, learned_by=moment)
        if point is not None and (reference is None or _is_better(task, point, reference)):
            best, reference = window, point
    identity, model, seconds = fits.fit(moment, best.start, None)
    if model is None:
        return None
    return ReplayFit(
        model=model,
        window=best,
        rows=task.count_labels(moment, best.start),
        reference=reference,
        identities=(*identities, identity),
        cpu_seconds=cpu_seconds + seconds,
    )


def find_tail(task: ReplayTask[Model], moment: datetime, plan: WindowPlan) -> datetime | None:
    """The event time after which the rows lie that windows are validated on.

    They are the newest `validation_share` of the smallest candidate, so that every candidate has rows before
    them, and at most half of the rows since a change that shows. A candidate that is too small for that is
    passed over for the next larger one; None where all are.
    """
    label_count = task.count_labels(moment)
    if not label_count:
        return None
    sizes = [
        task.count_labels(moment, window.start) * plan.validation_share
        for window in plan.candidates
        if window.start is None or window.start != plan.drift_since
    ]
    if plan.drift_since is not None:
        sizes.append(task.count_labels(moment, plan.drift_since) / 2)
    tails = (task.find_tail(moment, size / label_count) for size in sorted(sizes) if size >= 1)
    return next((tail for tail in tails if tail is not None), None)


def _is_better(task: ReplayTask[Model], point: QualityPoint, other: QualityPoint) -> bool:
    return point.value < other.value if task.less_is_better else point.value > other.value
