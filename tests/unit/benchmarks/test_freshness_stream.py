import math
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from benchmarks.monitor import stage_freshness
from benchmarks.monitor.freshness_stream import (
    DAYS,
    LABEL_DELAY,
    MONTH,
    ORIGIN,
    ROWS_PER_DAY,
    START,
    WARM_UP_DAYS,
    draw_stream,
)
from benchmarks.monitor.freshness_task import StreamTask, fit_logistic
from benchmarks.monitor.stage import Options
from benchmarks.monitor.stage_freshness import StreamResult, compare_with_fixed

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def task() -> StreamTask:
    return StreamTask(draw_stream(3))


def measure_accuracy(task: StreamTask, trained_at: float, begin: float, end: float) -> float:
    """Of a model of the thirty days before one month, on the rows between two others."""
    known_at = START + trained_at * MONTH * DAY + LABEL_DELAY
    model = task.fit(known_at, known_at - LABEL_DELAY - 30 * DAY, None)
    return task.measure(model, START + begin * MONTH * DAY, START + end * MONTH * DAY).value


def test_streams_have_their_rows_and_differ_by_seed(task):
    assert len(task.stream.labels) == (WARM_UP_DAYS + DAYS) * ROWS_PER_DAY
    assert np.array_equal(task.stream.features, draw_stream(3).features)
    assert not np.array_equal(task.stream.labels, draw_stream(4).labels)


@pytest.mark.parametrize(
    ("trained_at", "begin", "end", "stale"),
    [
        (2, 2, 4, False),  # stable
        (4, 4, 5, True),  # the sudden change
        (6, 6, 8, False),  # stable
        (8, 12, 13, True),  # gradual
        (13, 13.8, 14.2, True),  # the season is there
        (13, 14.9, 15.1, False),  # it is gone
        (13, 15.8, 16.2, True),  # and comes back
        (19, 19, 21, False),  # stable
        (21, 21.01, 21.3, True),  # the shock
        (21, 21.5, 24, False),  # it has reverted
    ],
)
def test_models_grow_stale_in_the_phases_of_change_alone(task, trained_at, begin, end, stale):
    accuracy = measure_accuracy(task, trained_at, begin, end)
    assert accuracy < 0.81 if stale else accuracy > 0.81


def test_labels_are_known_seven_days_late(task):
    assert task.count_labels(ORIGIN + 7 * DAY) == 0
    assert task.count_labels(ORIGIN + 9 * DAY) == 2 * ROWS_PER_DAY
    assert task.count_labels(ORIGIN + 9 * DAY, ORIGIN + DAY) == ROWS_PER_DAY
    model = task.fit(START, None, None)
    assert task.measure(model, None, START, START - DAY, START).end == START - LABEL_DELAY


def test_the_answers_of_a_fresh_model_are_worth_what_it_expects(task):
    model = task.fit(START, None, None)
    point = task.measure(model, START, START + 60 * DAY)
    assert point.expected == pytest.approx(point.value, abs=0.015)


def test_the_shift_of_the_sudden_change_drifts_and_a_stable_week_does_not(task):
    model = task.fit(START, None, None)
    week = START + 60 * DAY
    assert task.measure_drift(model, week - 7 * DAY, week).severity == "none"
    changed = START + 4 * MONTH * DAY + 7 * DAY
    assert task.measure_drift(model, changed - 7 * DAY, changed).severity == "drift"


def test_the_logistic_regression_is_that_of_all_rows_however_it_begins():
    rng = np.random.default_rng(5)
    features = np.column_stack([rng.standard_normal((20_000, 3)), np.ones(20_000)])
    weights = np.array([1.0, -2.0, 0.5, 0.3])
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-(features @ weights)))).astype(float)
    fitted = fit_logistic(features, labels)
    chances = 1 / (1 + np.exp(-(features @ fitted)))
    assert features.T @ (labels - chances) == pytest.approx(fitted, abs=1e-2)
    assert fitted == pytest.approx(weights, abs=0.1)


def build_result(ours: float, retrains: int) -> StreamResult:
    return StreamResult(
        never=0.6,
        ours=ours,
        retrains=retrains,
        fixed={1: (730, 0.80), 10: (73, 0.795), 20: (36, 0.79), 30: (24, 0.78)},
        distinct_fits=80,
        triggers={},
        cpu_seconds=1.0,
        daily_cpu_seconds=10.0,
    )


def test_the_rarest_interval_that_reaches_our_accuracy_is_what_we_are_compared_with():
    result = build_result(0.79, 20)
    assert result.gain == pytest.approx(0.95)
    assert compare_with_fixed(result) == pytest.approx(36 / 20)
    # Daily retraining was not tried often enough to say how many retrains it takes.
    assert compare_with_fixed(build_result(0.81, 20)) == math.inf


def test_one_stream_that_no_interval_reaches_does_not_make_the_figure(monkeypatch):
    streams = {12_000: (0.79, 20), 12_001: (0.81, 20), 12_002: (0.795, 40)}
    monkeypatch.setattr(stage_freshness, "SEEDS", len(streams))
    monkeypatch.setattr(stage_freshness, "ProcessPoolExecutor", lambda _: ThreadPoolExecutor(1))
    monkeypatch.setattr(stage_freshness, "replay_stream", lambda _, seed: build_result(*streams[seed]))
    measured = stage_freshness.measure(Options(quick=False, seed=12, cores=1, folder=Path()))
    assert measured["retrains_vs_fixed"] == pytest.approx(73 / 40)
    assert measured["retrains_vs_fixed_worst"] == pytest.approx(36 / 20)
    assert measured["retrains_vs_fixed_unreached"] == 1
