"""The simulated bank's score: a known, noisy function of one month's facts.

It is an ordered logit (McCullagh, "Regression models for ordinal data", 1980): with the score s(x), two cuts
c1 and c2 and the noise t, P(Poor) = L((c1 - s)/t), P(Good) = L((s - c2)/t), L being the logistic function,
and P(Standard) is the rest. The score uses the facts as recorded; a missing value counts as the average. So
the probabilities of each row are known exactly, and the best possible model predicts each row's likeliest
class.
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


# In ordinary months the past decides: mix, delays, rate, debt, history. In the recession liquidity decides:
# the balance that is left, the share of the credit in use, the instalments.
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


def draw_classes(columns: Columns, scenario: Scenario, monthly: RandomNumbers) -> Texts:
    """One class per row, drawn from its probabilities with the random numbers `monthly`."""
    probabilities = compute_class_probabilities(columns, scenario)
    uniform = monthly.uniform("score")[:, None]
    index = (uniform > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return take_names(CLASSES, index)


def _compute_terms(columns: Columns) -> dict[str, Floats]:
    """The score's terms, each about standard normal in a stable month; NaN where a fact is missing."""
    numbers: dict[str, Floats] = {
        name: np.asarray(values) for name, values in columns.items() if values.dtype != np.dtype(object)
    }
    mix, minimum = columns["credit_mix"], columns["payment_of_min_amount"]
    income = numbers["annual_income"]
    delay = (np.log1p(numbers["delay_from_due_date"]) - 2.89) / 0.45
    debt = (np.log(debt_to_income(numbers["outstanding_debt"], income) + 0.005) + 3.5) / 0.8
    utilization = (numbers["credit_utilization_ratio"] - 33.0) / 10.0
    return {
        "mix": np.where(mix == "Good", 1.0, np.where(mix == "Bad", -1.0, 0.0)),
        "minimum": np.where(minimum == "Yes", 1.0, np.where(minimum == "No", -1.0, 0.0)),
        "delay": delay,
        "rate": (numbers["interest_rate"] - 14.0) / 5.8,
        "debt": debt,
        "history": (numbers["credit_history_age"] - 140.0) / 110.0,
        "inquiries": (numbers["num_credit_inquiries"] - 5.0) / 2.7,
        "left": (np.log(balance_to_income(numbers["monthly_balance"], income) + 0.01) + 1.5) / 0.45,
        "balance": (np.log(numbers["monthly_balance"] + 50.0) - 6.7) / 0.6,
        "used": utilization,
        # Two terms that a linear model cannot represent.
        "late debtor": np.clip(delay * debt, -3.0, 3.0),
        "far from usual use": np.abs(utilization) - 0.8,
        "instalments": (np.log(emi_to_income(numbers["total_emi_per_month"], income) + 0.01) + 3.1) / 0.75,
        "limit": (numbers["changed_credit_limit"] + 6.0) / 5.0,
    }


def _logistic(values: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-values)), dtype=np.float64)
