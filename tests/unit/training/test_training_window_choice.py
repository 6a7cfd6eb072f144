"""The window of a training is the one whose model does best on the newest rows, and each trial is on
record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from evergreen.training.data.training_window import TrainingWindow, WindowPlan, WindowTrial
from evergreen.training.data.window_choice import try_windows
from evergreen.training.fit.fitting import Machine
from support.toy_declaration import USE_CASE

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ALL = WindowTrial("all", None)
NEW = WindowTrial("since the drift began", START + 60 * DAY)


def build_rows(days: int = 100, per_day: int = 10, change: int = 60) -> tuple[Any, ...]:
    """Rows whose label says the opposite of before from the day `change` on."""
    rng = np.random.default_rng(1)
    day = np.repeat(np.arange(days), per_day)
    times = np.datetime64(START.replace(tzinfo=None), "us") + (day * 86_400_000_000 + 1).astype(
        "timedelta64[us]"
    )
    visits = rng.integers(0, 10, len(day)).astype(np.float64)
    spend = rng.gamma(2.0, 20.0, len(day))
    label = np.where((visits > 4) ^ (day >= change), "yes", "no").astype(object)
    texts = np.full(len(day), "web", dtype=object)
    columns = {"age": visits * 0 + 30, "visits": visits, "spend": spend, "segment": texts, "mood": texts}
    return times, {**columns, "spend_per_visit": spend / np.maximum(visits, 1.0)}, label


def try_all(plan: WindowPlan, rows: tuple[Any, ...]) -> list[WindowTrial]:
    return try_windows(USE_CASE, plan, *rows, Machine(threads=1))


def test_after_a_change_the_rows_since_then_do_better() -> None:
    before, since = try_all(WindowPlan((ALL, NEW), 0.2), build_rows())
    # A fifth of the smaller window's 400 rows are validated on.
    assert (before.rows, since.rows) == (920, 320)
    assert before.loss is not None
    assert since.loss is not None
    assert since.loss < 0.7 * before.loss


def test_without_a_change_more_rows_do_at_least_as_well() -> None:
    short = WindowTrial("the last 26 days", START + 74 * DAY)
    whole, last = try_all(WindowPlan((ALL, short), 0.2), build_rows(change=1000))
    assert whole.loss is not None
    assert last.loss is not None
    assert whole.loss <= last.loss


def test_of_a_young_change_half_the_rows_are_left_to_learn_from() -> None:
    rows = build_rows(change=90)
    young = WindowTrial("since the drift began", START + 90 * DAY)
    _, starved = try_all(WindowPlan((ALL, young), 0.9), rows)
    assert (starved.rows, starved.loss) == (10, None)
    assert starved.remark == "fewer than 50 rows before the newest"
    whole, since = try_all(WindowPlan((ALL, young), 0.2, young.start), rows)
    assert (whole.rows, since.rows) == (950, 50)
    assert since.loss is not None


def test_windows_that_cannot_be_fitted_say_why() -> None:
    times, columns, label = build_rows()
    same = WindowTrial("the last 200 days", START - 100 * DAY)
    one = np.where(times > np.datetime64("2026-02-15"), "no", label).astype(object)
    plan = WindowPlan((ALL, same, WindowTrial("the last 50 days", START + 50 * DAY)), 0.2)
    remarks = [trial.remark for trial in try_all(plan, (times, columns, one))]
    assert remarks == ["", "the rows of a window before", "a class without rows"]
    frozen = np.full(len(times), times[0])
    assert [trial.remark for trial in try_all(plan, (frozen, columns, label))] == [
        "all rows have one event time"
    ] * 3


def test_numbers_are_judged_by_their_error() -> None:
    times, columns, label = build_rows()
    case = replace(
        USE_CASE,
        label=replace(USE_CASE.label, classes=()),
        gate=replace(USE_CASE.gate, metric="rmse"),
    )
    numbers = np.where(label == "yes", 10.0, 0.0)
    plan = WindowPlan((ALL, NEW), 0.2)
    before, since = try_windows(case, plan, times, columns, numbers, Machine(threads=1))
    assert before.loss is not None
    assert since.loss is not None
    assert since.loss < before.loss


def test_a_window_and_a_plan_survive_json() -> None:
    trials = (replace(ALL, rows=5, loss=0.5), replace(NEW, remark="too few"))
    window = TrainingWindow(NEW.name, NEW.start, trials)
    assert TrainingWindow.from_json(window.to_json()) == window
    assert window.describe() == "since the drift began (since 2026-03-02), of 1 tried"
    assert TrainingWindow("all", None).describe() == "all"
    plan = {"candidates": [{"name": "all", "start": None}], "validation_share": 0.2}
    assert WindowPlan.from_json(plan) == WindowPlan((ALL,), 0.2)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_strange_share_still_leaves_rows_on_both_sides(share: float) -> None:
    [trial, _] = try_all(WindowPlan((ALL, NEW), share), build_rows())
    assert 0 < trial.rows < 1000
