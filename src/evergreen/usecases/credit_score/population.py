"""The customers of the simulated bank in a given period. They are invented, not real people.

The bank has a fixed number of places; a customer stays two to six years, then another takes the place. So
customers age and their credit history grows, but the bank as a whole stays the same over the years, and no
feature drifts by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evergreen.usecases.credit_score.fields import OCCUPATIONS
from evergreen.usecases.credit_score.periods import PERIODS_A_YEAR
from evergreen.usecases.credit_score.randomness import Floats, Integers, RandomNumbers

Texts = NDArray[np.object_]

# How much each occupation pays relative to the average, on a log scale, in the order of OCCUPATIONS.
_PAY = np.array(
    [0.05, 0.15, 0.20, 0.45, 0.20, 0.25, -0.20, 0.40, 0.25, -0.30, 0.00, -0.40, 0.10, -0.25, -0.35]
)
MAX_PLACES = 1_000_000
# The first place of customers who are not in the bank's tables.
FRESH_PLACES = 10_000_000
_STAY_PERIODS = (2 * PERIODS_A_YEAR, 6 * PERIODS_A_YEAR)
_PER_PLACE = 1000


@dataclass(frozen=True)
class Customers:
    """The customers at n places in one period; arrays of shape (n,).

    `risk` and `wealth` are hidden standard normal traits that do not change. `profile_period` is the number
    of the period in which age or occupation last changed, negative before the bank's first period. `tenure`
    and `history_at_start` count periods. `lifelong` gives random numbers that are the same in every period of
    a customer, `monthly` those of this period.
    """

    period: int
    customer_id: Integers
    tenure: Integers
    age: Floats
    occupation: Texts
    pay: Floats
    history_at_start: Floats
    risk: Floats
    wealth: Floats
    profile_period: Integers
    lifelong: RandomNumbers
    monthly: RandomNumbers


def simulate_customers(places: Integers, period: int, seed: int) -> Customers:
    """The customers at those places in the period of that number."""
    place = RandomNumbers(seed, places)
    stay = _scale_to_integers(place.uniform("stay"), *_STAY_PERIODS)
    phase = np.floor(place.uniform("phase") * stay).astype(np.int64)
    generation, tenure = np.divmod(period + phase, stay)
    customer_id = places * _PER_PLACE + generation

    lifelong = RandomNumbers(seed, customer_id)
    start_age = np.floor(19.0 + 46.0 * lifelong.uniform("age") ** 1.25)
    birthday = _scale_to_integers(lifelong.uniform("birthday"), 0, PERIODS_A_YEAR)
    job = _scale_to_integers(lifelong.uniform("occupation"), 0, len(OCCUPATIONS))
    risk = lifelong.normal("risk")
    return Customers(
        period=period,
        customer_id=customer_id,
        tenure=tenure,
        age=start_age + (tenure + birthday) // PERIODS_A_YEAR,
        occupation=np.array(OCCUPATIONS, dtype=object)[job],
        pay=_PAY[job],
        history_at_start=_draw_history(start_age, risk, lifelong),
        risk=risk,
        wealth=-0.25 * risk + 0.97 * lifelong.normal("wealth"),
        profile_period=period - np.minimum(tenure, (tenure + birthday) % PERIODS_A_YEAR),
        lifelong=lifelong,
        monthly=RandomNumbers(seed, customer_id, period),
    )


def _draw_history(start_age: Floats, risk: Floats, lifelong: RandomNumbers) -> Floats:
    """Periods of credit history when the customer joined: a share of the adult life, smaller for higher
    risk."""
    share = 1.0 / (1.0 + np.exp(-(0.1 - 0.6 * risk + 0.8 * lifelong.normal("history"))))
    return np.floor((start_age - 18.0) * PERIODS_A_YEAR * share)


def _scale_to_integers(uniform: Floats, low: int, high: int) -> Integers:
    """Uniform integers, `low` inclusive, `high` exclusive."""
    return low + np.floor(uniform * (high - low)).astype(np.int64)
