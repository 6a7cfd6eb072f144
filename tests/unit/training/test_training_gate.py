import json
from dataclasses import replace

import pytest

from evergreen.model.judging.verdict import Verdict
from evergreen.training.judge.evaluation import Evaluation
from evergreen.training.judge.gate import judge_candidate
from evergreen.usecase import Floor, Gate, Slice


def gated(use_case, **options):
    return replace(use_case, gate=Gate(**options))


def judged(use_case, value, champion=None, *, linear=None, dummy=None, share=1.0, **more):
    """The verdict on values of the gate's metric; baselines are beaten unless they are given."""
    metric = use_case.gate.metric
    worst = 9.0 if metric in ("log_loss", "rmse") else -9.0

    def values(number):
        return {} if number is None else {metric: number}

    evaluation = {
        "candidate": values(value),
        "champion": None if champion is None else values(champion),
        "linear": values(worst if linear is None else linear),
        "dummy": values(worst if dummy is None else dummy),
        "champion_version": None if champion is None else 4,
        "remark": "",
        "gains": {"champion": {"value": 0.01, "low": -0.01, "high": 0.03, "share": share}},
        "slices": [],
        "size_bytes": 1_000,
        "latency_ms": 0.1,
        "replay": None,
        **more,
    }
    return judge_candidate(use_case, Evaluation.from_json(evaluation))


def failed(verdict):
    return [check.name for check in verdict.checks if not check.passed]


@pytest.mark.parametrize(
    ("candidate", "champion", "passed"), [(0.81, 0.80, True), (0.80, 0.80, False), (0.79, 0.80, False)]
)
def test_a_candidate_must_be_better_than_the_champion(toy_use_case, candidate, champion, passed):
    verdict = judged(gated(toy_use_case), candidate, champion)
    assert verdict.passed is passed
    assert verdict.champion_version == 4
    assert "champion v4's 0.8000" in verdict.summary


@pytest.mark.parametrize(("margin", "passed"), [(0.02, True), (0.04, False), (-0.01, True)])
def test_the_margin_is_what_it_must_win_by(toy_use_case, margin, passed):
    assert judged(gated(toy_use_case, margin=margin), 0.83, 0.80).passed is passed


def test_a_negative_margin_allows_a_little_less(toy_use_case):
    use_case = gated(toy_use_case, margin=-0.05)
    verdict = judged(use_case, 0.78, 0.80)
    assert verdict.passed
    assert "is within 0.05 of champion v4's" in verdict.summary
    assert "it is within 0.05 of champion v4" in verdict.summary
    assert "beats champion v4" in judged(use_case, 0.81, 0.80).summary
    assert not judged(use_case, 0.7, 0.80).passed


@pytest.mark.parametrize(("share", "passed"), [(0.94, False), (0.95, True), (1.0, True)])
def test_a_win_must_hold_in_enough_resamples(toy_use_case, share, passed):
    verdict = judged(gated(toy_use_case), 0.81, 0.80, share=share)
    assert verdict.passed is passed
    assert failed(verdict) == ([] if passed else ["beats champion surely"])
    relaxed = judged(gated(toy_use_case, confidence=0.5), 0.81, 0.80, share=share)
    assert relaxed.passed


def test_a_gain_that_most_resamples_do_not_define_is_no_win(toy_use_case):
    verdict = judged(gated(toy_use_case), 0.81, 0.80, gains={"champion": None})
    assert failed(verdict) == ["beats champion surely"]
    assert "not defined in most resamples" in verdict.summary


def test_baselines_are_compared_with_a_first_model_and_the_reasons_are_told(toy_use_case):
    use_case = gated(toy_use_case)
    assert failed(judged(use_case, 0.81, dummy=0.81)) == ["beats dummy"]
    assert failed(judged(use_case, 0.81, dummy=0.8099)) == []
    first = judged(use_case, 0.8, linear=0.7, dummy=0.5)
    assert first.passed
    assert first.champion_version is None
    assert first.summary.startswith("passed: accuracy 0.8000 beats the linear baseline's 0.7000; accuracy")


def test_the_linear_baseline_may_have_a_margin_of_its_own_and_the_guess_has_none(toy_use_case):
    use_case = gated(toy_use_case, metric="roc_auc", baseline_margin=-0.05)
    assert judged(use_case, 0.80, linear=0.82).warnings == ()
    assert [check.name for check in judged(use_case, 0.80, linear=0.86).warnings] == ["beats linear"]
    assert not judged(use_case, 0.80, dummy=0.82).passed
    assert not judged(use_case, 0.80, 0.82).passed, "no licence to fall behind the champion"


