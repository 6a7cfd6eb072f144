"""The work of a replay on a simulated stream: a logistic regression on the rows of a window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from benchmarks.monitor.freshness_stream import LABEL_DELAY, ORIGIN, ROWS_PER_DAY, Floats, Stream

from evergreen.monitoring.governor.inputs import DriftEvidence, EstimatedEvidence, QualityPoint

RIDGE = 1.0
NEWTON_STEPS = 25
FEWEST_ROWS = 50
LARGE_SET = 5_000
TAIL_ROWS = 7 * ROWS_PER_DAY


@dataclass(frozen=True)
class FittedWeights:
    """A logistic regression: the weights of the features, and last the intercept."""

    weights: Floats


@dataclass(frozen=True)
class StreamTask:
    """`evergreen.backtest.task.ReplayTask` on a simulated stream."""

    stream: Stream
    metric: str = "accuracy"

    @property
    def less_is_better(self) -> bool:
        return self.metric != "accuracy"

    def count_labels(self, known_at: datetime, start: datetime | None = None) -> int:
        return max(0, self._find_known(known_at) - self._find_start(start))

    def find_oldest(self, known_at: datetime) -> datetime | None:
        return _find_time(0) if self._find_known(known_at) else None

    def find_newest(self, known_at: datetime) -> datetime | None:
        known = self._find_known(known_at)
        return _find_time(known - 1) if known else None

    def find_tail(self, known_at: datetime, share: float) -> datetime | None:
        known = self._find_known(known_at)
        rows = min(int(known * share), TAIL_ROWS)
        return _find_time(known - rows - 1) if rows >= FEWEST_ROWS else None

    def identify_rows(self, known_at: datetime, start: datetime | None, end: datetime | None) -> str:
        return "{}-{}".format(*self._find_span(known_at, start, end))

    def fit(self, known_at: datetime, start: datetime | None, end: datetime | None) -> FittedWeights | None:
        first, last = self._find_span(known_at, start, end)
        if last - first < FEWEST_ROWS:
            return None
        return fit_logistic(self.stream.features[first:last], self.stream.labels[first:last])

    def measure(
        self,
        model: FittedWeights,
        start: datetime | None,
        end: datetime,
        learned_after: datetime | None = None,
        learned_by: datetime | None = None,
    ) -> QualityPoint | None:
        first, last = self._find_start(start), self.stream.find_row(end)
        if learned_after is not None:
            first = max(first, self._find_known(learned_after))
        if learned_by is not None:
            last = min(last, self._find_known(learned_by))
        if last <= first:
            return None
        margins = self.stream.features[first:last] @ model.weights
        values, expected = self._score(margins, self.stream.labels[first:last])
        return QualityPoint(
            start=_find_time(first - 1),
            end=_find_time(last - 1),
            rows=last - first,
            value=float(values.mean()),
            deviation=float(values.std()),
            expected=float(expected.mean()),
        )

    def measure_drift(self, model: FittedWeights, start: datetime, end: datetime) -> DriftEvidence | None:
        return None

    def estimate_quality(
        self, model: FittedWeights, start: datetime, end: datetime
    ) -> EstimatedEvidence | None:
        return None

    def judge(
        self, candidate: FittedWeights, champion: FittedWeights, tail: datetime | None, known_at: datetime
    ) -> bool:
        return True

    def _score(self, margins: Floats, labels: Floats) -> tuple[Floats, Floats]:
        """The metric of every row, and what the model's own probability leads one to expect of it."""
        chances = 1.0 / (1.0 + np.exp(-margins))
        if self.metric == "accuracy":
            return ((margins > 0) == (labels > 0)).astype(np.float64), np.maximum(chances, 1 - chances)
        if self.metric == "log_loss":
            losses, surprises = np.logaddexp(0.0, -margins), np.logaddexp(0.0, margins)
            return np.where(labels > 0, losses, surprises), chances * losses + (1 - chances) * surprises
        return (chances - labels) ** 2, chances * (1 - chances)

    def _find_known(self, moment: datetime) -> int:
        return self.stream.find_row(moment - LABEL_DELAY)

    def _find_start(self, start: datetime | None) -> int:
        return 0 if start is None else self.stream.find_row(start)

    def _find_span(self, known_at: datetime, start: datetime | None, end: datetime | None) -> tuple[int, int]:
        last = self._find_known(known_at)
        return self._find_start(start), last if end is None else min(last, self.stream.find_row(end))


def fit_logistic(features: Floats, labels: Floats) -> FittedWeights:
    """A ridge logistic regression by Newton's method, from features of shape (n, d), the last of them 1, and
    labels 0 or 1. It begins at the solution for every 16th row, so that a few steps over all rows suffice."""
    weights = np.zeros(features.shape[1])
    if len(features) >= LARGE_SET:
        weights = _climb(features[::16], labels[::16], weights)
    return FittedWeights(_climb(features, labels, weights))


def _climb(features: Floats, labels: Floats, weights: Floats) -> Floats:
    for _ in range(NEWTON_STEPS):
        chances = 1.0 / (1.0 + np.exp(-(features @ weights)))
        gradient = features.T @ (labels - chances) - RIDGE * weights
        curvature = (features * (chances * (1 - chances))[:, None]).T @ features
        step = np.linalg.solve(curvature + RIDGE * np.eye(len(weights)), gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-3:
            break
    return weights


def _find_time(row: int) -> datetime:
    """The event time of a row; of -1 the origin."""
    return ORIGIN + timedelta(days=(row + 1) / ROWS_PER_DAY)
