"""The SIMULATED operational database of a bank: `populate` writes or extends it, `draw` makes fresh requests.

The bank keeps its books in periods of 30 days from the moment at which they begin (see `periods`). The facts
of a period are true when it begins; the bank records them within the day (2 % of them up to five days late),
and the score outcome 30 days after the facts. Periods that begin at `recession_from` or later follow the
scenario `recession`, the others `stable`. The same arguments give the same rows, in one call or several, and
the same values at whatever date the books begin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection, Engine

from evergreen.errors import UseCaseError
from evergreen.usecase import Feature
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
# How many of the last periods are written again: all of a period is recorded when the next one begins, so
# that only the last can be incomplete; one more for safety.
_UNFINISHED_PERIODS = 2
_FRESH_SEEDS = 10_000
_TABLES = (bank.CUSTOMER, bank.MONTHLY_FACT, bank.SCORE_OUTCOME)

Progress = Callable[[int, int], None]
Rows = list[dict[str, int | float | str | None]]
Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class _Period:
    """The arguments with which one period was simulated, or is to be."""

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
    """Write the rows that the simulated bank recorded up to the moment `end`; return the row count of each
    table.

    `url` names the database, which is created if it is missing. The books of a new bank begin at `start`. An
    existing bank is continued in its own periods, without a gap, and the rows of its last periods that were
    recorded since are added; `start` must then not be before its beginning. Moments are aware and cut to
    seconds. `progress` receives (periods written, periods in all). A repeated call changes nothing.

    Raises UseCaseError for impossible arguments, or when the bank was simulated with others before, and
    SourceUnreachable when the server does not answer.
    """
    start, end = _check_arguments(start, end, customers)
    recession_start = to_whole_second_utc(recession_from) if recession_from else None
    with bank.open_bank(url) as engine:
        if bank.has_calendar_months(engine):
            raise UseCaseError(
                "the simulated bank was made by a former version of Evergreen, in calendar months, and"
                " cannot be continued",
                hint="begin it anew: evergreen simulate credit_score --erase ..., or"
                " evergreen demo credit_score --erase",
            )
        origin, simulated_periods = _read_simulated_periods(engine, start)
        periods = _plan_periods(origin, simulated_periods, start, end, customers, seed, recession_start)
        for count, period in enumerate(periods, start=1):
            with engine.begin() as connection:
                _write_period(connection, origin, period, end)
            if progress:
                progress(count, len(periods))
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
    recession_start = to_whole_second_utc(recession_from) if recession_from else None
    parts = [
        _build_period_rows(origin, period, end)
        for period in _plan_periods(origin, {}, origin, end, customers, seed, recession_start)
    ]
    keys = ["customer_id", "valid_from"]
    frames = {table.name: pd.concat([part[table.name] for part in parts]) for table in _TABLES}
    profile = frames[bank.CUSTOMER.name].drop_duplicates(keys)
    return {**frames, bank.CUSTOMER.name: profile}


def erase(url: str) -> None:
    """Drop the tables of the simulated bank. Raises SourceUnreachable when the server does not answer."""
    with bank.open_bank(url) as engine:
        bank.drop_tables(engine)


def draw(n: int, seed: int, *, scenario: str = "stable", period: int = 0) -> tuple[Rows, list[str]]:
    """`n` requests of new simulated customers, as /predict takes them, and the scores that they will get.

    Rows can be written as JSON: customer_id and the 22 fields, None for a missing value. The customers are
    not in the bank's tables; two seeds (below 10,000) have no customer in common. `period` is the number of
    one of the bank's periods. Raises UseCaseError for impossible arguments.
    """
    customers, columns = _simulate_fresh_customers(n, seed, check_scenario(scenario), period)
    labels = draw_classes(columns, check_scenario(scenario), customers.monthly)
    fields: dict[str, list[int | float | str | None]] = {
        "customer_id": [int(key) for key in customers.customer_id]
    }
    for feature in (*PROFILE, *MONTHLY):
        convert: type[int | float | str] = {"int": int, "float": float}.get(feature.dtype, str)
        values = columns[feature.name]
        fields[feature.name] = [None if value != value else convert(value) for value in values]
    rows = [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
    return rows, [str(label) for label in labels]


def compute_best_accuracy(scenario: str = "stable", *, n: int = 50_000, seed: int = 0) -> float:
    """The expected accuracy of the best possible model on a scenario, about 0.85.

    It is the mean over `n` simulated rows of the largest class probability, which is known exactly for every
    row (see `outcome`); the error of the mean is about 0.14 / sqrt(n). Raises UseCaseError for an unknown
    scenario.
    """
    valid_scenario = check_scenario(scenario)
    _, columns = _simulate_fresh_customers(n, seed, valid_scenario, 0)
    return float(compute_class_probabilities(columns, valid_scenario).max(axis=1).mean())


def _simulate_fresh_customers(
    n: int, seed: int, scenario: Scenario, period: int
) -> tuple[Customers, Columns]:
    """`n` customers that are not in the bank's tables, and their facts of a period."""
    if not 1 <= n <= MAX_PLACES:
        raise UseCaseError(f"{n} customers cannot be drawn", hint=f"choose 1 to {MAX_PLACES}")
    places = FRESH_PLACES + (seed % _FRESH_SEEDS) * MAX_PLACES + np.arange(n, dtype=np.int64)
    customers = simulate_customers(places, check_period(period), seed)
    return customers, simulate_facts(customers, scenario)


