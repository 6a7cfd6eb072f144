from dataclasses import replace
from datetime import time, timedelta

import pytest

from evergreen.monitoring.governor.inputs import GovernorInputs, LabelCounts, PastRetrain
from evergreen.monitoring.governor.limits import compute_backoff, evaluate_limits
from evergreen.usecase import QuietHours, RetrainPolicy
from support.governor_inputs import DAY, DRIFTED, NOW, build_estimate, build_realised

SECOND = timedelta(seconds=1)


def read_result(name: str, inputs: GovernorInputs, **policy: object) -> str:
    checks = {check.name: check for check in evaluate_limits(RetrainPolicy(**policy), inputs)}
    return checks[name].result


def retrain(ago: timedelta, outcome: str = "promoted") -> PastRetrain:
    return PastRetrain(NOW - ago, "drift", outcome)


def test_every_limit_is_evaluated_in_its_order():
    assert [check.name for check in evaluate_limits(RetrainPolicy(), DRIFTED)] == [
        *("one at a time", "moments", "backoff", "cooldown", "budget", "quiet hours", "new labels", "cost"),
    ]


def test_one_retrain_runs_at_a_time():
    running = replace(DRIFTED, running_since=NOW - DAY, running_reason="v5 waits: evergreen approve toy 5")
    assert read_result("one at a time", running) == "blocked"
    assert read_result("one at a time", replace(running, manual_reason="now")) == "overridden"
    assert read_result("one at a time", DRIFTED) == "passed"
    [check] = [each for each in evaluate_limits(RetrainPolicy(), running) if each.name == "one at a time"]
    assert check.text.endswith(" UTC (v5 waits: evergreen approve toy 5)")


def test_nothing_is_decided_before_what_has_happened_already():
    assert read_result("moments", replace(DRIFTED, promoted_at=NOW + SECOND)) == "blocked"
    assert read_result("moments", replace(DRIFTED, retrains=(retrain(-SECOND),))) == "blocked"
    assert read_result("moments", replace(DRIFTED, promoted_at=NOW)) == "passed"


def test_the_cooldown_counts_from_the_latest_event():
    inputs = replace(DRIFTED, promoted_at=NOW - 3 * DAY, retrains=(retrain(2 * DAY),))
    assert read_result("cooldown", inputs) == "off"
    assert read_result("cooldown", inputs, cooldown=2 * DAY) == "passed"
    assert read_result("cooldown", inputs, cooldown=2 * DAY + SECOND) == "blocked"
    assert read_result("cooldown", replace(inputs, retrains=()), cooldown=2 * DAY + SECOND) == "passed"


def test_the_budget_is_of_any_seven_days_and_not_of_a_calendar_week():
    week = replace(DRIFTED, retrains=(retrain(7 * DAY - SECOND), retrain(DAY)))
    assert read_result("budget", week) == "off"
    assert read_result("budget", week, weekly_budget=2) == "blocked"
    assert read_result("budget", week, weekly_budget=3) == "passed"
    older = replace(DRIFTED, retrains=(retrain(7 * DAY), retrain(DAY)))
    assert read_result("budget", older, weekly_budget=2) == "passed"


def test_quiet_hours_block():
    assert read_result("quiet hours", DRIFTED) == "off"
    hours = (QuietHours(time(1), time(2)), QuietHours(time(12), time(13)))
    assert read_result("quiet hours", DRIFTED, quiet_hours=hours) == "blocked"
    assert read_result("quiet hours", DRIFTED, quiet_hours=hours[:1]) == "passed"


def test_new_labels_are_asked_for():
    labels = replace(DRIFTED, labels=LabelCounts(new=99))
    assert read_result("new labels", labels) == "off"
    assert read_result("new labels", labels, min_new_labels=100) == "blocked"
    assert read_result("new labels", labels, min_new_labels=99) == "passed"
    assert read_result("new labels", DRIFTED, min_new_labels=100) == "unknown"


