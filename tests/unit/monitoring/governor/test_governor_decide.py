from dataclasses import replace

import pytest

from evergreen.monitoring.governor.decide import decide, find_drift_start
from evergreen.monitoring.governor.inputs import LabelCounts, PastRetrain
from evergreen.usecase import RetrainPolicy
from support.governor_inputs import DAY, DRIFT, DRIFTED, NOW, QUIET, build_estimate, build_realised


def test_yes_with_its_reason_trigger_and_window():
    answer = decide(RetrainPolicy(window=90 * DAY), DRIFTED)
    assert (answer.retrain, answer.trigger) == (True, "drift")
    assert answer.reason == "yes, because 2 of 27 features drifted"
    assert [window.start for window in answer.window.candidates] == [NOW - 90 * DAY]


def test_no_when_nothing_fires_and_there_is_no_window_then():
    answer = decide(RetrainPolicy(), QUIET)
    assert (answer.retrain, answer.trigger, answer.window) == (False, "", None)
    assert answer.reason == "no, because 0 of 27 features drifted"


def test_no_tells_what_was_measured():
    answer = decide(RetrainPolicy(), replace(QUIET, realised=build_realised(0.81)))
    assert answer.reason == "no, because 0 of 27 features drifted; accuracy is as it was at the training"
    nothing = decide(RetrainPolicy(), replace(QUIET, drift=None))
    assert nothing.reason == "no, because nothing was measured that is a reason to retrain"


def test_a_block_is_told_with_the_reason_that_it_overrules():
    answer = decide(RetrainPolicy(min_new_labels=500), replace(DRIFTED, labels=LabelCounts(new=120)))
    assert (answer.retrain, answer.trigger, answer.window) == (False, "drift", None)
    assert answer.reason == (
        "no, because 120 labels are new since the last training and it takes 500, although 2 of 27 features"
        " drifted"
    )


def test_all_rules_are_on_record_whatever_the_others_say():
    for inputs in (QUIET, DRIFTED, replace(DRIFTED, running_since=NOW)):
        checks = decide(RetrainPolicy(), inputs).checks
        assert [check.kind for check in checks] == ["trigger"] * 7 + ["limit"] * 8
        assert all(check.text for check in checks)


def test_the_first_trigger_gives_the_reason_and_the_first_limit_the_refusal():
    inputs = replace(
        DRIFTED,
        manual_reason="new prices",
        realised=build_realised(0.6, 0.6),
        estimated=build_estimate(0.6),
        new_rows=True,
        scheduled=True,
    )
    policy = RetrainPolicy(on_new_data=True)
    order = []
    for change in (
        {"manual_reason": ""},
        {"realised": None},
        {"estimated": None},
        {"drift": None},
        {"new_rows": False},
        {"scheduled": False},
    ):
        order.append(decide(policy, inputs).trigger)
        inputs = replace(inputs, **change)
    assert order == ["manual", "realised drop", "estimated drop", "drift", "new data", "schedule"]
    assert not decide(policy, inputs).retrain

    blocked = replace(
        DRIFTED, running_since=NOW, promoted_at=NOW + DAY, retrains=(PastRetrain(NOW, "drift", "rejected"),)
    )
    reasons = [
        decide(RetrainPolicy(cooldown=DAY), each).reason.split(",")[1]
        for each in (
            blocked,
            replace(blocked, running_since=None),
            replace(blocked, running_since=None, promoted_at=None),
        )
    ]
    assert reasons == [
        f" because a retraining has been under way since {NOW:%Y-%m-%d %H:%M} UTC",
        " because champion v3 was promoted after that moment",
        " because the last candidate was rejected",
    ]


def test_a_retrain_by_hand_is_made_in_spite_of_limits_that_stay_on_record():
    rejected = PastRetrain(NOW, "drift", "rejected")
    inputs = replace(QUIET, manual_reason="new prices", retrains=(rejected,), running_since=NOW)
    answer = decide(RetrainPolicy(weekly_budget=1), inputs)
    assert answer.reason == "yes, because a person asked for it: new prices"
    assert {check.name for check in answer.checks if check.result == "overridden"} == {
        *("one at a time", "backoff", "budget"),
    }


def test_the_change_that_a_retrain_answers_follows_from_its_trigger():
    answered = PastRetrain(NOW - 20 * DAY, "realised drop", "promoted", drift_since=NOW - 25 * DAY)
    inputs = replace(QUIET, retrains=(answered,))
    policy = RetrainPolicy()
    assert find_drift_start(policy, inputs, "schedule") == NOW - 25 * DAY
    drifted = replace(inputs, drift=replace(DRIFT, since=NOW - 3 * DAY))
    assert find_drift_start(policy, drifted, "drift") == NOW - 3 * DAY
    dropped = replace(drifted, realised=build_realised(0.8, 0.7, 0.6))
    assert find_drift_start(policy, dropped, "realised drop") == NOW - 2 * DAY
    assert find_drift_start(policy, dropped, "growth") == NOW - 25 * DAY
    assert find_drift_start(policy, QUIET, "schedule") is None


@pytest.mark.parametrize("window", ["since_drift", "validated"])
def test_the_change_is_among_the_windows(window):
    inputs = replace(QUIET, realised=build_realised(0.8, 0.7, 0.6), labels=LabelCounts(oldest=NOW - 80 * DAY))
    plan = decide(RetrainPolicy(window=window), inputs).window
    names = [candidate.name for candidate in plan.candidates]
    # The last 90 days are all rows of this history.
    assert (
        names == ["since the drift began"] if window == "since_drift" else ["all", "the last 30 days", *names]
    )
    assert plan.drift_since == plan.candidates[-1].start == NOW - 2 * DAY
