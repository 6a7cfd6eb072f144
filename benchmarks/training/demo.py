"""Does the demo end well on every date, and with other banks than its own? Tours without a stack, by seed
and date, as many at a time as there are processors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Any

from benchmarks.common.result import Field
from benchmarks.common.timing import say
from benchmarks.training.decisions import Decisions, digest_of, take_decisions, training_sets

from evergreen.demo.upstream import CUSTOMER_COUNT, SEED

# Days on which calendars are unlike each other, each at another hour: the ends and beginnings of months, New
# Year, leap days, the last of February, and the hours of Europe's and America's changes to and from summer
# time.
MOMENTS = (
    *((2026, 11, 29, 19, 5), (2028, 2, 29, 12, 0), (2026, 12, 31, 23, 59), (2027, 1, 1, 0, 0)),
    *((2027, 2, 28, 23, 30), (2027, 3, 28, 1, 0), (2026, 11, 25, 9, 0), (2026, 11, 30, 0, 0)),
    *((2026, 12, 1, 0, 1), (2027, 1, 31, 6, 0), (2027, 2, 1, 7, 0), (2027, 3, 1, 0, 0)),
    *((2027, 3, 14, 7, 0), (2027, 3, 31, 22, 0), (2027, 4, 30, 4, 0), (2027, 5, 31, 15, 0)),
    *((2027, 7, 1, 10, 0), (2027, 8, 31, 18, 0), (2027, 10, 31, 1, 0), (2027, 11, 7, 6, 0)),
    *((2028, 2, 28, 21, 0), (2028, 3, 1, 3, 0), (2029, 2, 28, 13, 0), (2032, 2, 29, 8, 0)),
)


@dataclass(frozen=True)
class Amount:
    """How many dates, on how many of these (from the first) every decision is taken, and how many seeds; the
    bank's customers; the trials of each search and at most how many trees a model has (None: as declared)."""

    dates: int = len(MOMENTS)
    trained: int = 6
    seeds: int = 20
    customers: int = CUSTOMER_COUNT
    trials: int | None = None
    iterations: int | None = None

    def to_budget(self) -> dict[str, Any]:
        """What the searches may cost, as `take_decisions` takes it; without what is as declared."""
        values = {"trials": self.trials, "iterations": self.iterations}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Demo:
    """The digests of v1's and v2's training sets by date; decisions by date and by seed of the bank."""

    amount: Amount
    digests: dict[str, list[str]]
    by_date: dict[str, Decisions]
    by_seed: dict[int, Decisions]

    @property
    def dates_passed(self) -> float:
        """The share of dates whose training sets are the first's, and whose decisions, where taken, are too;
        none if the first's are not as they should be."""
        first = next(iter(self.digests.values()))
        expected = next(iter(self.by_date.values()))
        passed = [
            expected.hold and digests == first and self.by_date.get(date, expected) == expected
            for date, digests in self.digests.items()
        ]
        return sum(passed) / len(passed)

    @property
    def seeds_passed(self) -> float:
        """The share of banks whose tour would be verified."""
        return sum(each.hold for each in self.by_seed.values()) / len(self.by_seed)

    def to_json(self) -> dict[str, Any]:
        return {
            "customers": self.amount.customers,
            "trials": self.amount.trials,
            "iterations": self.amount.iterations,
            "seed": SEED,
            "dates": len(self.digests),
            "digests": self.digests,
            "decisions_by_date": {date: each.to_json() for date, each in self.by_date.items()},
            "seeds": list(self.by_seed),
            "decisions_by_seed": {str(seed): each.to_json() for seed, each in self.by_seed.items()},
        }


def measure(amount: Amount) -> Demo:
    """Take the tours. Equal rows, recipe and seed give equal models, so training sets are compared on every
    date, and the decisions of `amount.trained` of them show that it is so."""
    moments = [datetime(*each, tzinfo=UTC) for each in MOMENTS[: amount.dates]]
    seeds = [SEED + 1 + number for number in range(amount.seeds)]
    tours: list[tuple[datetime, int]] = [(moment, SEED) for moment in moments[: amount.trained]]
    # The banks of other seeds are visited on different days too.
    tours += [(moments[0] + timedelta(days=number), seed) for number, seed in enumerate(seeds)]
    say(f"{len(tours)} tours of the demo without a stack, and {len(moments)} dates compared")
    taken = _taken(tours, amount)
    return Demo(
        amount,
        {
            moment.isoformat(): [digest_of(each) for each in training_sets(moment, SEED, amount.customers)]
            for moment in moments
        },
        {moment.isoformat(): taken[moment, SEED] for moment in moments[: amount.trained]},
        {seed: taken[tour] for tour in tours if (seed := tour[1]) != SEED},
    )


def fields(demo: Demo) -> list[Field]:
    """The two figures that are judged."""
    return [
        Field(
            "demo_dates_passed",
            demo.dates_passed,
            f"share of {len(demo.digests)} dates on which the demo has the same training sets and, on"
            f" {len(demo.by_date)} of them taken to the end, the same decisions",
            1.0,
        ),
        Field(
            "demo_seeds_passed",
            demo.seeds_passed,
            f"share of {len(demo.by_seed)} seeds of the bank with v1 promoted, no false alarm, drift found,"
            " v2 promoted and better",
            0.95,
        ),
    ]


def _taken(tours: Sequence[tuple[datetime, int]], amount: Amount) -> dict[tuple[datetime, int], Decisions]:
    taken: dict[tuple[datetime, int], Decisions] = {}
    # A process of its own for each at a time: CatBoost's and BLAS's threads do not survive a fork.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        budget = amount.to_budget()
        pending = {pool.submit(take_decisions, *tour, amount.customers, **budget): tour for tour in tours}
        for future in as_completed(pending):
            moment, seed = tour = pending[future]
            taken[tour] = decisions = future.result()
            say(
                f"  {len(taken)} of {len(tours)}: {moment:%Y-%m-%d}, seed {seed}:"
                f" {'as it should be' if decisions.hold else f'NOT as it should be: {decisions}'},"
                f" accuracy in recession {decisions.v1_accuracy:.3f} -> {decisions.v2_accuracy:.3f}"
            )
    return taken
