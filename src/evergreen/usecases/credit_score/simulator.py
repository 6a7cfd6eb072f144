"""The bank's operational database, SIMULATED: `populate` writes or extends it, `draw` makes fresh requests.

On the first of each month at 00:00 UTC the month's facts hold; the bank records them within the day (2 % of
them up to five days late) and the score outcome 30 days after the facts. Months whose first day is
`recession_from` or later follow the scenario `recession`, the others `stable`. Same arguments, same rows,
however the time is cut into calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Engine

from evergreen.errors import UseCaseError
from evergreen.usecases.credit_score import bank
from evergreen.usecases.credit_score.facts import SCENARIOS, Columns, Scenario, check_scenario, facts
from evergreen.usecases.credit_score.fields import MONTHLY, PROFILE
from evergreen.usecases.credit_score.outcome import class_probabilities, draw_classes
from evergreen.usecases.credit_score.population import (
    FRESH_PLACES,
    MAX_PLACES,
    Customers,
    customers_at,
    first_day,
    month_of,
)
from evergreen.usecases.credit_score.randomness import Dice

__all__ = ["SCENARIOS", "best_reachable_accuracy", "draw", "populate"]

OUTCOME_DELAY = timedelta(days=30)
_LATE_SHARE = 0.02
_LATE_DAYS = 5
# Facts and outcomes of a month are recorded within this many months after it.
_UNFINISHED_MONTHS = 3
_FRESH_SEEDS = 10_000

Progress = Callable[[int, int], None]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class _Month:
    """One month as it was, or is to be, simulated."""

    number: int
    scenario: Scenario
    seed: int
    customers: int


def populate(
    url: str,
    *,
    start: date,
    end: date,
    customers: int,
    seed: int,
    recession_from: date | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write what the simulated bank recorded from `start` to the end of the day `end`; return its row counts.

    `url` names the database, which is made if missing. The months are those whose first day lies in
    [start, end]; a gap after the months already there is filled, and what they recorded later is
    added. `progress` receives (months done, months in all). Calling it again changes nothing.
    Raises UseCaseError for impossible arguments, or when the bank was simulated differently before, and
    SourceUnreachable when the server does not answer.
    """
    if not 1 <= customers <= MAX_PLACES:
        raise UseCaseError(f"{customers} customers cannot be simulated", hint=f"choose 1 to {MAX_PLACES}")
    if start > end:
        raise UseCaseError(f"the bank cannot run from {start} to {end}", hint="let start come before end")
    with bank.opened(url) as engine:
        months = _plan(_simulated(engine), start, end, customers, seed, recession_from)
        for done, month in enumerate(months, start=1):
            _write_month(engine, month, end)
            if progress:
                progress(done, len(months))
        with engine.connect() as connection:
            return {
                table.name: int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
                for table in (bank.CUSTOMER, bank.MONTHLY_FACT, bank.SCORE_OUTCOME)
            }


def erase(url: str) -> None:
    """Drop everything the simulated bank holds. Raises SourceUnreachable when the server does not answer."""
    with bank.opened(url) as engine:
        bank.METADATA.drop_all(engine)


