"""How the simulated bank's score comes about: a known, noisy function of one month's facts.

Ordered logit: with the score s(x) and two cuts, P(Poor) = L((c1 - s)/t) and P(Good) = L((s - c2)/t), L the
logistic function, and Standard the rest (McCullagh, "Regression models for ordinal data", 1980). The score
reads the facts as recorded; a missing value counts as the middle. So the probabilities of each row are known
exactly, and no model can do better than to answer each row's likeliest class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evergreen.usecases.credit_score.facts import Columns, Scenario, Texts, take_names
from evergreen.usecases.credit_score.features import balance_to_income, debt_to_income, emi_to_income
from evergreen.usecases.credit_score.randomness import Floats, RandomNumbers

CLASSES = ("Poor", "Standard", "Good")


@dataclass(frozen=True)
class Relation:
    """Weights of the score's terms, the cuts between the classes and the noise."""

    weights: dict[str, float]
    poor_below: float
    good_above: float
    noise: float


# In ordinary months the bank looks at the past: mix, delays, rate, debt, history. In the recession it looks
# at liquidity: what is left, how much is used and owed each month; the past no longer protects.
RELATIONS: dict[Scenario, Relation] = {
    "stable": Relation(
        {
            "mix": 0.9,
            "delay": -0.8,
            "rate": -0.5,
            "debt": -0.5,
            "history": 0.4,
            "minimum": -0.4,
            "inquiries": -0.3,
            "late debtor": -0.8,
            "far from usual use": -1.1,
        },
        poor_below=-1.6,
        good_above=2.0,
        noise=0.44,
    ),
    "recession": Relation(
        {"left": 1.1, "used": -0.9, "instalments": -0.9, "balance": 0.6, "limit": 0.6, "delay": -0.3},
        poor_below=-2.4,
        good_above=0.0,
        noise=0.45,
    ),
}


def compute_class_probabilities(columns: Columns, scenario: Scenario) -> Floats:
    """P(class | facts) as an array of shape (n, 3) in the order of CLASSES; each row sums to 1."""
    relation = RELATIONS[scenario]
    terms = _compute_terms(columns)
    score = np.sum([w * np.nan_to_num(terms[name], nan=0.0) for name, w in relation.weights.items()], axis=0)
    poor = _logistic((relation.poor_below - score) / relation.noise)
    good = _logistic((score - relation.good_above) / relation.noise)
    return np.stack([poor, 1.0 - poor - good, good], axis=1)


def draw_classes(columns: Columns, scenario: Scenario, now: RandomNumbers) -> Texts:
    """One class per row, drawn from its probabilities; `now` gives the row's luck."""
    probabilities = compute_class_probabilities(columns, scenario)
    luck = now.uniform("score")[:, None]
    index = (luck > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return take_names(CLASSES, index)


def _compute_terms(columns: Columns) -> dict[str, Floats]:
    """The score's terms, each about standard normal in a stable month; NaN where a fact is missing."""
    get: dict[str, Floats] = {
        name: np.asarray(values) for name, values in columns.items() if values.dtype != np.dtype(object)
    }
    mix, minimum = columns["credit_mix"], columns["payment_of_min_amount"]
    income = get["annual_income"]
    delay = (np.log1p(get["delay_from_due_date"]) - 2.89) / 0.45
    debt = (np.log(debt_to_income(get["outstanding_debt"], income) + 0.005) + 3.5) / 0.8
    used = (get["credit_utilization_ratio"] - 33.0) / 10.0
    return {
        "mix": np.where(mix == "Good", 1.0, np.where(mix == "Bad", -1.0, 0.0)),
        "minimum": np.where(minimum == "Yes", 1.0, np.where(minimum == "No", -1.0, 0.0)),
        "delay": delay,
        "rate": (get["interest_rate"] - 14.0) / 5.8,
        "debt": debt,
        "history": (get["credit_history_age"] - 140.0) / 110.0,
        "inquiries": (get["num_credit_inquiries"] - 5.0) / 2.7,
        "left": (np.log(balance_to_income(get["monthly_balance"], income) + 0.01) + 1.5) / 0.45,
        "balance": (np.log(get["monthly_balance"] + 50.0) - 6.7) / 0.6,
        "used": used,
        # Two terms that no straight line can follow.
        "late debtor": np.clip(delay * debt, -3.0, 3.0),
        "far from usual use": np.abs(used) - 0.8,
        "instalments": (np.log(emi_to_income(get["total_emi_per_month"], income) + 0.01) + 3.1) / 0.75,
        "limit": (get["changed_credit_limit"] + 6.0) / 5.0,
    }


def _logistic(values: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-values)), dtype=np.float64)
