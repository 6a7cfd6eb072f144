"""A sample of the prediction log's rows, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import sqlalchemy as sa

from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.monitoring.counts.recount import select_window
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.predictions.counts import HOUR
from evergreen.store.tables import declared
from evergreen.store.tables.frames import read_frame
from evergreen.store.tables.platform import PREDICTION_HOUR
from evergreen.usecase import UseCase

# MariaDB looks at about so many rows for a sample.
_MOST_SCANNED = 200_000
# Of hours with more rows a share is looked at, spread over so many stretches of them.
_STRETCHES = 12


def read_input_sample(
    engine: sa.Engine, use_case: UseCase, version: int, start: datetime, end: datetime, rows: int
) -> Mapping[str, np.ndarray]:
    """The model inputs of at most `rows` requests that a version answered with start <= predicted_at < end
    (aware UTC), as columns of one length; empty columns where there are none.

    Rows are chosen by a checksum of their random ids, so that the same call gives the same sample. Of a
    window with many rows only some hours are looked at, spread over it, and of hours with too many rows some
    minutes. Raises StoreUnreachable.
    """
    log = declared.build_prediction_table(use_case)
    conditions = select_bounded_rows(engine, use_case, log, version, start, end)
    names = [feature.name for feature in use_case.stored_features]
    statement = sa.select(*(log.c[name] for name in names)).where(*conditions)
    by_checksum = statement.order_by(sa.func.crc32(log.c.prediction_id)).limit(rows)
    with get_fast_engine(engine).connect() as connection:
        frame = read_frame(connection, by_checksum, use_case)
    return add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))


def select_bounded_rows(
    engine: sa.Engine,
    use_case: UseCase,
    log: sa.Table,
    version: int,
    start: datetime,
    end: datetime,
    channels: Sequence[str] = TRAFFIC,
) -> list[sa.ColumnElement[bool]]:
    """The conditions on the prediction log `log` for a version's rows with start <= predicted_at < end (aware
    UTC): for all of them where there are at most 200,000, else for those of hours spread over the window, and
    of hours with too many rows for those of some minutes."""
    conditions = select_window(log, version, start, end, channels)
    hours = _read_rows_by_hour(engine, use_case, version, start, end, channels)
    if sum(hours.values()) > _MOST_SCANNED:
        stretches = choose_stretches(hours, _MOST_SCANNED, start, end)
        bounds = [(to_naive_utc(low), to_naive_utc(high)) for low, high in stretches]
        within = [sa.and_(log.c.predicted_at >= low, log.c.predicted_at < high) for low, high in bounds]
        conditions.append(sa.or_(*within))
    return conditions


def choose_hours(hours: Mapping[datetime, int], most_rows: int) -> list[datetime]:
    """Hours spread evenly over those of a window, with at most so many rows together, one at least; all of
    them where that is enough. `hours` are the rows by hour."""
    names = sorted(hours)
    total = sum(hours.values())
    if total <= most_rows:
        return names
    count = max(1, len(names) * most_rows // total)
    while True:
        places = ((2 * number + 1) * len(names) // (2 * count) for number in range(count))
        spread = [names[place] for place in places]
        if count == 1 or sum(hours[name] for name in spread) <= most_rows:
            return spread
        count -= 1


def choose_stretches(
    hours: Mapping[datetime, int], most_rows: int, start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """Stretches of time (start included, end excluded) of a window, with about so many rows together at most:
    those hours that `choose_hours` chooses, whole, or the same share of each of their twelfths."""
    names = choose_hours(hours, most_rows)
    share = min(1.0, most_rows / max(1, sum(hours[name] for name in names)))
    stretches = []
    for name in names:
        # The first and the last hour lie in the window in part.
        low, high = max(name, start), min(name + HOUR, end)
        pieces = _STRETCHES if share < 1.0 else 1
        length = (high - low) / pieces
        stretches += [(low + n * length, low + n * length + share * length) for n in range(pieces)]
    return stretches


def _read_rows_by_hour(
    engine: sa.Engine,
    use_case: UseCase,
    version: int,
    start: datetime,
    end: datetime,
    channels: Sequence[str],
) -> dict[datetime, int]:
    c = PREDICTION_HOUR.c
    statement = (
        sa.select(c.hour, sa.func.sum(c.row_count))
        .where(c.use_case == use_case.name, c.model_version == version, c.channel.in_(list(channels)))
        .where(c.hour > to_naive_utc(start - HOUR), c.hour < to_naive_utc(end))
        .group_by(c.hour)
    )
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    return {to_aware_utc(hour): int(count) for hour, count in rows}