def test_less_is_better_for_losses_and_errors(toy_use_case):
    use_case = gated(toy_use_case, metric="log_loss", floors=(Floor("log_loss", 0.5),))
    assert judged(use_case, 0.4, 0.45).passed
    assert failed(judged(use_case, 0.46, 0.45)) == ["beats champion"]
    assert failed(judged(use_case, 0.6)) == ["floor of log_loss"]
    assert failed(judged(use_case, 0.51, 0.5)) == ["beats champion", "floor of log_loss"]


def test_every_floor_holds_for_a_first_model_and_the_reason_names_what_failed(toy_use_case):
    use_case = gated(toy_use_case, floors=(Floor("accuracy", 0.9), Floor("recall", 0.1)))
    verdict = judged(use_case, 0.85)
    assert failed(verdict) == ["floor of accuracy", "floor of recall"]
    assert verdict.summary == (
        "rejected: accuracy 0.8500 is not at least 0.9; recall is not defined on this hold-out"
    )


def test_a_metric_that_is_not_defined_never_passes(toy_use_case):
    verdict = judged(gated(toy_use_case, metric="roc_auc"), None)
    assert not verdict.passed
    assert "not defined" in verdict.summary


def test_calibration_size_and_latency_have_limits(toy_use_case):
    use_case = gated(toy_use_case, calibration_error=0.05, model_mb=1.0, latency_ms=2.0)
    good = {"candidate": {"accuracy": 0.8, "calibration_error": 0.04}}
    assert judged(use_case, 0.8, **good).passed
    bad = {
        "candidate": {"accuracy": 0.8, "calibration_error": 0.06},
        "size_bytes": 2_000_000,
        "latency_ms": 3.0,
    }
    assert failed(judged(use_case, 0.8, **bad)) == ["calibration", "size", "latency"]
    assert failed(judged(use_case, 0.8)) == ["calibration"], "what was not measured passes no limit"
    unlimited = gated(toy_use_case, model_mb=None, latency_ms=None)
    assert judged(unlimited, 0.8, **bad).passed


def measured(difference, ratio, judged_groups=2):
    group = {"name": "g", "rows": 50, "values": {"accuracy": 0.8}}
    return {
        "feature": "segment",
        "sensitive": True,
        "metric": "accuracy",
        "groups": [{**group, "judged": number < judged_groups} for number in range(2)],
        "difference": {"accuracy": difference},
        "ratio": {"accuracy": ratio},
    }


def test_groups_may_differ_by_so_much_only(toy_use_case):
    limited = replace(gated(toy_use_case), slices=(Slice("segment", max_difference=0.1, min_ratio=0.8),))
    assert judged(limited, 0.8, slices=[measured(0.1, 0.8)]).passed
    verdict = judged(limited, 0.8, slices=[measured(0.2, 0.7)])
    assert failed(verdict) == ["slices of segment", "slices of segment"]
    assert "the difference of accuracy between the groups of segment 0.2000 is not at most 0.1" in (
        verdict.summary
    )
    assert judged(limited, 0.8, slices=[measured(0.2, 0.7, judged_groups=1)]).passed, "one group is no pair"
    shown = replace(gated(toy_use_case), slices=(Slice("segment"),))
    assert judged(shown, 0.8, slices=[measured(0.9, 0.1)]).passed


def test_a_replay_is_shown_and_limited(toy_use_case):
    replayed = {"rows": 1000, "changed": 130, "share": 0.13, "champion_version": 4, "examples": []}
    shown = judged(gated(toy_use_case), 0.81, 0.80, replay=replayed)
    assert shown.passed
    assert shown.checks[-1].reason == (
        "13.0% of the last 1,000 requests get another answer than from champion v4"
    )
    assert failed(judged(gated(toy_use_case, changed=0.1), 0.81, 0.80, replay=replayed)) == ["replay"]
    assert judged(gated(toy_use_case, changed=0.13), 0.81, 0.80, replay=replayed).passed
    assert judged(gated(toy_use_case, changed=0.1), 0.81, 0.80).passed, "no requests, nothing to judge"


def test_a_verdict_survives_json(toy_use_case):
    verdict = judged(gated(toy_use_case), 0.8, 0.7, remark="a remark")
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
    assert verdict.to_json()["warnings"] == []
    assert "(a remark)" in verdict.summary
