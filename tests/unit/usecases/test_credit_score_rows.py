"""The simulated rows: domains, correlations, stability over time, and the recession's shift."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.errors import UseCaseError
from evergreen.usecases.credit_score import USE_CASE
from evergreen.usecases.credit_score.facts import MISSING_SHARES, simulate_facts
from evergreen.usecases.credit_score.fields import NO_LOAN
from evergreen.usecases.credit_score.periods import MAX_PERIODS
from evergreen.usecases.credit_score.population import simulate_customers
from evergreen.usecases.credit_score.randomness import RandomNumbers
from evergreen.usecases.credit_score.simulator import draw

AT = 318
Columns = dict[str, np.ndarray[Any, Any]]


def with_on_demand(columns: Columns) -> Columns:
    full = dict(columns)
    for feature in USE_CASE.on_demand_order:
        full[feature.name] = feature.function(*(full[name] for name in feature.inputs))
    return full


def fresh(n: int, seed: int, scenario: str, period: int = AT) -> Columns:
    rows, _ = draw(n, seed, scenario=scenario, period=period)
    frame = pd.DataFrame(rows)
    return with_on_demand(
        {
            f.name: frame[f.name].to_numpy(dtype=np.float64 if f.numeric else object)
            for f in USE_CASE.stored_features
        }
    )


def bank_window(first: int, periods: int, customers: int = 1_500, seed: int = 7) -> Columns:
    """The stored features of the bank's own customers over a window of stable periods."""
    parts = [
        simulate_facts(simulate_customers(np.arange(customers), period, seed), "stable")
        for period in range(first, first + periods)
    ]
    return with_on_demand({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def psi(expected: np.ndarray[Any, Any], actual: np.ndarray[Any, Any], bins: int = 10) -> float:
    """Population stability index over deciles of `expected`, missing values in a bin of their own."""
    if expected.dtype == object:
        names = sorted(set(expected) | set(actual))
        shares = [np.array([np.mean(values == name) for name in names]) for values in (expected, actual)]
    else:
        edges = np.unique(np.nanquantile(expected, np.linspace(0, 1, bins + 1)[1:-1]))
        shares = []
        for values in (expected, actual):
            counts = np.bincount(np.digitize(values[~np.isnan(values)], edges), minlength=len(edges) + 1)
            shares.append(np.append(counts, np.isnan(values).sum()) / len(values))
    p, q = (np.maximum(share, 1e-4) for share in shares)
    return float(((p - q) * np.log(p / q)).sum())


@given(
    seed=st.integers(0, 2**31),
    scenario=st.sampled_from(["stable", "recession"]),
    period=st.integers(0, MAX_PERIODS - 1),
)
@settings(max_examples=25)
def test_every_row_keeps_the_declared_domains(seed: int, scenario: str, period: int) -> None:
    rows, labels = draw(300, seed, scenario=scenario, period=period)
    assert set(labels) <= set(USE_CASE.label.classes)
    for row in rows:
        assert set(row) == {"customer_id", *(f.name for f in USE_CASE.stored_features)}
        for feature in USE_CASE.stored_features:
            value = row[feature.name]
            if value is None:
                assert feature.nullable, feature.name
            elif feature.numeric:
                assert isinstance(value, int if feature.dtype == "int" else float), feature.name
                assert feature.minimum <= value <= feature.maximum, (feature.name, value)  # type: ignore[operator]
            else:
                assert value in feature.allowed, (feature.name, value)


def test_rows_are_json() -> None:
    rows, labels = draw(200, 1, period=AT)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert len(rows) == len(labels) == 200
    assert any(row["monthly_inhand_salary"] is None for row in rows)


def test_missing_shares_stay_well_under_the_declared_limits() -> None:
    columns = fresh(4_000, 3, "stable")
    for feature in USE_CASE.stored_features:
        share = float(np.mean(pd.isna(columns[feature.name])))
        assert share == pytest.approx(MISSING_SHARES.get(feature.name, 0.0), abs=0.015)
        assert share < feature.max_null_share or share == 0


def test_draws_repeat_by_seed_and_share_no_customer() -> None:
    assert draw(50, 1, period=AT) == draw(50, 1, period=AT)
    # The first customers do not depend on how many follow.
    assert draw(50, 1, period=AT)[0] == draw(80, 1, period=AT)[0][:50]
    ids = [{row["customer_id"] for row in draw(500, seed, period=AT)[0]} for seed in (1, 2)]
    assert len(ids[0]) == len(ids[1]) == 500
    assert not ids[0] & ids[1]
    the_bank = simulate_customers(np.arange(100_000), 318, 7).customer_id
    assert min(ids[0] | ids[1]) > the_bank.max()


def test_values_correlate_as_in_a_bank() -> None:
    c = fresh(5_000, 5, "stable")

    def correlation(one: str, other: str) -> float:
        return float(pd.Series(c[one]).corr(pd.Series(c[other]), method="spearman"))

    assert correlation("outstanding_debt", "num_of_loan") > 0.5
    assert correlation("monthly_balance", "annual_income") > 0.5
    assert correlation("delay_from_due_date", "num_of_delayed_payment") > 0.5
    assert correlation("credit_history_age", "age") > 0.3
    delay = {
        mix: c["delay_from_due_date"][c["credit_mix"] == mix].mean() for mix in ("Good", "Standard", "Bad")
    }
    assert delay["Good"] < delay["Standard"] < delay["Bad"]


def test_types_of_loan_fit_their_number_and_histories_fit_the_age() -> None:
    for scenario in ("stable", "recession"):
        c = fresh(5_000, 6, scenario)
        kinds = np.array([0 if t == NO_LOAN else t.count(",") + 1 for t in c["type_of_loan"]])
        np.testing.assert_array_equal(kinds == 0, c["num_of_loan"] == 0)
        assert (kinds <= c["num_of_loan"]).all()
        np.testing.assert_array_equal(c["total_emi_per_month"] == 0, c["num_of_loan"] == 0)
        assert (c["credit_history_age"] <= (c["age"] - 17) * 12).all()


def test_customers_age_but_the_bank_does_not() -> None:
    early, late = (simulate_customers(np.arange(2_000), period, 7) for period in (312, 324))
    stayed = early.customer_id == late.customer_id
    assert 0.6 < stayed.mean() < 0.9
    assert (late.age[stayed] - early.age[stayed] == 1).all()
    history = [simulate_facts(who, "stable")["credit_history_age"] for who in (early, late)]
    assert (history[1][stayed] - history[0][stayed] == 12).all()
    assert abs(history[1].mean() - history[0].mean()) < 8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ordinary_requests_do_not_drift_from_the_history(seed: int) -> None:
    """The reference is 18 periods of the bank; the requests come five later."""
    reference = bank_window(300, 18)
    current = fresh(2_000, seed, "stable", 322)
    values = {f.name: psi(reference[f.name], current[f.name]) for f in USE_CASE.model_features}
    assert max(values.values()) < 0.05, values


def test_two_stable_windows_do_not_drift() -> None:
    one, other = fresh(2_000, 11, "stable", 300), fresh(2_000, 12, "stable", 317)
    assert max(psi(one[f.name], other[f.name]) for f in USE_CASE.model_features) < 0.05


def test_the_recession_drifts_clearly() -> None:
    reference, current = bank_window(300, 18), fresh(2_000, 4, "recession")
    drifted = {f.name for f in USE_CASE.model_features if psi(reference[f.name], current[f.name]) >= 0.25}
    assert len(drifted) >= 8
    assert drifted >= {
        "monthly_inhand_salary",
        "delay_from_due_date",
        "outstanding_debt",
        "credit_utilization_ratio",
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n": 0, "seed": 1, "period": AT}, "0 customers"),
        ({"n": 1, "seed": 1, "period": -1}, "no period -1"),
        ({"n": 1, "seed": 1, "period": MAX_PERIODS}, f"no period {MAX_PERIODS}"),
        ({"n": 1, "seed": 1, "period": AT, "scenario": "boom"}, "'boom'"),
    ],
)
def test_impossible_draws_are_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(UseCaseError, match=says) as caught:
        draw(**arguments)
    assert caught.value.hint


def test_dice_are_uniform_normal_and_independent_of_each_other() -> None:
    dice = RandomNumbers(1, np.arange(50_000))
    uniform, normal = dice.uniform("a"), dice.normal("b")
    assert 0 < uniform.min() < uniform.max() < 1
    assert np.histogram(uniform, 10, (0, 1))[0] == pytest.approx(5_000, abs=300)
    assert (normal.mean(), normal.std()) == pytest.approx((0, 1), abs=0.02)
    assert abs(np.corrcoef(uniform, normal)[0, 1]) < 0.02
    assert abs(np.corrcoef(uniform, RandomNumbers(2, np.arange(50_000)).uniform("a"))[0, 1]) < 0.02


@pytest.mark.parametrize("scenario", ["stable", "recession"])
def test_every_row_keeps_the_rules_between_fields(scenario: str) -> None:
    columns = fresh(4_000, seed=11, scenario=scenario)
    for rule in USE_CASE.view("monthly_facts").contract.rules:
        assert rule.function(*(columns[name] for name in rule.inputs)).all(), rule.name


def test_a_row_that_contradicts_itself_breaks_the_rules() -> None:
    loans, salary = (rule.function for rule in USE_CASE.view("monthly_facts").contract.rules)
    kinds = np.array([NO_LOAN, NO_LOAN, "Auto Loan", "Auto Loan"], dtype=object)
    assert loans(np.array([0.0, 2.0, 0.0, 2.0]), kinds).tolist() == [True, False, False, True]
    paid, income = np.array([1_000.0, 1_001.0, np.nan]), np.full(3, 12_000.0)
    assert salary(paid, income).tolist() == [True, False, True]
