"""The bank's operational database, SIMULATED: `populate` writes or extends it, `draw` makes fresh requests.

The bank keeps its books in periods of 30 days from the moment at which they begin (see `periods`). When a
period begins, its facts hold; the bank records them within the day (2 % of them up to five days late) and the
score outcome 30 days after the facts. Periods that begin at `recession_from` or later follow the scenario
`recession`, the others `stable`. Same arguments, same rows, however the time is cut into calls; and the same
values at whatever date the books begin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection, Engine

from evergreen.errors import UseCaseError
from evergreen.usecases.credit_score import bank
from evergreen.usecases.credit_score.facts import SCENARIOS, Columns, Scenario, check_scenario, simulate_facts
from evergreen.usecases.credit_score.fields import MONTHLY, PROFILE
from evergreen.usecases.credit_score.outcome import compute_class_probabilities, draw_classes
from evergreen.usecases.credit_score.periods import (
    check_period,
    compute_period_start,
    compute_period_starts,
    periods_before,
    to_numpy_time,
    to_whole_second_utc,
)
from evergreen.usecases.credit_score.population import FRESH_PLACES, MAX_PLACES, Customers, simulate_customers
from evergreen.usecases.credit_score.randomness import RandomNumbers

__all__ = [
    "SCENARIOS",
    "compute_best_accuracy",
    "draw",
    "erase",
    "periods_before",
    "populate",
    "simulate_recorded_rows",
]

OUTCOME_DELAY = timedelta(days=30)
_LATE_SHARE = 0.02
_LATE_DAYS = 5
# All of a period is recorded when the next one begins, so only the last is unfinished; one more for safety.
_UNFINISHED_PERIODS = 2
_FRESH_SEEDS = 10_000
_TABLES = (bank.CUSTOMER, bank.MONTHLY_FACT, bank.SCORE_OUTCOME)

Progress = Callable[[int, int], None]
Rows = list[dict[str, Any]]
Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class _Period:
    """One period as it was, or is to be, simulated."""

    number: int
    scenario: Scenario
    seed: int
    customers: int


def populate(
    url: str,
    *,
    start: datetime,
    end: datetime,
    customers: int,
    seed: int,
    recession_from: datetime | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write what the simulated bank recorded up to the moment `end`; return its row counts.

    `url` names the database, which is made if missing. The books of a new bank begin at `start`. A bank that
    is there is continued in its own periods, without a gap, and what it recorded later of the last ones is
    added; `start` must then not lie before its beginning. Moments are aware, and heeded to the second.
    `progress` receives (periods done, periods in all). Calling it again changes nothing.
    Raises UseCaseError for impossible arguments, or when the bank was simulated differently before, and
    SourceUnreachable when the server does not answer.
    """
    start, end = _check_arguments(start, end, customers)
    turn = to_whole_second_utc(recession_from) if recession_from else None
    with bank.open_bank(url) as engine:
        if bank.has_calendar_months(engine):
            raise UseCaseError(
                "the simulated bank was made by a former version of Evergreen, in calendar months, and"
                " cannot be continued",
                hint="begin it anew: evergreen simulate credit_score --erase ..., or"
                " evergreen demo credit_score --erase",
            )
        origin, there = _read_simulated_periods(engine, start)
        periods = _plan_periods(origin, there, start, end, customers, seed, turn)
        for done, period in enumerate(periods, start=1):
            with engine.begin() as connection:
                _write_period(connection, origin, period, end)
            if progress:
                progress(done, len(periods))
        with engine.connect() as connection:
            return {
                table.name: int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
                for table in _TABLES
            }


