import json
from dataclasses import replace

import pytest

from evergreen.training.gate import Verdict, judge
from evergreen.usecase import Gate


def gated(use_case, **options):
    return replace(use_case, gate=Gate(**options))


@pytest.mark.parametrize(
    ("candidate", "champion", "passed"), [(0.81, 0.80, True), (0.80, 0.80, False), (0.79, 0.80, False)]
)
def test_a_candidate_must_be_better_than_the_champion(toy_use_case, candidate, champion, passed):
    verdict = judge(
        gated(toy_use_case), {"accuracy": candidate}, {"accuracy": 0.99}, {"accuracy": champion}, 4
    )
    assert verdict.passed is passed
    assert verdict.champion_version == 4
    assert "champion v4's 0.8000" in verdict.summary


def test_without_a_champion_the_baseline_is_the_rival(toy_use_case):
    verdict = judge(gated(toy_use_case), {"accuracy": 0.8}, {"accuracy": 0.7}, None)
    assert verdict.passed
    assert verdict.champion_version is None
    assert verdict.summary == "passed: accuracy 0.8000 beats the linear baseline's 0.7000"


@pytest.mark.parametrize(("margin", "passed"), [(0.02, True), (0.04, False), (-0.01, True)])
def test_the_margin_is_what_it_must_win_by(toy_use_case, margin, passed):
    use_case = gated(toy_use_case, margin=margin)
    assert judge(use_case, {"accuracy": 0.83}, {}, {"accuracy": 0.80}, 1).passed is passed


def test_a_negative_margin_allows_a_little_less(toy_use_case):
    use_case = gated(toy_use_case, margin=-0.05)
    verdict = judge(use_case, {"accuracy": 0.78}, {}, {"accuracy": 0.80}, 1)
    assert verdict.passed
    assert "is within 0.05 of champion v1's" in verdict.summary
    assert "beats champion v1" in judge(use_case, {"accuracy": 0.81}, {}, {"accuracy": 0.80}, 1).summary
    assert not judge(use_case, {"accuracy": 0.7}, {}, {"accuracy": 0.80}, 1).passed


def test_less_is_better_for_losses_and_errors(toy_use_case):
    use_case = gated(toy_use_case, metric="log_loss", floor=0.5)
    assert judge(use_case, {"log_loss": 0.4}, {}, {"log_loss": 0.45}, 1).passed
    assert not judge(use_case, {"log_loss": 0.46}, {}, {"log_loss": 0.45}, 1).passed
    assert not judge(use_case, {"log_loss": 0.6}, {}, {"log_loss": 0.7}, 1).passed


def test_the_floor_holds_even_for_the_better_one_and_the_reason_names_what_failed(toy_use_case):
    use_case = gated(toy_use_case, floor=0.9)
    verdict = judge(use_case, {"accuracy": 0.85}, {"accuracy": 0.5}, None)
    assert not verdict.passed
    assert [check.passed for check in verdict.checks] == [True, False]
    assert verdict.summary == "rejected: accuracy 0.8500 is not at least 0.9"


def test_a_metric_that_is_not_defined_never_passes(toy_use_case):
    verdict = judge(gated(toy_use_case, metric="roc_auc", floor=0.1), {}, {"roc_auc": 0.5}, None)
    assert not verdict.passed
    assert "not defined" in verdict.summary


def test_a_verdict_survives_json(toy_use_case):
    verdict = judge(gated(toy_use_case, floor=0.2), {"accuracy": 0.8}, {}, {"accuracy": 0.7}, 3, "a remark")
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
    assert "(a remark)" in verdict.summary


def test_the_baseline_may_have_a_margin_of_its_own(toy_use_case):
    use_case = gated(toy_use_case, metric="roc_auc", baseline_margin=-0.05)
    behind = {"roc_auc": 0.80}
    ahead = {"roc_auc": 0.82}
    assert judge(use_case, behind, ahead, None).passed
    assert not judge(use_case, behind, ahead, ahead, 1).passed
    assert not judge(use_case, behind, ahead, behind, 1).passed, "an equal model is no reason for a change"
