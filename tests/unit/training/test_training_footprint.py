"""What models cost: their file, and the time of one prediction, measured in turn."""

from __future__ import annotations

import time
from itertools import count

import numpy as np
import pytest

from evergreen.training.judge import footprint


class Model:
    """Takes so many seconds by a clock that only its predictions move; keeps the order of all calls."""

    def __init__(self, name, seconds, clock, calls):
        self.name, self.seconds, self.clock, self.calls = name, seconds, clock, calls

    def predict(self, data, *, thread_count, prediction_type):
        assert (thread_count, prediction_type) == (1, "Probability")
        self.calls.append(self.name)
        self.clock[0] += next(self.seconds)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still between predictions."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(footprint, "build_pool", lambda use_case, row: row)
    return now


def test_models_take_turns_and_each_has_the_median_of_its_own_times(toy_use_case, clock):
    calls = []
    steady = Model("steady", (0.002 for _ in count()), clock, calls)
    # Slow while it warms up, and later in four calls of ten.
    warming = Model(
        "warming", (9.0 if n < 10 else 0.001 + 0.003 * (n % 10 > 5) for n in count()), clock, calls
    )
    columns = {"age": np.arange(50.0)}
    assert footprint.measure_latencies_ms(toy_use_case, [steady, warming], columns) == pytest.approx(
        [2.0, 1.0]
    )
    assert calls == ["steady", "warming"] * 110
    assert footprint.measure_latencies_ms(toy_use_case, [], columns) == []
