"""Counts predictions anew from the log, by GROUP BY in MariaDB: for any reference, window and slice.

No row of the log travels, only counts; memory does not grow with the rows. The counts are equal to those that
were kept while the predictions were shipped, of which they are the proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from evergreen.model.prediction_counter import ProfileBins
from evergreen.model.reference_profile import SlicedProfiles
from evergreen.model.slice_groups import ALL_ROWS, SliceGroup
from evergreen.monitoring.counts.bin_codes import (
    Digit,
    build_bin_digit,
    build_code,
    build_group_digit,
    count_digit_pairs,
    pack_digits,
)
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.predictions.counts import HOUR, BinCounts, HourlyCounts, floor_hour
from evergreen.store.tables.declared import RESERVED_PREFIX, build_prediction_table
from evergreen.usecase import UseCase

# So many codes one statement counts at most: MariaDB keeps a row in memory for each.
_MOST_CODES = 4_096
_CONNECTIONS = 2
# No column of the log begins so: GROUP BY would mean the column.
_CODE = f"{RESERVED_PREFIX}code"

# Selects a code and its number of rows.
Statement: TypeAlias = sa.Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class Recount:
    """Rows of the log by hour, slice, feature and bin, and how many rows there are by hour.

    `counts[slice][feature]` has the shape (hours, bins) and `rows` the shape (hours,).
    """

    rows: BinCounts
    counts: dict[str, dict[str, BinCounts]]


def recount_window(
    engine: sa.Engine,
    use_case: UseCase,
    version: int,
    profiles: SlicedProfiles,
    start: datetime,
    end: datetime,
    channels: Sequence[str] = TRAFFIC,
) -> tuple[int, dict[str, dict[str, BinCounts]]]:
    """How many predictions of a version with start <= predicted_at < end (aware UTC) are logged, and their
    counts by the bins of `profiles`, which may be any: of another version, or with groups that nobody
    declared.

    The statements are not of one moment: rows that are logged meanwhile may be counted by some of them.
    """
    log = build_prediction_table(use_case)
    digit = Digit("window", 1, sa.literal_column("0", sa.Integer))
    recount = _recount(
        engine, use_case, log, profiles, digit, select_window(log, version, start, end, channels)
    )
    return int(recount.rows[0]), {
        name: {feature: bins[0] for feature, bins in some.items()} for name, some in recount.counts.items()
    }


def recount_hours(
    connection: sa.Connection,
    use_case: UseCase,
    version: int,
    profiles: SlicedProfiles,
    start: datetime,
    end: datetime,
    channels: Sequence[str] = TRAFFIC,
) -> HourlyCounts:
    """What `read_hourly_counts_within` reads, counted anew: by hour, of the window as in `recount_window`. Of
    one moment, if the connection is in a transaction."""
    log = build_prediction_table(use_case)
    plan = _Plan(use_case, log, profiles, _build_hour_digit(log, start, end))
    statements = plan.build_statements(select_window(log, version, start, end, channels))
    return _arrange_hours(plan.collect(_run(connection, statement) for statement in statements), start)


def select_window(
    log: sa.Table, version: int, start: datetime, end: datetime, channels: Sequence[str]
) -> list[sa.ColumnElement[bool]]:
    """The conditions on the prediction log `log` for a version's rows with start <= predicted_at < end (aware
    UTC) in these channels."""
    return [
        log.c.model_version == version,
        log.c.channel.in_(list(channels)),
        log.c.predicted_at >= to_naive_utc(start),
        log.c.predicted_at < to_naive_utc(end),
    ]


def _build_hour_digit(log: sa.Table, start: datetime, end: datetime) -> Digit:
    first = floor_hour(start)
    number = sa.func.timestampdiff(sa.text("HOUR"), to_naive_utc(first), log.c.predicted_at)
    return Digit("hour", max(1, -(-(end - first) // HOUR)), number)


def _arrange_hours(recount: Recount, start: datetime) -> HourlyCounts:
    present = np.flatnonzero(recount.rows)
    return HourlyCounts(
        hours=tuple(floor_hour(start) + int(number) * HOUR for number in present),
        rows=recount.rows[present],
        counted=recount.rows[present],
        counts={
            name: {feature: bins[present] for feature, bins in some.items()}
            for name, some in recount.counts.items()
        },
    )


class _Plan:
    """The statements that count by the bins of profiles, and what their results say."""

    def __init__(self, use_case: UseCase, log: sa.Table, profiles: SlicedProfiles, leading: Digit) -> None:
        self._log = log
        self._leading = leading
        bins = ProfileBins(use_case, profiles)
        digits = [build_bin_digit(self._log, profile) for profile in bins.features]
        # Without groups the whole alone; with groups it is the sum over those of one feature and the rest.
        self._groups: list[list[SliceGroup]] = list(bins.groups.values())
        heads = [[leading, build_group_digit(self._log, groups)] for groups in self._groups] or [[leading]]
        self._queries = [
            (place, len(head), [*head, *some])
            for place, head in enumerate(heads)
            for some in pack_digits(_multiply(head), digits, _MOST_CODES)
        ] or [(0, 1, [leading])]

    def build_statements(self, conditions: Sequence[sa.ColumnElement[bool]]) -> list[Statement]:
        """A statement for each group of features: rows by code."""
        statements: list[Statement] = []
        for _, _, digits in self._queries:
            code = build_code(digits).label(_CODE)
            statements.append(
                sa.select(code, sa.func.count().label("row_count"))
                .select_from(self._log)
                .where(*conditions)
                .group_by(sa.text(_CODE))
                # Otherwise MariaDB sorts by the group.
                .order_by(sa.null())
            )
        return statements

    def collect(self, results: Iterable[npt.NDArray[np.int64]]) -> Recount:
        """The counts from the results of the statements, in their order, each of shape (codes, 2)."""
        hours = np.zeros(self._leading.size, dtype=np.int64)
        counts: dict[str, dict[str, BinCounts]] = {}
        for number, ((place, first, digits), result) in enumerate(zip(self._queries, results, strict=True)):
            codes, rows = result[:, 0], result[:, 1]
            if number == 0:
                np.add.at(hours, codes % self._leading.size, rows)
            for feature, array in count_digit_pairs(digits, first, codes, rows).items():
                if first == 1:
                    counts.setdefault(ALL_ROWS, {})[feature] = array
                    continue
                if place == 0:
                    counts.setdefault(ALL_ROWS, {})[feature] = array.sum(axis=1)
                for index, group in enumerate(self._groups[place]):
                    counts.setdefault(group.name, {})[feature] = array[:, index]
        return Recount(hours, counts)


def _recount(
    engine: sa.Engine,
    use_case: UseCase,
    log: sa.Table,
    profiles: SlicedProfiles,
    leading: Digit,
    conditions: Sequence[sa.ColumnElement[bool]],
) -> Recount:
    plan = _Plan(use_case, log, profiles, leading)
    with ThreadPoolExecutor(_CONNECTIONS, "recount") as pool:
        run = partial(_run_on, get_fast_engine(engine))
        return plan.collect(pool.map(run, plan.build_statements(conditions)))


def _run_on(engine: sa.Engine, statement: Statement) -> npt.NDArray[np.int64]:
    with engine.connect() as connection:
        return _run(connection, statement)


def _run(connection: sa.Connection, statement: Statement) -> npt.NDArray[np.int64]:
    rows = [tuple(row) for row in execute_if_table_exists(connection, statement)]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def _multiply(digits: Sequence[Digit]) -> int:
    return int(np.prod([digit.size for digit in digits]))