def _check_arguments(start: datetime, end: datetime, customers: int) -> tuple[datetime, datetime]:
    """`start` and `end` in UTC and whole seconds. Raises UseCaseError for impossible arguments."""
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
    """The moment at which the bank's books begin, and its periods by number; of a new bank `start` and
    none."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(bank.SIMULATED_PERIOD)).all()
    origins = [row.begins.replace(tzinfo=UTC) for row in rows if row.number == 0]
    return origins[0] if origins else start, {
        row.number: _Period(row.number, check_scenario(row.scenario), row.seed, row.customers) for row in rows
    }


def _plan_periods(
    origin: datetime,
    simulated_periods: dict[int, _Period],
    start: datetime,
    end: datetime,
    customers: int,
    seed: int,
    recession_from: datetime | None,
) -> list[_Period]:
    """The periods to write, in order: the last of `simulated_periods` again, with their arguments, then the
    new ones until `end`. Raises UseCaseError where the bank was simulated with other arguments."""
    if start < origin:
        raise UseCaseError(
            f"the bank's books begin on {origin:%Y-%m-%d %H:%M} UTC, later than {start:%Y-%m-%d %H:%M}",
            hint="choose a later start, or begin the bank anew: evergreen simulate credit_score --erase ...",
        )
    requested_periods = []
    for number in range(periods_before(origin, end)):
        in_recession = recession_from is not None and compute_period_start(origin, number) >= recession_from
        requested_periods.append(_Period(number, "recession" if in_recession else "stable", seed, customers))
    for period in requested_periods:
        simulated = simulated_periods.get(period.number, period)
        # Of periods before `start` only the seed must be the same, because a bank has one seed.
        same = compute_period_start(origin, period.number) < start or simulated.scenario == period.scenario
        if simulated.seed != seed or not same:
            raise UseCaseError(
                f"the bank's period from {compute_period_start(origin, period.number):%Y-%m-%d} was simulated"
                f" as {simulated.scenario} with seed {simulated.seed},"
                f" not as {period.scenario} with seed {seed}",
                hint="go on with that seed and a later recession, or begin the bank anew:"
                " evergreen simulate credit_score --erase ...",
            )
    unfinished = [simulated_periods[number] for number in sorted(simulated_periods)[-_UNFINISHED_PERIODS:]]
    return [*unfinished, *(period for period in requested_periods if period.number not in simulated_periods)]


def _write_period(connection: Connection, origin: datetime, period: _Period, end: datetime) -> None:
    """Write the rows of a period that the bank had recorded by `end`, and the period's arguments."""
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
    """The rows of a period that the bank had recorded by `end`, by table."""
    customers = simulate_customers(np.arange(period.customers, dtype=np.int64), period.number, period.seed)
    columns = simulate_facts(customers, period.scenario)
    moment = compute_period_start(origin, period.number)

    profile = _build_frame(customers, columns, PROFILE)
    profile.insert(1, "valid_from", compute_period_starts(origin, customers.profile_period))
    hours = RandomNumbers(period.seed, customers.customer_id, customers.profile_period).uniform("recorded")
    profile["recorded_at"] = profile["valid_from"].to_numpy() + _compute_recording_delays(hours)

    monthly = _build_frame(customers, columns, MONTHLY)
    monthly.insert(1, "event_time", to_numpy_time(moment))
    delay = _compute_recording_delays(customers.monthly.uniform("recorded"))
    late = customers.monthly.uniform("late")
    days = np.where(late < _LATE_SHARE, 1 + np.floor(late / _LATE_SHARE * _LATE_DAYS), 0)
    monthly["recorded_at"] = monthly["event_time"].to_numpy() + delay + days.astype("timedelta64[D]")

    outcome = monthly[["customer_id", "event_time"]].assign(
        credit_score=draw_classes(columns, period.scenario, customers.monthly),
        recorded_at=to_numpy_time(moment + OUTCOME_DELAY),
    )
    return {
        table.name: frame[frame["recorded_at"] <= to_numpy_time(end)]
        for table, frame in zip(_TABLES, (profile, monthly, outcome), strict=True)
    }


def _build_frame(customers: Customers, columns: Columns, fields: tuple[Feature, ...]) -> pd.DataFrame:
    """The customers' ids and those fields as a frame."""
    # Each column gets its type by itself: `DataFrame.astype` takes a quarter of the time of a small bank.
    values = {
        field.name: pd.array(columns[field.name], dtype="Int64")
        if field.dtype == "int"
        else columns[field.name]
        for field in fields
    }
    return pd.DataFrame({"customer_id": customers.customer_id} | values)


def _compute_recording_delays(uniform: NDArray[np.float64]) -> NDArray[np.timedelta64]:
    """Delays of one to twenty hours, in seconds, for uniform numbers between 0 and 1."""
    return (3_600 + np.floor(uniform * 19 * 3_600)).astype("timedelta64[s]")