@pytest.mark.parametrize(("rejections", "days"), [(0, 0), (1, 2), (2, 4), (3, 8), (4, 10), (5_000, 10)])
def test_the_backoff_doubles_up_to_its_limit(rejections, days):
    policy = RetrainPolicy(backoff=2 * DAY, backoff_limit=10 * DAY)
    assert compute_backoff(policy, rejections) == days * DAY


def test_a_backoff_tells_what_it_follows():
    inputs = replace(DRIFTED, retrains=(retrain(DAY / 2, "failed"),))
    [check] = [check for check in evaluate_limits(RetrainPolicy(), inputs) if check.name == "backoff"]
    assert check.text == "the last training failed, 12 h ago, and the backoff is 1 d"
    inputs = replace(DRIFTED, retrains=(retrain(DAY, "failed"), retrain(DAY / 2, "rejected")))
    [check] = [check for check in evaluate_limits(RetrainPolicy(), inputs) if check.name == "backoff"]
    assert check.text == (
        "the last candidate was rejected, 12 h ago as the last of 2 retrainings in succession without a new"
        " champion, and the backoff is 2 d"
    )


def test_rejections_in_succession_wait_longer_and_a_promotion_ends_them():
    policy = {"backoff": 2 * DAY}
    once = replace(DRIFTED, retrains=(retrain(2 * DAY, "rejected"),))
    assert read_result("backoff", once, **policy) == "passed"
    twice = replace(DRIFTED, retrains=(retrain(9 * DAY, "failed"), retrain(2 * DAY, "rejected")))
    assert read_result("backoff", twice, **policy) == "blocked"
    between = replace(
        DRIFTED, retrains=(retrain(9 * DAY, "rejected"), retrain(5 * DAY), retrain(2 * DAY, "rejected"))
    )
    assert read_result("backoff", between, **policy) == "passed"
    after = replace(DRIFTED, retrains=(retrain(DAY, "rejected"), retrain(timedelta(hours=1))))
    assert read_result("backoff", after, **policy) == "passed"


def test_the_cost_is_weighed_against_what_staying_stale_would_lose():
    inputs = replace(DRIFTED, realised=build_realised(0.7, 0.7), predictions_per_day=300.0)
    assert read_result("cost", inputs) == "off"
    # 0.1 wrong answers more for each of 300 predictions a day over 30 days are 900.
    assert read_result("cost", inputs, cost=890) == "passed"
    assert read_result("cost", inputs, cost=910) == "blocked"
    assert read_result("cost", inputs, cost=890, horizon=29 * DAY) == "blocked"
    better = replace(inputs, realised=build_realised(0.9, 0.9))
    assert read_result("cost", better, cost=1) == "blocked"


def test_without_outcomes_a_trusted_estimate_tells_the_loss():
    inputs = replace(DRIFTED, estimated=build_estimate(0.7), predictions_per_day=300.0)
    assert read_result("cost", inputs, cost=890) == "passed"
    assert read_result("cost", inputs, cost=910) == "blocked"
    outcomes = replace(inputs, realised=build_realised(0.8))
    assert read_result("cost", outcomes, cost=890) == "passed"
    wrong = replace(inputs, estimated=build_estimate(0.7, trusted=False))
    assert read_result("cost", wrong, cost=910) == "unknown"
    assert read_result("cost", replace(inputs, predictions_per_day=None), cost=910) == "unknown"


def test_a_person_overrides_every_limit():
    inputs = replace(
        DRIFTED,
        manual_reason="new prices",
        running_since=NOW,
        promoted_at=NOW + SECOND,
        labels=LabelCounts(new=0),
        realised=build_realised(0.8),
        predictions_per_day=1.0,
        retrains=(retrain(SECOND, "rejected"),),
    )
    policy = RetrainPolicy(
        cooldown=DAY,
        weekly_budget=1,
        quiet_hours=(QuietHours(time(0), time(0)),),
        min_new_labels=1,
        cost=1_000,
    )
    assert {check.result for check in evaluate_limits(policy, inputs)} == {"overridden"}
