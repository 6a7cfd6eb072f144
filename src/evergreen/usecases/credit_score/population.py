"""The simulated bank's customers: who they are in a given period. Invented people, no real ones.

The bank keeps a fixed number of places; a customer stays two to six years, then another takes the place. So
customers age and their credit history grows, yet the bank as a whole stays the same over the years: no
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

# What each occupation pays against the middle, on a log scale; in the order of OCCUPATIONS.
_PAY = np.array(
    [0.05, 0.15, 0.20, 0.45, 0.20, 0.25, -0.20, 0.40, 0.25, -0.30, 0.00, -0.40, 0.10, -0.25, -0.35]
)
MAX_PLACES = 1_000_000
FRESH_PLACES = 10_000_000
_STAY_PERIODS = (2 * PERIODS_A_YEAR, 6 * PERIODS_A_YEAR)
_PER_PLACE = 1000


@dataclass(frozen=True)
class Customers:
    """The customers at n places in one period; arrays of shape (n,).

    `risk` and `wealth` are hidden standard normal traits that stay with a customer. `profile_period` is the
    number of the period in which age or occupation last changed, negative where the bank was not simulated
    yet. `tenure` and `history_at_start` count periods.
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
    own: RandomNumbers
    monthly: RandomNumbers


def simulate_customers(places: Integers, period: int, seed: int) -> Customers:
    """Who holds these places in the period of that number, with the traits that stay with them."""
    place = RandomNumbers(seed, places)
    stay = _scale_to_integers(place.uniform("stay"), *_STAY_PERIODS)
    phase = np.floor(place.uniform("phase") * stay).astype(np.int64)
    generation, tenure = np.divmod(period + phase, stay)
    customer_id = places * _PER_PLACE + generation

    own = RandomNumbers(seed, customer_id)
    start_age = np.floor(19.0 + 46.0 * own.uniform("age") ** 1.25)
    birthday = _scale_to_integers(own.uniform("birthday"), 0, PERIODS_A_YEAR)
    job = _scale_to_integers(own.uniform("occupation"), 0, len(OCCUPATIONS))
    risk = own.normal("risk")
    return Customers(
        period=period,
        customer_id=customer_id,
        tenure=tenure,
        age=start_age + (tenure + birthday) // PERIODS_A_YEAR,
        occupation=np.array(OCCUPATIONS, dtype=object)[job],
        pay=_PAY[job],
        history_at_start=_draw_history(start_age, risk, own),
        risk=risk,
        wealth=-0.25 * risk + 0.97 * own.normal("wealth"),
        profile_period=period - np.minimum(tenure, (tenure + birthday) % PERIODS_A_YEAR),
        own=own,
        monthly=RandomNumbers(seed, customer_id, period),
    )


def _draw_history(start_age: Floats, risk: Floats, own: RandomNumbers) -> Floats:
    """Periods of credit history when the customer joined: part of the adult life, less for the risky."""
    share = 1.0 / (1.0 + np.exp(-(0.1 - 0.6 * risk + 0.8 * own.normal("history"))))
    return np.floor((start_age - 18.0) * PERIODS_A_YEAR * share)


def _scale_to_integers(uniform: Floats, low: int, high: int) -> Integers:
    """Uniform integers, `low` inclusive, `high` exclusive."""
    return low + np.floor(uniform * (high - low)).astype(np.int64)
