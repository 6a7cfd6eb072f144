"""What the engine is told of the past: nothing that was learned later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evergreen.backtest.fits.fitting import fit_rows
from evergreen.backtest.past.model import PastModel
from evergreen.backtest.past.row_metric import build_row_metric
from evergreen.backtest.past.store_task import StoreTask
from support.shop_past import CHANGE, DAY, SHOP, build_requests, day

REQUESTS = build_requests(SHOP, 60)
TASK = StoreTask(REQUESTS, build_row_metric(SHOP), DAY)


@pytest.fixture(scope="module")
def model() -> PastModel:
    """Trained on day 20, before the change."""
    fitted, record = fit_rows(REQUESTS.rows, REQUESTS.rows.select_known(day(20)), {"depth": 2})
    return PastModel(REQUESTS, fitted, record, (day(20), None, None))


def test_labels_count_from_the_moment_at_which_they_were_known() -> None:
    assert [TASK.count_labels(day(number)) for number in (1.99, 2, 3)] == [0, 1, 25]
    assert TASK.count_labels(day(10), day(4)) == 96
    assert TASK.find_oldest(day(1)) is None
    assert TASK.find_oldest(day(10)) == day(0)
    assert TASK.find_newest(day(10)) == day(8)


def test_quality_is_of_the_labels_learned_in_time(model: PastModel) -> None:
    whole = TASK.measure(model, day(20), day(25))
    assert whole is not None
    assert whole.rows == 120
    learned = TASK.measure(model, day(20), day(25), learned_by=day(25))
    assert learned is not None
    # The labels of the last two days are not known yet.
    assert learned.rows == 72
    point = TASK.measure(model, day(20), day(25), learned_after=day(24), learned_by=day(25))
    assert point is not None
    assert point.rows == 24
    assert TASK.measure(model, day(24), day(25), learned_by=day(25)) is None
    assert TASK.measure(model, day(70), day(80)) is None


def test_quality_falls_where_the_truth_changes(model: PastModel) -> None:
    before, after = TASK.measure(model, day(20), day(CHANGE)), TASK.measure(model, day(CHANGE), day(60))
    assert before is not None
    assert after is not None
    assert before.value > 0.8
    assert after.value < 0.3
    assert before.expected == pytest.approx(before.value, abs=0.1)
    assert after.expected is not None
    assert after.expected > 0.8


def test_drift_is_of_the_requests_of_the_window(model: PastModel) -> None:
    drift = TASK.measure_drift(model, day(20), day(29))
    assert drift is not None
    assert drift.rows == 216
    blind = StoreTask(REQUESTS, build_row_metric(SHOP), DAY, with_evidence=False)
    assert blind.measure_drift(model, day(20), day(29)) is None
    # It learns nothing of its answers either, but its answers and its windows can be judged.
    assert blind.measure(model, day(20), day(29), learned_after=day(20), learned_by=day(29)) is None
    assert blind.measure(model, day(15), day(20), learned_by=day(20)) is not None
    assert blind.measure(model, day(20), day(29)) is not None


def test_drift_knows_no_request_whose_features_came_later(model: PastModel) -> None:
    late = build_requests(SHOP, 60, lag_days=1)
    task = StoreTask(late, build_row_metric(SHOP), DAY)
    fitted, record = fit_rows(late.rows, late.rows.select_known(day(20)), {"depth": 2})
    drift = task.measure_drift(PastModel(late, fitted, record, (day(20), None, None)), day(20), day(29))
    assert drift is not None
    assert drift.rows == 192


def test_a_tail_leaves_rows_on_both_sides() -> None:
    tail = TASK.find_tail(day(20), 0.2)
    assert tail is not None
    known = TASK.count_labels(day(20))
    assert TASK.count_labels(day(20), tail) == pytest.approx(0.2 * known, abs=1)
    assert TASK.find_tail(day(4), 0.2) is None
    assert TASK.find_tail(day(20), 0.01) is None


def test_the_identity_of_rows_follows_their_content() -> None:
    rows, other = REQUESTS.rows, build_requests(SHOP, 60, by_event=True).rows
    known = rows.identify(rows.select_known(day(10)))
    assert known == rows.identify(rows.select_known(day(10.02), None, day(10)))
    assert known == other.identify(other.select_known(day(10)))
    assert known != rows.identify(rows.select_known(day(10.05)))


def test_saved_rows_give_the_same_fit(tmp_path: Path) -> None:
    from evergreen.backtest.past.rows import load_rows

    REQUESTS.rows.save(tmp_path / "rows")
    mapped = load_rows(SHOP, tmp_path / "rows")
    places = REQUESTS.rows.select_known(day(12))
    span = slice(0, len(REQUESTS))
    answers = []
    for rows in (REQUESTS.rows, mapped):
        fitted, record = fit_rows(rows, places, {"depth": 3})
        answers.append(PastModel(REQUESTS, fitted, record, (day(12), None, None)).predict(span).probabilities)
    assert np.array_equal(answers[0], answers[1])