def draw(n: int, seed: int, *, scenario: str = "stable", at: date) -> tuple[Rows, list[str]]:
    """`n` requests of fresh simulated customers, as /predict takes them, and the scores they will get.

    Rows are JSON-able: customer_id and the 22 fields, None for a missing value. The customers are not in
    the bank's tables; two seeds (below 10,000) share no customer. `at` sets the month.
    """
    who, columns = _fresh(n, seed, check_scenario(scenario), at)
    labels = draw_classes(columns, check_scenario(scenario), who.monthly)
    fields: dict[str, list[Any]] = {"customer_id": [int(key) for key in who.customer_id]}
    for feature in (*PROFILE, *MONTHLY):
        convert: Callable[[Any], Any] = {"int": int, "float": float}.get(feature.dtype, str)
        values = columns[feature.name]
        fields[feature.name] = [None if value != value else convert(value) for value in values]
    rows = [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
    return rows, [str(label) for label in labels]


def best_reachable_accuracy(
    scenario: str = "stable", *, n: int = 50_000, seed: int = 0, at: date = date(2026, 1, 1)
) -> float:
    """The accuracy of the best possible model on a scenario, about 0.85: nobody can beat it but by luck.

    The mean over `n` simulated rows of the largest class probability, which is known exactly for every
    row (see `outcome`); the error of the mean is about 0.14 / sqrt(n).
    """
    known = check_scenario(scenario)
    _, columns = _fresh(n, seed, known, at)
    return float(class_probabilities(columns, known).max(axis=1).mean())


def _fresh(n: int, seed: int, scenario: Scenario, at: date) -> tuple[Customers, Columns]:
    if not 1 <= n <= MAX_PLACES:
        raise UseCaseError(f"{n} customers cannot be drawn", hint=f"choose 1 to {MAX_PLACES}")
    places = FRESH_PLACES + (seed % _FRESH_SEEDS) * MAX_PLACES + np.arange(n, dtype=np.int64)
    who = customers_at(places, month_of(at), seed)
    return who, facts(who, scenario)


def _simulated(engine: Engine) -> dict[int, _Month]:
    """The months that are in the bank already."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(bank.SIMULATED_MONTH)).all()
    known = [
        _Month(month_of(row.month), check_scenario(row.scenario), row.seed, row.customers) for row in rows
    ]
    return {month.number: month for month in known}


def _plan(
    there: dict[int, _Month], start: date, end: date, customers: int, seed: int, recession_from: date | None
) -> list[_Month]:
    """The months to write, in order: unfinished ones as begun, a gap after them, and the wanted ones."""
    first = month_of(start) + (start.day > 1)
    last = month_of(end)
    begun = [number for number in there if number < first]
    unfinished = [there[number] for number in sorted(begun)[-_UNFINISHED_MONTHS:]]
    wanted = [
        _Month(
            number,
            "recession" if recession_from and first_day(number) >= recession_from else "stable",
            seed,
            customers,
        )
        for number in range(max(begun) + 1 if begun else first, last + 1)
    ]
    for month in (*unfinished, *wanted):
        before = there.get(month.number, month)
        if (before.scenario, before.seed) != (month.scenario, seed):
            raise UseCaseError(
                f"the bank's month {first_day(month.number):%Y-%m} was simulated as {before.scenario} "
                f"with seed {before.seed}, not as {month.scenario} with seed {seed}",
                hint="go on with that seed and a later recession, or drop the bank's database to start anew",
            )
    return [*unfinished, *wanted]


def _write_month(engine: Engine, month: _Month, end: date) -> None:
    """Write everything about that month which the bank had recorded by the end of the day `end`."""
    who = customers_at(np.arange(month.customers, dtype=np.int64), month.number, month.seed)
    columns = facts(who, month.scenario)
    moment = datetime.combine(first_day(month.number), datetime.min.time())
    closing = np.datetime64(end + timedelta(days=1), "s")

    profile = _frame(who, columns, PROFILE)
    profile.insert(1, "valid_from", _first_moments(who.profile_month))
    hours = Dice(month.seed, who.customer_id, who.profile_month).uniform("recorded")
    profile["recorded_at"] = profile["valid_from"].to_numpy() + _within_the_day(hours)

    monthly = _frame(who, columns, MONTHLY)
    monthly.insert(1, "event_time", np.datetime64(moment, "s"))
    delay = _within_the_day(who.monthly.uniform("recorded"))
    late = who.monthly.uniform("late")
    days = np.where(late < _LATE_SHARE, 1 + np.floor(late / _LATE_SHARE * _LATE_DAYS), 0)
    monthly["recorded_at"] = monthly["event_time"].to_numpy() + delay + days.astype("timedelta64[D]")

    outcome = monthly[["customer_id", "event_time"]].assign(
        credit_score=draw_classes(columns, month.scenario, who.monthly),
        recorded_at=np.datetime64(moment + OUTCOME_DELAY, "s"),
    )
    with engine.begin() as connection:
        for table, frame in (
            (bank.CUSTOMER, profile),
            (bank.MONTHLY_FACT, monthly),
            (bank.SCORE_OUTCOME, outcome),
        ):
            bank.write(connection, table, frame[frame["recorded_at"] < closing])
        connection.execute(
            sa.insert(bank.SIMULATED_MONTH).prefix_with("IGNORE"),
            {
                "month": first_day(month.number),
                "scenario": month.scenario,
                "seed": month.seed,
                "customers": month.customers,
            },
        )


def _frame(who: Customers, columns: Columns, fields: tuple[Any, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"customer_id": who.customer_id} | {field.name: columns[field.name] for field in fields}
    )
    return frame.astype({field.name: "Int64" for field in fields if field.dtype == "int"})


def _first_moments(months: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """The first moment of each month counted from January 2000."""
    return (np.datetime64("2000-01", "M") + months.astype("timedelta64[M]")).astype("datetime64[s]")


def _within_the_day(uniform: NDArray[np.float64]) -> NDArray[np.timedelta64]:
    """From one hour to twenty after midnight, in seconds."""
    return (3_600 + np.floor(uniform * 19 * 3_600)).astype("timedelta64[s]")
