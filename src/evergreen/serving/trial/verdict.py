"""What the versions of a trial did, as one worker saw it, and which limit that breaks."""

from __future__ import annotations

import math
import random
import threading
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

from evergreen.model.predictions import Predictions
from evergreen.usecase import TrialLimits

# Fewer failures are never too many, and fewer batches give no percentile.
_LEAST_FAILURES = 3
_LEAST_BATCHES = 10
# A verdict is on what a version does now, whatever it did before: on the newest batches, rows and failures.
_KEPT_TIMES = 500
KEPT_ROWS = 5_000
_MOST_KEPT_ROWS = 100_000
# By this share of the compared rows one version may be ahead of the other.
_AHEAD_SHARE = 0.2
_KEPT_FAILURES = 1_000
# A stretch of rows has too many failures where chance gives as many with a probability of e**-20 at most. A
# trial has millions of stretches.
_EXCESS = 20.0
# Versions get unequal parts of a request of many rows: the time of more rows is that of so many.
_COMPARED_ROWS = 256


class _Side:
    """What one version did: `rows` in all, the times of its newest batches, and the newest of its answers
    that are compared, of which `classes` or `numbers` stay empty.

    Answers may follow the time of day, and one version may get a hundred times the rows of the other. So
    that both are compared over the same time, one answer is compared for each row of the other version:
    its rows make room. Answers wait for room until newer ones take their place. `compared` counts the
    compared answers since the start.
    """

    def __init__(self, kept_rows: int) -> None:
        self.rows = 0
        self.compared = 0
        self.seconds: deque[float] = deque(maxlen=_KEPT_TIMES)
        self.classes: deque[str] = deque(maxlen=kept_rows)
        self.numbers: deque[float] = deque(maxlen=kept_rows)
        self.lock = threading.Lock()
        # By so many rows one version may be ahead of the other; after more, the windows would differ in time.
        self._most_ahead = math.ceil(kept_rows * _AHEAD_SHARE)
        self._waiting: deque[str | float] = deque(maxlen=self._most_ahead)
        self._room = 0
        self._are_classes = False
        self._random = random.Random(0)

    def observe(self, outcome: Predictions, seconds: float) -> None:
        """Count a batch that took so many seconds in the model."""
        rows = len(outcome.predictions)
        predictions = outcome.predictions
        if rows > self._most_ahead:
            # The rows of a large batch may be in an order, so those that wait are from everywhere in it.
            predictions = predictions[np.arange(self._most_ahead) * rows // self._most_ahead]
        answers: list[str | float] = predictions.tolist()
        with self.lock:
            self.rows += rows
            self.seconds.append(seconds * min(1.0, _COMPARED_ROWS / rows))
            self._are_classes = outcome.probabilities is not None
            self._waiting.extend(answers)
            self._keep_answers()

    def make_room(self, rows: int) -> None:
        """Compare so many answers more, for as many rows of the other version."""
        with self.lock:
            self._room = min(self._room + rows, self._most_ahead)
            self._keep_answers()

    def _keep_answers(self) -> None:
        count = min(self._room, len(self._waiting))
        if count == 0:
            return
        if count == len(self._waiting):
            answers = list(self._waiting)
            self._waiting.clear()
        else:
            places = sorted(self._random.sample(range(len(self._waiting)), count))
            answers = [self._waiting[place] for place in places]
            for place in reversed(places):
                del self._waiting[place]
        self._room -= count
        self.compared += count
        if self._are_classes:
            self.classes.extend(map(str, answers))
        else:
            self.numbers.extend(map(float, answers))

    def copy(self) -> _Side:
        """What it has done until now, which does not change any more."""
        with self.lock:
            side = _Side(1)
            side.rows, side.compared = self.rows, self.compared
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
        kept_rows = min(max(KEPT_ROWS, limits.min_rows), _MOST_KEPT_ROWS)
        self._champion = _Side(kept_rows)
        self._own = _Side(kept_rows)
        self._other = self._champion
        self._failed = 0
        # The newest failures: how many rows were asked before each, and how many rows failed.
        self._failures: deque[tuple[int, int]] = deque(maxlen=_KEPT_FAILURES)
        self._last_failure = ""
        self._hang = ""
        self._lock = threading.Lock()

    def compare_with(self, other: TrialTally) -> None:
        """Judge both versions on trial by what the other one does, instead of by the champion."""
        self._other, other._other = other._own, self._own

    def observe_champion(self, outcome: Predictions, seconds: float) -> None:
        """Count a batch of the champion's."""
        self._champion.observe(outcome, seconds)
        if self._other is self._champion:
            self._own.make_room(len(outcome.predictions))

    def observe_answer(self, outcome: Predictions, seconds: float) -> None:
        """Count a batch of the version's."""
        self._own.observe(outcome, seconds)
        self._other.make_room(len(outcome.predictions))

    def observe_failure(self, rows: int, reason: str) -> None:
        """Count rows that the version could not answer."""
        with self._lock:
            self._failures.append((self._own.rows + self._failed, rows))
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
        """Judge failures since the start, and of every stretch of rows that goes on until now."""
        share = self._limits.error_share
        with self._lock:
            failed, last = self._failed, self._last_failure
            newest = list(self._failures)[::-1]
        asked = answered + failed
        if failed >= _LEAST_FAILURES and failed > share * asked:
            return f"it failed on {failed:,} of {asked:,} rows, the last time by {last}"
        recent = 0
        for times, (before, rows) in enumerate(newest, 1):
            recent += rows
            # Answers may have been counted since `answered` was read.
            stretch = max(asked - before, recent)
            if times >= _LEAST_FAILURES and compute_excess(recent, stretch, share) > _EXCESS:
                return f"it failed on {recent:,} of its last {stretch:,} rows, the last time by {last}"
        return ""

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
        if min(own.compared, other.compared) < self._limits.min_rows:
            return ""
        if other.classes:
            distance = compute_total_variation(Counter(other.classes), Counter(own.classes))
        else:
            distance = compute_ks_distance(other.numbers, own.numbers)
        if distance <= self._limits.mix_difference:
            return ""
        return (
            f"the distance of its predictions from {self._other_name} is {distance:.2f}"
            f" and may be {self._limits.mix_difference:g}"
        )


def compute_excess(failed: int, asked: int, share: float) -> float:
    """How far failures of some rows are beyond a share: Chernoff's bound, as a number from 0 on.

    Where each row fails by itself with that probability, so many failures have a probability of e to the
    power of minus this number at most. 0 for failures within the share.
    """
    if failed <= share * asked:
        return 0.0
    if share == 0.0:
        return math.inf
    excess = failed * math.log(failed / asked / share)
    if failed < asked:
        excess += (asked - failed) * math.log((asked - failed) / asked / (1.0 - share))
    return max(0.0, excess)


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
