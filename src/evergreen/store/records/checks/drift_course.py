"""The verdicts of drift checks in succession, without what they measured."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.platform import DRIFT_REPORT


@dataclass(frozen=True)
class DriftVerdict:
    """One check: its moment, the champion, where its window began (aware UTC), and whether it found drift;
    None for too few rows."""

    as_of: datetime
    version: int
    window_start: datetime
    drifted: bool | None


def read_drift_verdicts(
    engine: sa.Engine, use_case_name: str, until: datetime, limit: int = 200
) -> list[DriftVerdict]:
    """The checks as of moments up to `until` (aware), of whatever champion, the newest first."""
    c = DRIFT_REPORT.c
    statement = (
        sa.select(c.as_of, c.model_version, c.window_start, c.drifted)
        .where(c.use_case == use_case_name, c.as_of <= to_naive_utc(until))
        .order_by(c.as_of.desc())
        .limit(limit)
    )
    with engine.connect() as connection:
        return [
            DriftVerdict(
                as_of=to_aware_utc(row.as_of),
                version=row.model_version,
                window_start=to_aware_utc(row.window_start or row.as_of),
                drifted=None if row.drifted is None else bool(row.drifted),
            )
            for row in connection.execute(statement)
        ]
