"""Does the demo end well on every date, and with other banks than its own? Tours without a stack, by seed
and date, as many at a time as there are processors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Any, TypeAlias

from benchmarks.common.result import Field
from benchmarks.common.timing import say
from benchmarks.training.decisions import Decisions, KnownFits, take_decisions

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


# A tour: its moment (aware) and the seed of its bank.
TourKey: TypeAlias = tuple[datetime, int]


@dataclass(frozen=True)
class Amount:
    """How many dates, in how many `groups`, each of which fits its models itself, and how many seeds; the
    bank's customers; the trials of each search and at most how many trees a model has (None: as declared)."""

    dates: int = len(MOMENTS)
    groups: int = 2
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
    """Decisions by date and by seed of the bank; `date_fits`: how many trainings of the dates were fitted,
    as the others read the same."""

    amount: Amount
    by_date: dict[str, Decisions]
    by_seed: dict[int, Decisions]
    date_fits: int

    @property
    def dates_passed(self) -> float:
        """The share of `amount.dates` on which every decision was taken and is the first date's, digests of
        training sets and models included; none if the first's are not as they should be."""
        expected = next(iter(self.by_date.values()))
        passed = [expected.hold and decisions == expected for decisions in self.by_date.values()]
        return sum(passed) / self.amount.dates

    @property
    def seeds_passed(self) -> float:
        """The share of `amount.seeds` whose tour would be verified."""
        return sum(each.hold for each in self.by_seed.values()) / self.amount.seeds

    def to_json(self) -> dict[str, Any]:
        return {
            "customers": self.amount.customers,
            "trials": self.amount.trials,
            "iterations": self.amount.iterations,
            "seed": SEED,
            "dates": len(self.by_date),
            "date_fits": self.date_fits,
            "decisions_by_date": {date: each.to_json() for date, each in self.by_date.items()},
            "seeds": list(self.by_seed),
            "decisions_by_seed": {str(seed): each.to_json() for seed, each in self.by_seed.items()},
        }


def measure(amount: Amount) -> Demo:
    """Take the tours.

    Every decision is taken on every date. Trainings that read the same are fitted once in each group of
    dates, which makes 24 dates affordable; the groups, each in a process of its own, show that equal
    trainings give equal models.
    """
    moments = [datetime(*each, tzinfo=UTC) for each in MOMENTS[: amount.dates]]
    seeds = [SEED + 1 + number for number in range(amount.seeds)]
    groups = [[(moment, SEED) for moment in moments[n :: amount.groups]] for n in range(amount.groups)]
    # The banks of other seeds are visited on different days too.
    bank_tours = [(moments[0] + timedelta(days=number), seed) for number, seed in enumerate(seeds)]
    say(f"tours of the demo without a stack: {len(moments)} dates, {len(seeds)} seeds of the bank")
    taken, fits = _take_groups([*groups, *([tour] for tour in bank_tours)], amount)
    return Demo(
        amount,
        {moment.isoformat(): taken[moment, SEED] for moment in moments},
        {seed: taken[moment, seed] for moment, seed in bank_tours},
        sum(fits[: len(groups)]),
    )


def fields(demo: Demo) -> list[Field]:
    """The two figures that are judged."""
    return [
        Field(
            "demo_dates_passed",
            demo.dates_passed,
            f"share of {demo.amount.dates} dates on which the demo has the same training sets, models and"
            f" decisions ({demo.date_fits} of {2 * len(demo.by_date)} trainings fitted, the others read what"
            " one of these did)",
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


def take_tours(
    tours: Sequence[TourKey], customers: int, budget: dict[str, Any]
) -> tuple[dict[TourKey, Decisions], int]:
    """The decisions of tours one after another, and how many different trainings were fitted for them."""
    known_fits: KnownFits = {}
    taken = {tour: take_decisions(*tour, customers, known_fits, **budget) for tour in tours}
    return taken, len(known_fits)


def _take_groups(
    groups: Sequence[Sequence[TourKey]], amount: Amount
) -> tuple[dict[TourKey, Decisions], list[int]]:
    """The decisions of all tours, and how many trainings were fitted in each group."""
    taken: dict[TourKey, Decisions] = {}
    fits = [0] * len(groups)
    # A process of its own for each at a time: CatBoost's and BLAS's threads do not survive a fork.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        pending = {
            pool.submit(take_tours, tours, amount.customers, amount.to_budget()): number
            for number, tours in enumerate(groups)
        }
        for future in as_completed(pending):
            of_group, fits[pending[future]] = future.result()
            taken.update(of_group)
            for (moment, seed), decisions in of_group.items():
                say(
                    f"  {moment:%Y-%m-%d}, seed {seed}:"
                    f" {'as it should be' if decisions.hold else f'NOT as it should be: {decisions}'},"
                    f" accuracy in recession {decisions.v1_accuracy:.3f} -> {decisions.v2_accuracy:.3f}"
                )
            say(f"  {len(taken)} of {sum(map(len, groups))} tours")
    return taken, fits
