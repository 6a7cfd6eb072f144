"""The work of a replay on a simulated stream: a logistic regression on the rows of a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
from benchmarks.monitor.freshness_stream import LABEL_DELAY, ORIGIN, ROWS_PER_DAY, START, Floats, Stream

from evergreen.model.reference_profile import FeatureProfile
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.drift.compare import compare_windows, count_columns
from evergreen.monitoring.governor.inputs import (
    DriftEvidence,
    DriftSeverity,
    QualityPoint,
)
from evergreen.usecase import DriftPolicy

RIDGE = 1.0
NEWTON_STEPS = 25
FEWEST_ROWS = 50
CURVATURE_ROWS = 5_000
TOLERANCE = 1e-3
PROFILE_ROWS = 20_000


@dataclass(frozen=True)
class FittedWeights:
    """A logistic regression: the weights of the features, and last the intercept; `first` and `last` bound
    the rows that it was fitted on."""

    weights: Floats
    first: int
    last: int


@dataclass(frozen=True)
class StreamTask:
    """`evergreen.backtest.task.ReplayTask` on a simulated stream, with its fits. Drift is
    measured where `with_drift` says so; policies that do not heed it need not pay for it."""

    stream: Stream
    with_drift: bool = True
    metric: str = "accuracy"
    less_is_better: bool = False

    def count_labels(self, known_at: datetime, start: datetime | None = None) -> int:
        return max(0, self._find_known(known_at) - self._find_start(start))

    def find_oldest(self, known_at: datetime) -> datetime | None:
        return _find_time(0) if self._find_known(known_at) else None

    def find_newest(self, known_at: datetime) -> datetime | None:
        known = self._find_known(known_at)
        return _find_time(known - 1) if known else None

    def find_tail(self, known_at: datetime, share: float) -> datetime | None:
        known = self._find_known(known_at)
        rows = int(known * share)
        return _find_time(known - rows - 1) if rows >= FEWEST_ROWS else None

    def identify_rows(self, known_at: datetime, start: datetime | None, end: datetime | None) -> str:
        return "{}-{}".format(*self._find_span(known_at, start, end))

    def fit(self, known_at: datetime, start: datetime | None, end: datetime | None) -> FittedWeights | None:
        first, last = self._find_span(known_at, start, end)
        if last - first < FEWEST_ROWS:
            return None
        weights = fit_logistic(self.stream.features[first:last], self.stream.labels[first:last])
        return FittedWeights(weights, first, last)

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
        values = ((margins > 0) == (self.stream.labels[first:last] > 0)).astype(np.float64)
        # What the model's own probability leads one to expect of each row.
        expected = 1.0 / (1.0 + np.exp(-np.abs(margins)))
        return QualityPoint(
            start=_find_time(first - 1),
            end=_find_time(last - 1),
            rows=last - first,
            value=float(values.mean()),
            deviation=float(values.std()),
            expected=float(expected.mean()),
        )

    def measure_drift(self, model: FittedWeights, start: datetime, end: datetime) -> DriftEvidence | None:
        if not self.with_drift:
            return None
        profiles = self._build_profiles(model)
        first, last = self.stream.find_row(start), self.stream.find_row(end)
        counts = count_columns(profiles, _name_columns(self.stream.features[first:last]))
        checks = max(1, (end - START) // timedelta(days=1))
        result = compare_windows(DriftPolicy(), {ALL_ROWS: profiles}, {ALL_ROWS: counts}, check_number=checks)
        severity: DriftSeverity = (
            "unknown" if result.drifted is None else "drift" if result.drifted else "none"
        )
        return DriftEvidence(severity, result.reason, result.rows)

    def judge(
        self, candidate: FittedWeights, champion: FittedWeights, tail: datetime | None, known_at: datetime
    ) -> bool:
        return True

    def _build_profiles(self, model: FittedWeights) -> Mapping[str, FeatureProfile]:
        """The reference of the rows that a model was fitted on, of at most `PROFILE_ROWS` of them."""
        step = max(1, (model.last - model.first) // PROFILE_ROWS)
        return _build_profiles(self.stream, model.first, model.last, step)

    def _find_known(self, moment: datetime) -> int:
        return self.stream.find_row(moment - LABEL_DELAY)

    def _find_start(self, start: datetime | None) -> int:
        return 0 if start is None else self.stream.find_row(start)

    def _find_span(self, known_at: datetime, start: datetime | None, end: datetime | None) -> tuple[int, int]:
        last = self._find_known(known_at)
        return self._find_start(start), last if end is None else min(last, self.stream.find_row(end))


def fit_logistic(features: Floats, labels: Floats) -> Floats:
    """The weights of a ridge logistic regression, from features of shape (n, d), the last of them 1, and
    labels 0 or 1: by Newton's method, whose steps over many rows take the curvature of some of them."""
    stride = max(1, len(features) // CURVATURE_ROWS)
    some, some_labels = features[::stride], labels[::stride]
    weights, curvature = np.zeros(features.shape[1]), np.eye(features.shape[1])
    for _ in range(NEWTON_STEPS):
        chances = _compute_chances(some, weights)
        curvature = stride * ((some * (chances * (1 - chances))[:, None]).T @ some) + RIDGE * np.eye(
            len(weights)
        )
        step = np.linalg.solve(curvature, stride * (some.T @ (some_labels - chances)) - RIDGE * weights)
        weights = weights + step
        if np.abs(step).max() < TOLERANCE:
            break
    if stride > 1:
        for _ in range(NEWTON_STEPS):
            gradient = features.T @ (labels - _compute_chances(features, weights)) - RIDGE * weights
            step = np.linalg.solve(curvature, gradient)
            weights = weights + step
            if np.abs(step).max() < TOLERANCE:
                break
    return weights


def _compute_chances(features: Floats, weights: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-(features @ weights))))


@lru_cache(maxsize=4)
def _build_profiles(stream: Stream, first: int, last: int, step: int) -> Mapping[str, FeatureProfile]:
    columns = _name_columns(stream.features[first:last:step])
    shares = np.arange(1, DriftPolicy().bins) / DriftPolicy().bins
    unfilled = {
        name: FeatureProfile(name, "numeric", tuple(np.quantile(values, shares).tolist()), ())
        for name, values in columns.items()
    }
    return {
        name: replace(profile, counts=tuple(profile.count(columns[name]).tolist()))
        for name, profile in unfilled.items()
    }


def _name_columns(features: Floats) -> dict[str, Floats]:
    """The features by name, without the constant."""
    return {f"number_{number}": features[:, number] for number in range(features.shape[1] - 1)}


def _find_time(row: int) -> datetime:
    """The event time of a row; of -1 the origin."""
    return ORIGIN + timedelta(days=(row + 1) / ROWS_PER_DAY)
