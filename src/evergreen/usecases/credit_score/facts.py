"""One month of simulated bank facts: correlated, within the declared domains, partly missing.

There are two scenarios. `stable` is an ordinary month. In a `recession` pay falls, payments are late, debts
and utilization rise. The numbers are invented and describe no real bank.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from evergreen.errors import UseCaseError
from evergreen.usecases.credit_score.fields import (
    CREDIT_MIXES,
    LOAN_KINDS,
    MINIMUM_PAID,
    MONTHLY,
    NO_LOAN,
    PAYMENT_BEHAVIOURS,
    PROFILE,
)
from evergreen.usecases.credit_score.population import Customers
from evergreen.usecases.credit_score.randomness import Floats, RandomNumbers

Scenario = Literal["stable", "recession"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
Columns = dict[str, NDArray[Any]]
Texts = NDArray[np.object_]

_BOUNDS = {
    feature.name: (feature.minimum, feature.maximum) for feature in (*PROFILE, *MONTHLY) if feature.numeric
}
# The shares of values that the bank fails to record, at random.
MISSING_SHARES = {
    "monthly_inhand_salary": 0.05,
    "num_of_delayed_payment": 0.04,
    "num_credit_inquiries": 0.02,
    "amount_invested_monthly": 0.04,
}


# The value of type_of_loan by a bit pattern in which bit i is set when kind i is held.
_LOAN_TYPES_BY_CODE = tuple(
    ", ".join(kind for i, kind in enumerate(LOAN_KINDS) if code >> i & 1) or NO_LOAN
    for code in range(2 ** len(LOAN_KINDS))
)


def check_scenario(scenario: str) -> Scenario:
    """`scenario` as a Scenario. Raises UseCaseError if there is no such one."""
    for valid_scenario in SCENARIOS:
        if scenario == valid_scenario:
            return valid_scenario
    raise UseCaseError(f"there is no scenario {scenario!r}", hint=f"use one of {', '.join(SCENARIOS)}")


def simulate_facts(customers: Customers, scenario: Scenario) -> Columns:
    """The 22 fields of n customers in that month, by name: float64 (NaN missing) or object arrays, shape
    (n,)."""
    in_recession = scenario == "recession"
    lifelong, monthly = customers.lifelong, customers.monthly
    # Financial stress of the month; a recession raises it for all customers.
    stress = 0.75 * customers.risk + 0.66 * monthly.normal("stress") + (0.95 if in_recession else 0.0)

    income = np.exp(
        10.55 + customers.pay + 0.35 * customers.wealth + 0.012 * (np.minimum(customers.age, 55.0) - 38.0)
    ) * (1.0 - (0.10 + 0.45 * lifelong.uniform("pay_cut") if in_recession else 0.0))
    salary = income / 12.0 * (0.70 + 0.12 * lifelong.uniform("taxes"))
    loans = _round_count(
        2.9
        + 1.2 * customers.risk
        + 1.4 * lifelong.normal("loans")
        + (monthly.uniform("new_loan") < 0.35 if in_recession else 0.0),
        "num_of_loan",
    )
    delay = _round_count(17.0 * np.exp(0.42 * stress + 0.22 * monthly.normal("delay")), "delay_from_due_date")
    debt = (350.0 + 280.0 * loans) * np.exp(0.38 * stress + 0.28 * monthly.normal("debt"))
    emi = np.where(loans > 0, 8.0 + 0.055 * debt + 14.0 * loans * np.exp(0.35 * lifelong.normal("emi")), 0.0)
    invested = np.minimum(
        salary * 0.09 * np.exp(0.5 * monthly.normal("invested") - 0.3 * stress), 0.5 * salary
    )
    balance = salary * np.exp(
        -1.25 + 0.35 * monthly.normal("saved") + 0.3 * lifelong.normal("thrift") - 0.12 * stress
    )

    columns: Columns = {
        "age": _round_count(customers.age, "age"),
        "occupation": customers.occupation,
        "annual_income": _round_money(income, "annual_income"),
        "monthly_inhand_salary": _round_money(salary, "monthly_inhand_salary"),
        "num_bank_accounts": _round_count(
            4.5 + 1.5 * customers.risk + 1.3 * lifelong.normal("accounts"), "num_bank_accounts"
        ),
        "num_credit_card": _round_count(
            5.0 + 1.1 * customers.risk + 1.4 * lifelong.normal("cards"), "num_credit_card"
        ),
        "interest_rate": _round_count(
            14.0 + 5.0 * customers.risk + 3.0 * lifelong.normal("interest") + (3.0 if in_recession else 0.0),
            "interest_rate",
        ),
        "num_of_loan": loans,
        "type_of_loan": _draw_loan_types(loans, customers.age, lifelong),
        "delay_from_due_date": delay,
        "num_of_delayed_payment": _round_count(
            10.0 + 4.0 * stress + 2.5 * monthly.normal("delayed"), "num_of_delayed_payment"
        ),
        "changed_credit_limit": _round_money(
            9.0 + 5.0 * monthly.normal("limit") - (15.0 if in_recession else 0.0), "changed_credit_limit"
        ),
        "num_credit_inquiries": _round_count(
            5.0 + 1.8 * stress + 2.0 * monthly.normal("inquiries"), "num_credit_inquiries"
        ),
        "credit_mix": _draw_credit_mix(customers.risk, delay, lifelong),
        "outstanding_debt": _round_money(debt, "outstanding_debt"),
        "credit_utilization_ratio": _round_money(
            100.0 / (1.0 + np.exp(0.75 - 0.3 * stress - 0.35 * monthly.normal("used"))),
            "credit_utilization_ratio",
        ),
        "credit_history_age": _round_count(
            customers.history_at_start + customers.tenure, "credit_history_age"
        ),
        "payment_of_min_amount": _draw_minimum_paid(stress, monthly),
        "total_emi_per_month": _round_money(emi, "total_emi_per_month"),
        "amount_invested_monthly": _round_money(invested, "amount_invested_monthly"),
        "payment_behaviour": _draw_payment_behaviour(salary, stress, monthly),
        "monthly_balance": _round_money(balance, "monthly_balance"),
    }
    for name, share in MISSING_SHARES.items():
        columns[name] = np.where(monthly.uniform(f"missing {name}") < share, np.nan, columns[name])
    return columns


def _round_count(values: Floats, name: str) -> Floats:
    """Whole numbers within the field's bounds."""
    # Adding zero turns -0.0, which would be written as such, into 0.0.
    return np.clip(np.rint(values) + 0.0, *_BOUNDS[name])


