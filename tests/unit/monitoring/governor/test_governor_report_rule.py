from datetime import UTC, datetime, timedelta

import pytest

from evergreen.monitoring.governor.report_rule import apply_retrain_policy
from evergreen.store.records.checks.drift import DriftReport
from evergreen.usecase import RetrainPolicy

NOW = datetime(2026, 7, 10, 12, tzinfo=UTC)
FOUND = "12 of 27 features drifted (largest PSI 1.31 in annual_income)"


def report(drifted, reason=FOUND):
    return DriftReport("id", "toy", NOW, 2, NOW, NOW, 900, drifted, reason)


def test_drift_is_a_reason_to_retrain():
    decision = apply_retrain_policy(RetrainPolicy(), report(True), NOW)
    assert (decision.retrain, decision.reason) == (True, f"yes, because {FOUND}")


def test_no_drift_is_not():
    quiet = "0 of 27 features drifted (largest PSI 0.03 in age)"
    decision = apply_retrain_policy(RetrainPolicy(), report(False, quiet), NOW)
    assert (decision.retrain, decision.reason) == (False, f"no, because {quiet}")


def test_no_verdict_is_not_either():
    decision = apply_retrain_policy(RetrainPolicy(), report(None, "no verdict: 120 of 500 predictions"), NOW)
    assert decision.retrain is False
    assert decision.reason == "no, because there is no verdict: 120 of 500 predictions"


def test_a_use_case_may_not_want_to_retrain_on_drift():
    decision = apply_retrain_policy(RetrainPolicy(on_drift=False), report(True), NOW)
    assert decision.retrain is False
    assert "does not retrain on drift, although 12 of 27" in decision.reason


@pytest.mark.parametrize("who", ["promoted_at", "last_retrain"])
def test_the_cooldown_leaves_a_fresh_champion_and_a_fresh_decision_alone(who):
    policy = RetrainPolicy(cooldown=timedelta(days=1))
    decision = apply_retrain_policy(policy, report(True), NOW, **{who: NOW - timedelta(hours=3)})
    assert decision.retrain is False
    assert "3 h ago and the cooldown is 1 d, although 12 of 27" in decision.reason
    assert apply_retrain_policy(policy, report(True), NOW, **{who: NOW - timedelta(days=1)}).retrain is True


def test_without_a_cooldown_nothing_is_too_fresh():
    decision = apply_retrain_policy(RetrainPolicy(), report(True), NOW, promoted_at=NOW, last_retrain=NOW)
    assert decision.retrain is True


def test_a_moment_before_the_champion_is_told_as_such():
    promoted = NOW + timedelta(hours=3)
    decision = apply_retrain_policy(RetrainPolicy(), report(True), NOW, promoted_at=promoted)
    assert decision.retrain is False
    assert decision.reason == f"no, because champion v2 was promoted after that moment, although {FOUND}"
