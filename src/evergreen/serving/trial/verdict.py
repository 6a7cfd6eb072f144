"""What champion and challenger did in a trial, as one worker saw it, and which limit that breaks."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

from evergreen.model.predictions import Predictions
from evergreen.usecase import TrialLimits

# Fewer failures are never too many, and fewer batches give no percentile.
_LEAST_FAILURES = 3
_LEAST_BATCHES = 10
# Times and numbers are those of the newest batches and rows, so that memory is bounded.
_KEPT_TIMES = 500
_KEPT_NUMBERS = 5_000


class _Side:
    """What one of both versions did."""

    def __init__(self) -> None:
        self.rows = 0
        self.seconds: deque[float] = deque(maxlen=_KEPT_TIMES)
        self.classes: Counter[str] = Counter()
        self.numbers: deque[float] = deque(maxlen=_KEPT_NUMBERS)

    def observe(self, outcome: Predictions, seconds: float) -> None:
        """Count a batch that took so many seconds in the model."""
        predictions: list[str | float] = outcome.predictions.tolist()
        self.rows += len(predictions)
        self.seconds.append(seconds)
        if outcome.probabilities is None:
            self.numbers.extend(map(float, predictions))
        else:
            self.classes.update(map(str, predictions))


class TrialTally:
    """Counts what both versions answer, and judges the challenger by a trial's limits. Thread-safe."""

    def __init__(self, limits: TrialLimits) -> None:
        self._limits = limits
        self._champion = _Side()
        self._challenger = _Side()
        self._failed = 0
        self._last_failure = ""
        self._lock = threading.Lock()

    def observe_champion(self, outcome: Predictions, seconds: float) -> None:
        """Count a batch of the champion's."""
        with self._lock:
            self._champion.observe(outcome, seconds)

    def observe_challenger(self, outcome: Predictions, seconds: float) -> None:
        """Count a batch of the challenger's."""
        with self._lock:
            self._challenger.observe(outcome, seconds)

    def observe_failure(self, rows: int, reason: str) -> None:
        """Count rows that the challenger could not answer."""
        with self._lock:
            self._failed += rows
            self._last_failure = reason

    def is_slow(self, seconds: float) -> bool:
        """Whether a batch of the challenger's took so long that it is worth judging at once."""
        return seconds * 1000.0 > self._limits.latency_ms

    def count_rows(self) -> dict[str, int]:
        """Rows of both, and those that the challenger failed on."""
        with self._lock:
            return {
                "champion": self._champion.rows,
                "challenger": self._challenger.rows,
                "failed": self._failed,
            }

    def judge(self) -> str:
        """The limit that the challenger breaks, in words; "" while it breaks none."""
        with self._lock:
            return self._judge_failures() or self._judge_times() or self._judge_mix()

    def _judge_failures(self) -> str:
        asked = self._challenger.rows + self._failed
        if self._failed < _LEAST_FAILURES or self._failed <= self._limits.error_share * asked:
            return ""
        return f"it failed on {self._failed:,} of {asked:,} rows, the last time by {self._last_failure}"

    def _judge_times(self) -> str:
        own, other = self._challenger.seconds, self._champion.seconds
        if len(own) < _LEAST_BATCHES or not other:
            return ""
        slow, usual = compute_p95(own) * 1000.0, compute_p95(other) * 1000.0
        if slow <= self._limits.latency_ms or slow <= self._limits.latency_ratio * usual:
            return ""
        return f"its predictions take {slow:.1f} ms (95th percentile of batches), the champion's {usual:.1f}"

    def _judge_mix(self) -> str:
        if min(self._champion.rows, self._challenger.rows) < self._limits.min_rows:
            return ""
        if self._champion.classes:
            distance = compute_total_variation(self._champion.classes, self._challenger.classes)
        else:
            distance = compute_ks_distance(self._champion.numbers, self._challenger.numbers)
        if distance <= self._limits.mix_difference:
            return ""
        return (
            f"the distance of its predictions from the champion's is {distance:.2f}"
            f" and may be {self._limits.mix_difference:g}"
        )


def compute_p95(seconds: Sequence[float] | deque[float]) -> float:
    """The 95th percentile of one value or more: the greatest value that at least 5 % are not below of."""
    ordered = sorted(seconds)
    return ordered[int(0.95 * (len(ordered) - 1))]


def compute_total_variation(one: Counter[str], other: Counter[str]) -> float:
    """Half the sum of the absolute differences of the classes' shares, from 0 to 1; neither may be empty."""
    first, second = one.total(), other.total()
    return sum(abs(one[name] / first - other[name] / second) for name in one | other) / 2.0


def compute_ks_distance(one: Sequence[float] | deque[float], other: Sequence[float] | deque[float]) -> float:
    """The greatest difference of the empirical distribution functions (Kolmogorov-Smirnov), from 0 to 1."""
    first, second = np.sort(np.array(one)), np.sort(np.array(other))
    every = np.concatenate([first, second])
    below_first = np.searchsorted(first, every, side="right") / len(first)
    below_second = np.searchsorted(second, every, side="right") / len(second)
    return float(np.abs(below_first - below_second).max())


def find_failure(outcome: Predictions) -> str:
    """Why predictions are no answers, in words; "" for good ones."""
    numbers = outcome.predictions if outcome.probabilities is None else outcome.probabilities
    return "" if np.isfinite(numbers).all() else "an answer that is not finite"