def _round_money(values: Floats, name: str) -> Floats:
    """Numbers with two decimals within the field's bounds."""
    return np.clip(np.round(values, 2) + 0.0, *_BOUNDS[name])


def take_names(names: tuple[str, ...], code: NDArray[Any]) -> Texts:
    """The names at the positions `code`, as an object array of its shape."""
    texts = np.empty(len(code), dtype=object)
    texts[:] = np.array(names, dtype=object)[code]
    return texts


def _draw_loan_types(loans: Floats, age: Floats, lifelong: RandomNumbers) -> Texts:
    """The kinds of the loans: none without loans, and never more kinds than loans."""
    kinds = np.minimum(loans, 1.0 + np.floor(lifelong.uniform("kinds") * 3.5))
    # The kinds with the smallest numbers are held. Age favours mortgages (1) over student loans (3).
    order = np.stack([lifelong.uniform(kind) for kind in LOAN_KINDS], axis=1)
    order[:, 1] += np.clip((40.0 - age) / 60.0, -0.3, 0.3)
    order[:, 3] += np.clip((age - 40.0) / 60.0, -0.3, 0.3)
    rank = order.argsort(axis=1).argsort(axis=1)
    is_held = rank < kinds[:, None]
    code = (is_held * (1 << np.arange(len(LOAN_KINDS)))).sum(axis=1)
    return take_names(_LOAN_TYPES_BY_CODE, code)


def _draw_credit_mix(risk: Floats, delay: Floats, lifelong: RandomNumbers) -> Texts:
    """Good, Standard or Bad: worse with higher risk and longer delays."""
    quality = -0.8 * risk - 0.02 * (delay - 18.0) + 0.5 * lifelong.normal("mix")
    return take_names(CREDIT_MIXES, np.where(quality > 0.55, 0, np.where(quality > -0.75, 1, 2)))


def _draw_minimum_paid(stress: Floats, monthly: RandomNumbers) -> Texts:
    """Whether only the minimum was paid, which is likelier under stress; NM (not mentioned) at random."""
    only_minimum = stress + 0.8 * monthly.normal("minimum") > 0.1
    code = np.where(monthly.uniform("unmentioned") < 0.11, 2, np.where(only_minimum, 0, 1))
    return take_names(MINIMUM_PAID, code)


def _draw_payment_behaviour(salary: Floats, stress: Floats, monthly: RandomNumbers) -> Texts:
    """The amount spent and the size of the payments: greater with salary, smaller under stress."""
    comfort = np.log(salary / 2_700.0) / 0.45
    high = comfort * 0.6 - 0.4 * stress + 0.9 * monthly.normal("spending") > 0.0
    size = comfort * 0.5 + monthly.normal("payments")
    value = np.where(size < -0.45, 0, np.where(size < 0.55, 1, 2))
    return take_names(PAYMENT_BEHAVIOURS, value + 3 * high)
