from datetime import timedelta

import pytest

from evergreen.monitoring.governor.training_window import WindowPlan, plan_training_window
from evergreen.usecase import RetrainPolicy
from support.governor_inputs import DAY, NOW

SINCE, OLDEST = NOW - 5 * DAY, NOW - 400 * DAY


def plan(window: object, since=SINCE, oldest=OLDEST, **policy: object) -> WindowPlan:
    return plan_training_window(RetrainPolicy(window=window, **policy), NOW, since, oldest)


@pytest.mark.parametrize("window", ["all", None])
def test_all_rows(window):
    assert [(each.name, each.start) for each in plan(window).candidates] == [("all", None)]


def test_a_fixed_duration():
    assert [(each.name, each.start) for each in plan(36 * timedelta(hours=1)).candidates] == [
        ("the last 1.5 days", NOW - timedelta(hours=36))
    ]


def test_since_the_drift_began_and_all_rows_where_none_shows():
    assert [each.start for each in plan("since_drift").candidates] == [SINCE]
    assert [each.name for each in plan("since_drift", since=None).candidates] == ["all"]


def test_windows_to_choose_among_are_the_longest_first():
    chosen = plan("validated", candidate_windows=(7 * DAY, 90 * DAY), validation_share=0.3)
    assert [each.start for each in chosen.candidates] == [None, NOW - 90 * DAY, NOW - 7 * DAY, SINCE]
    assert (chosen.validation_share, chosen.drift_since) == (0.3, SINCE)


def test_a_window_that_holds_all_rows_and_a_repeated_one_are_left_out():
    chosen = plan("validated", since=NOW - 30 * DAY, oldest=NOW - 60 * DAY)
    assert [each.start for each in chosen.candidates] == [None, NOW - 30 * DAY]
    assert len(plan("validated", since=None, oldest=None).candidates) == 3


def test_a_plan_survives_its_record():
    for each in (plan("validated"), plan("all", since=None)):
        assert WindowPlan.from_json(each.to_json()) == each