def simulate_recorded_rows(
    *, start: datetime, end: datetime, customers: int, seed: int, recession_from: datetime | None = None
) -> Frames:
    """The rows that `populate` writes for these arguments into an empty database, without a database.

    Frames by table name, with the table's columns; moments are naive UTC, as the bank keeps them. Raises
    UseCaseError for impossible arguments.
    """
    origin, end = _check_arguments(start, end, customers)
    turn = to_whole_second_utc(recession_from) if recession_from else None
    parts = [
        _build_period_rows(origin, each, end)
        for each in _plan_periods(origin, {}, origin, end, customers, seed, turn)
    ]
    keys = ["customer_id", "valid_from"]
    whole = {table.name: pd.concat([part[table.name] for part in parts]) for table in _TABLES}
    profile = whole[bank.CUSTOMER.name].drop_duplicates(keys)
    return {**whole, bank.CUSTOMER.name: profile}


def erase(url: str) -> None:
    """Drop everything the simulated bank holds. Raises SourceUnreachable when the server does not answer."""
    with bank.open_bank(url) as engine:
        bank.drop_tables(engine)


def draw(n: int, seed: int, *, scenario: str = "stable", period: int = 0) -> tuple[Rows, list[str]]:
    """`n` requests of fresh simulated customers, as /predict takes them, and the scores they will get.

    Rows are JSON-able: customer_id and the 22 fields, None for a missing value. The customers are not in
    the bank's tables; two seeds (below 10,000) share no customer. `period` is a number of the bank's.
    """
    who, columns = _simulate_fresh_customers(n, seed, check_scenario(scenario), period)
    labels = draw_classes(columns, check_scenario(scenario), who.monthly)
    fields: dict[str, list[Any]] = {"customer_id": [int(key) for key in who.customer_id]}
    for feature in (*PROFILE, *MONTHLY):
        convert: Callable[[Any], Any] = {"int": int, "float": float}.get(feature.dtype, str)
        values = columns[feature.name]
        fields[feature.name] = [None if value != value else convert(value) for value in values]
    rows = [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
    return rows, [str(label) for label in labels]


def compute_best_accuracy(scenario: str = "stable", *, n: int = 50_000, seed: int = 0) -> float:
    """The accuracy of the best possible model on a scenario, about 0.85: nobody can beat it but by luck.

    The mean over `n` simulated rows of the largest class probability, which is known exactly for every
    row (see `outcome`); the error of the mean is about 0.14 / sqrt(n).
    """
    known = check_scenario(scenario)
    _, columns = _simulate_fresh_customers(n, seed, known, 0)
    return float(compute_class_probabilities(columns, known).max(axis=1).mean())


def _simulate_fresh_customers(
    n: int, seed: int, scenario: Scenario, period: int
) -> tuple[Customers, Columns]:
    if not 1 <= n <= MAX_PLACES:
        raise UseCaseError(f"{n} customers cannot be drawn", hint=f"choose 1 to {MAX_PLACES}")
    places = FRESH_PLACES + (seed % _FRESH_SEEDS) * MAX_PLACES + np.arange(n, dtype=np.int64)
    who = simulate_customers(places, check_period(period), seed)
    return who, simulate_facts(who, scenario)


def _check_arguments(start: datetime, end: datetime, customers: int) -> tuple[datetime, datetime]:
    if not 1 <= customers <= MAX_PLACES:
        raise UseCaseError(f"{customers} customers cannot be simulated", hint=f"choose 1 to {MAX_PLACES}")
    start, end = to_whole_second_utc(start), to_whole_second_utc(end)
    if start >= end:
        raise UseCaseError(
            f"the bank cannot run from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC",
            hint="let start come before end",
        )
    return start, end


def _read_simulated_periods(engine: Engine, start: datetime) -> tuple[datetime, dict[int, _Period]]:
    """When the bank's books begin, and its periods by number; `start` and none before there is a bank."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(bank.SIMULATED_PERIOD)).all()
    origins = [row.begins.replace(tzinfo=UTC) for row in rows if row.number == 0]
    return origins[0] if origins else start, {
        row.number: _Period(row.number, check_scenario(row.scenario), row.seed, row.customers) for row in rows
    }


def _plan_periods(
    origin: datetime,
    there: dict[int, _Period],
    start: datetime,
    end: datetime,
    customers: int,
    seed: int,
    recession_from: datetime | None,
) -> list[_Period]:
    """The periods to write, in order: those unfinished as they were begun, then the new ones."""
    if start < origin:
        raise UseCaseError(
            f"the bank's books begin on {origin:%Y-%m-%d %H:%M} UTC, later than {start:%Y-%m-%d %H:%M}",
            hint="choose a later start, or begin the bank anew: evergreen simulate credit_score --erase ...",
        )
    wanted = []
    for number in range(periods_before(origin, end)):
        hard = recession_from is not None and compute_period_start(origin, number) >= recession_from
        wanted.append(_Period(number, "recession" if hard else "stable", seed, customers))
    for period in wanted:
        before = there.get(period.number, period)
        # What lies before `start` is not asked about, but for the seed: one bank has one.
        same = compute_period_start(origin, period.number) < start or before.scenario == period.scenario
        if before.seed != seed or not same:
            raise UseCaseError(
                f"the bank's period from {compute_period_start(origin, period.number):%Y-%m-%d} was simulated"
                f" as {before.scenario} with seed {before.seed}, not as {period.scenario} with seed {seed}",
                hint="go on with that seed and a later recession, or begin the bank anew:"
                " evergreen simulate credit_score --erase ...",
            )
    unfinished = [there[number] for number in sorted(there)[-_UNFINISHED_PERIODS:]]
    return [*unfinished, *(period for period in wanted if period.number not in there)]


def _write_period(connection: Connection, origin: datetime, period: _Period, end: datetime) -> None:
    """Write everything about that period which the bank had recorded by `end`."""
    rows = _build_period_rows(origin, period, end)
    for table in _TABLES:
        bank.write_rows(connection, table, rows[table.name])
    connection.execute(
        sa.insert(bank.SIMULATED_PERIOD).prefix_with("IGNORE"),
        {
            "number": period.number,
            "begins": compute_period_start(origin, period.number).replace(tzinfo=None),
            "scenario": period.scenario,
            "seed": period.seed,
            "customers": period.customers,
        },
    )


def _build_period_rows(origin: datetime, period: _Period, end: datetime) -> Frames:
    """What the bank had recorded about that period by `end`, by table."""
    who = simulate_customers(np.arange(period.customers, dtype=np.int64), period.number, period.seed)
    columns = simulate_facts(who, period.scenario)
    moment = compute_period_start(origin, period.number)

    profile = _build_frame(who, columns, PROFILE)
    profile.insert(1, "valid_from", compute_period_starts(origin, who.profile_period))
    hours = RandomNumbers(period.seed, who.customer_id, who.profile_period).uniform("recorded")
    profile["recorded_at"] = profile["valid_from"].to_numpy() + _compute_recording_delays(hours)

    monthly = _build_frame(who, columns, MONTHLY)
    monthly.insert(1, "event_time", to_numpy_time(moment))
    delay = _compute_recording_delays(who.monthly.uniform("recorded"))
    late = who.monthly.uniform("late")
    days = np.where(late < _LATE_SHARE, 1 + np.floor(late / _LATE_SHARE * _LATE_DAYS), 0)
    monthly["recorded_at"] = monthly["event_time"].to_numpy() + delay + days.astype("timedelta64[D]")

    outcome = monthly[["customer_id", "event_time"]].assign(
        credit_score=draw_classes(columns, period.scenario, who.monthly),
        recorded_at=to_numpy_time(moment + OUTCOME_DELAY),
    )
    return {
        table.name: frame[frame["recorded_at"] <= to_numpy_time(end)]
        for table, frame in zip(_TABLES, (profile, monthly, outcome), strict=True)
    }


def _build_frame(who: Customers, columns: Columns, fields: tuple[Any, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"customer_id": who.customer_id} | {field.name: columns[field.name] for field in fields}
    )
    return frame.astype({field.name: "Int64" for field in fields if field.dtype == "int"})


def _compute_recording_delays(uniform: NDArray[np.float64]) -> NDArray[np.timedelta64]:
    """From one hour to twenty after the period's first moment, in seconds."""
    return (3_600 + np.floor(uniform * 19 * 3_600)).astype("timedelta64[s]")
