from datetime import UTC, time, timedelta

import pytest

from evergreen.errors import UseCaseError
from evergreen.usecase import QuietHours, RetrainPolicy

DAY = timedelta(days=1)


def test_declarations_of_before_keep_their_meaning():
    policy = RetrainPolicy(on_drift=True, on_new_data=True, cooldown=DAY, window=180 * DAY)
    assert policy.fixed_window == 180 * DAY
    assert RetrainPolicy(window=None).fixed_window is None
    assert RetrainPolicy().fixed_window is None


@pytest.mark.parametrize(
    "fault",
    [
        {"cooldown": -DAY},
        {"window": timedelta(0)},
        {"window": -DAY},
        {"every": timedelta(0)},
        {"horizon": timedelta(0)},
        {"label_patience": -DAY},
        {"backoff": -DAY},
        {"backoff_limit": timedelta(hours=1)},
        {"candidate_windows": (DAY, timedelta(0))},
        {"min_sample": 0},
        {"breaches": 0},
        {"weekly_budget": 0},
        {"min_new_labels": -1},
        {"enough_rows": -1},
        {"min_drop": -0.1},
        {"min_drop": float("nan")},
        {"drop_limit": float("inf")},
        {"cost": -1.0},
        {"on_growth": 1.0},
        {"on_growth": float("nan")},
        {"validation_share": 0.0},
        {"validation_share": 1.0},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_name_and_with_a_hint(fault):
    with pytest.raises(UseCaseError, match=f"the retrain policy's {next(iter(fault))} is") as refusal:
        RetrainPolicy(**fault)
    assert "give" in refusal.value.hint


def test_a_window_rule_is_one_of_three():
    with pytest.raises(UseCaseError, match="the window of a retrain policy is 'since_drifted'") as refusal:
        RetrainPolicy(window="since_drifted")
    assert refusal.value.hint == "did you mean 'since_drift'?"


def test_quiet_hours_are_a_tuple():
    hours = QuietHours(time(22), time(6))
    assert RetrainPolicy(quiet_hours=(hours,)).quiet_hours == (hours,)
    with pytest.raises(UseCaseError, match="quiet_hours is not a tuple"):
        RetrainPolicy(quiet_hours=hours)


@pytest.mark.parametrize(
    ("fault", "message", "hint"),
    [
        ({"zone": "Europe/Berlim"}, "zone of quiet hours is 'Europe/Berlim'", "Europe/Berlin"),
        ({"zone": ""}, "zone of quiet hours is ''", "Europe/Berlin or UTC"),
        ({"zone": "/etc/passwd"}, "zone of quiet hours is", ""),
        ({"days": ()}, "days of quiet hours are", "0 for Monday"),
        ({"days": (7,)}, "days of quiet hours are", "0 for Monday"),
        ({"start": time(22, tzinfo=UTC)}, "the start of quiet hours has a time zone", "zone="),
    ],
)
def test_wrong_quiet_hours_are_refused(fault, message, hint):
    with pytest.raises(UseCaseError, match=message) as refusal:
        QuietHours(**{"start": time(22), "end": time(6), **fault})
    assert hint in refusal.value.hint
