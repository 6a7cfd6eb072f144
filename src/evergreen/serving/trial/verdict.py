"""What the versions of a trial did, as one worker saw it, and which limit that breaks."""

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
# Versions get unequal parts of a request of many rows: the time of more rows is that of so many.
_COMPARED_ROWS = 256


class _Side:
    """What one version did."""

    def __init__(self) -> None:
        self.rows = 0
        self.seconds: deque[float] = deque(maxlen=_KEPT_TIMES)
        self.classes: Counter[str] = Counter()
        self.numbers: deque[float] = deque(maxlen=_KEPT_NUMBERS)
        self.lock = threading.Lock()

    def observe(self, outcome: Predictions, seconds: float) -> None:
        """Count a batch that took so many seconds in the model."""
        predictions: list[str | float] = outcome.predictions.tolist()
        with self.lock:
            self.rows += len(predictions)
            self.seconds.append(seconds * min(1.0, _COMPARED_ROWS / len(predictions)))
            if outcome.probabilities is None:
                self.numbers.extend(map(float, predictions))
            else:
                self.classes.update(map(str, predictions))

    def copy(self) -> _Side:
        """What it has done until now, which does not change any more."""
        with self.lock:
            side = _Side()
            side.rows = self.rows
            side.seconds, side.numbers = self.seconds.copy(), self.numbers.copy()
            side.classes = self.classes.copy()
            return side


class TrialTally:
    """Counts what a version on trial and the champion answer, and judges the version by a trial's limits.

    The version is compared with the champion, or with another version on trial after `compare_with`; `other`
    is that one's, in words. Thread-safe.
    """

    def __init__(self, limits: TrialLimits, other: str = "the champion's") -> None:
        self._limits = limits
        self._other_name = other
        self._champion = _Side()
        self._own = _Side()
        self._other = self._champion
        self._failed = 0
        self._last_failure = ""
        self._hang = ""
        self._lock = threading.Lock()

    def compare_with(self, other: TrialTally) -> None:
        """Judge the version by what another version on trial does, instead of by the champion."""
        self._other = other._own

    def observe_champion(self, outcome: Predictions, seconds: float) -> None:
        """Count a batch of the champion's."""
        self._champion.observe(outcome, seconds)

    def observe_answer(self, outcome: Predictions, seconds: float) -> None:
        """Count a batch of the version's."""
        self._own.observe(outcome, seconds)

    def observe_failure(self, rows: int, reason: str) -> None:
        """Count rows that the version could not answer."""
        with self._lock:
            self._failed += rows
            self._last_failure = reason

    def note_hang(self, reason: str) -> None:
        """Keep that the version did not answer in time, which is a verdict by itself."""
        self._hang = reason

    def is_slow(self, seconds: float) -> bool:
        """Whether a batch of the version's took so long that it is worth judging at once."""
        return seconds * 1000.0 > self._limits.latency_ms

    @property
    def rows(self) -> int:
        """Rows that the version answered."""
        return self._own.rows

    @property
    def champion_rows(self) -> int:
        """Rows that the champion answered."""
        return self._champion.rows

    @property
    def failed(self) -> int:
        """Rows that the version failed on."""
        return self._failed

    def judge(self) -> str:
        """The limit that the version breaks, in words; "" while it breaks none."""
        own, other = self._own.copy(), self._other.copy()
        return (
            self._hang
            or self._judge_failures(own.rows)
            or self._judge_times(own, other)
            or self._judge_mix(own, other)
        )

    def _judge_failures(self, answered: int) -> str:
        with self._lock:
            failed, last = self._failed, self._last_failure
        asked = answered + failed
        if failed < _LEAST_FAILURES or failed <= self._limits.error_share * asked:
            return ""
        return f"it failed on {failed:,} of {asked:,} rows, the last time by {last}"

    def _judge_times(self, own: _Side, other: _Side) -> str:
        if len(own.seconds) < _LEAST_BATCHES or not other.seconds:
            return ""
        slow, usual = compute_p95(own.seconds) * 1000.0, compute_p95(other.seconds) * 1000.0
        if slow <= self._limits.latency_ms or slow <= self._limits.latency_ratio * usual:
            return ""
        return (
            f"its predictions take {slow:.1f} ms (95th percentile of batches), {self._other_name} {usual:.1f}"
        )

    def _judge_mix(self, own: _Side, other: _Side) -> str:
        if min(own.rows, other.rows) < self._limits.min_rows:
            return ""
        if other.classes:
            distance = compute_total_variation(other.classes, own.classes)
        else:
            distance = compute_ks_distance(other.numbers, own.numbers)
        if distance <= self._limits.mix_difference:
            return ""
        return (
            f"the distance of its predictions from {self._other_name} is {distance:.2f}"
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
