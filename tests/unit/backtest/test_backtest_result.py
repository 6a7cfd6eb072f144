"""The document of a backtest, and what it recommends."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evergreen.backtest.outcomes import Judged, Periods, add_gain, build_periods
from evergreen.backtest.recommend import recommend_policy
from evergreen.backtest.result import BacktestResult, DecisionLine, PolicyOutcome, Recommendation
from support.shop_past import DAY, SHOP, build_requests, day

PERIODS = Periods((day(0), day(1), day(2), day(3)), (50, 50, 50, 50), np.repeat(np.arange(4), 50))


def build_outcome(name: str, value: float, retrains: int, **changes: Any) -> PolicyOutcome:
    outcome = PolicyOutcome(
        name=name,
        title=f"the policy {name}",
        kind="given",
        declaration=f"retrain={name},",
        value=value,
        metrics={"accuracy": value},
        gain=None,
        retrains=retrains,
        fits=retrains + 1,
        cpu_seconds=0.5 * retrains,
        curve=(value, None, value, value),
        retrained_at=(day(1),),
        decisions=(
            DecisionLine(day(1), True, "drift", "yes, because it drifted", 30.0, 700),
            DecisionLine(day(2), False, "", "no, because nothing moved"),
        ),
    )
    return replace(outcome, **changes)


def build_judged(name: str, value: float, retrains: int, noise: float = 0.01) -> Judged:
    """A policy whose answers are right in that share of each period's rows, give or take."""
    rng = np.random.default_rng(retrains)
    values = np.clip(value + rng.normal(0.0, noise, 200), 0.0, 1.0)
    return Judged(build_outcome(name, float(values.mean()), retrains), values)


def recommend(*judged: Judged, less_is_better: bool = False) -> Recommendation:
    return recommend_policy(
        judged, PERIODS, "accuracy", less_is_better=less_is_better, row_less_is_better=less_is_better
    )


def test_a_result_is_written_as_json_whose_undefined_values_are_null() -> None:
    result = BacktestResult(
        use_case="shop",
        title="Shop",
        problem="binary",
        metric="accuracy",
        less_is_better=False,
        start=day(0),
        end=day(4),
        every_seconds=86_400.0,
        checks=4,
        clock="event",
        rows=200,
        first_rows=90,
        parameters={"depth": 4},
        parameters_source="the middle",
        periods=PERIODS.starts,
        period_rows=PERIODS.rows,
        policies=(build_outcome("never", math.nan, 0), build_outcome("daily", 0.9, 4, gain=1.0)),
        recommendation=Recommendation("daily", "retrain=daily,", "it is better"),
        fits=5,
        fits_shared=1,
        cpu_seconds=3.0,
        seconds=2.0,
        workers=2,
        data_digest="d",
        declaration_digest="e",
        notes=("a note",),
    )
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert document["start"] == day(0).isoformat()
    assert document["periods"] == [each.isoformat() for each in PERIODS.starts]
    assert document["policies"][0]["value"] is None
    assert document["policies"][1]["curve"] == [0.9, None, 0.9, 0.9]
    assert document["policies"][1]["decisions"][0]["moment"] == day(1).isoformat()
    assert document["recommendation"] == {
        "policy": "daily",
        "declaration": "retrain=daily,",
        "reason": "it is better",
    }
    assert result.find_policy("daily") == result.policies[1]
    assert result.find_policy("hourly") is None


def test_the_fewest_retrains_that_keep_nearly_all_of_the_gain_are_recommended() -> None:
    never, ours, daily = (
        build_judged("never", 0.7, 0),
        build_judged("ours", 0.895, 3),
        build_judged("daily", 0.9, 60),
    )
    chosen = recommend(never, ours, daily)
    assert (chosen.policy, chosen.declaration) == ("ours", "retrain=ours,")
    assert "with 3 retrains" in chosen.reason
    assert "'never' reached" in chosen.reason
    poor = build_judged("poor", 0.8, 2)
    assert recommend(never, poor, daily).policy == "daily"


def test_one_retrain_is_told_as_one() -> None:
    advice = recommend(build_judged("never", 0.6, 0), build_judged("ours", 0.9, 1))
    assert advice.policy == "ours"
    assert "with 1 retrain; 'never'" in advice.reason


def test_less_may_be_better() -> None:
    never, daily = build_judged("never", 0.3, 0), build_judged("daily", 0.1, 60)
    assert recommend(never, daily, less_is_better=True).policy == "daily"
    assert recommend(never, daily).policy == "never"
    assert "no policy was better than 'never'" in recommend(never, daily).reason


def test_a_gain_that_may_be_chance_is_no_reason_to_retrain() -> None:
    never, daily = build_judged("never", 0.7, 0, noise=0.5), build_judged("daily", 0.71, 60, noise=0.5)
    chosen = recommend(never, daily)
    assert chosen.policy == "never"
    assert "may be chance" in chosen.reason


def test_gain_lies_between_never_and_every_check() -> None:
    outcome = build_outcome("ours", 0.8, 3)
    gain = add_gain(outcome, 0.7, 0.9, less_is_better=False).gain
    assert gain == pytest.approx(0.5)
    gain = add_gain(outcome, 0.9, 0.7, less_is_better=True).gain
    assert gain == pytest.approx(0.5)
    assert add_gain(outcome, 0.7, 0.7, less_is_better=False).gain is None
    # Where retraining at every check makes it worse, there is nothing to gain.
    assert add_gain(outcome, 0.9, 0.7, less_is_better=False).gain is None
    assert add_gain(outcome, None, 0.9, less_is_better=False).gain is None
    # Never retraining gains 0, without a sign, also where less is better.
    assert str(add_gain(outcome, 0.8, 0.7, less_is_better=True).gain) == "0.0"
    assert add_gain(outcome, float("nan"), 0.9, less_is_better=False).gain is None


def test_periods_hold_every_request_once() -> None:
    requests = build_requests(SHOP, 20)
    moments = tuple(day(5) + number * DAY for number in range(1, 16))
    periods = build_periods(requests, day(5), moments)
    assert periods.starts == tuple(day(number) for number in range(5, 20))
    assert set(periods.rows) == {24, 23}
    assert sum(periods.rows) == len(periods.codes)
    many = tuple(day(5) + number * DAY / 24 for number in range(1, 15 * 24 + 1))
    assert len(build_periods(requests, day(5), many).starts) == 60
    assert sum(build_periods(requests, day(5), many).rows) == sum(periods.rows)
