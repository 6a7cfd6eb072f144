"""What is wrong with the outcomes that were learned lately; all of it is told, none of it stops a check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.predictions.outcomes import count_orphan_outcomes
from evergreen.store.tables import declared
from evergreen.usecase import EVENT_TIME, UseCase

# An outcome may reach the store before its prediction does, which waits on a service's disk meanwhile.
_ON_THEIR_WAY = timedelta(hours=1)
# By how much clocks of two machines may differ without a word.
_SKEW = timedelta(seconds=2)


@dataclass(frozen=True)
class OutcomeFaults:
    """Numbers of predictions whose outcomes have a fault.

    All are of outcomes that were learned lately. `orphans`: ids that no logged prediction has. `duplicates`
    have the same outcome more than once, `contradictions` different ones, of which the newest counts, `early`
    one that was recorded before the prediction was made. `corrected` are ingested labels of lately that
    replace another value.
    """

    orphans: int = 0
    duplicates: int = 0
    contradictions: int = 0
    early: int = 0
    corrected: int = 0

    def describe(self) -> tuple[str, ...]:
        """Each fault in words; () where there is none."""
        phrases = (
            (self.orphans, "an id names a prediction", "ids name predictions", "that the log does not have"),
            (self.duplicates, "a prediction has", "predictions have", "the same outcome more than once"),
            (
                self.contradictions,
                "a prediction has",
                "predictions have",
                "outcomes that contradict each other, of which the newest counts",
            ),
            (self.early, "one is", "are", "older than its prediction: the clocks of two machines differ"),
            (self.corrected, "a label was", "labels were", "corrected, and the newest counts"),
        )
        return tuple(
            f"of the outcomes, {one if count == 1 else f'{count:,} {many}'} {rest}"
            for count, one, many, rest in phrases
            if count
        )


def count_outcome_faults(
    engine: sa.Engine, use_case: UseCase, after: datetime, until: datetime
) -> OutcomeFaults:
    """The faults of outcomes learned after a moment and up to another one (aware UTC)."""
    orphans = count_orphan_outcomes(engine, use_case, after=after, before=until - _ON_THEIR_WAY)
    start, end = to_naive_utc(after), to_naive_utc(until)
    outcome = declared.build_outcome_table(use_case)
    c = outcome.c
    # Ids are in the partition of their prediction's day: those of days before the first are left alone.
    first = sa.select(sa.func.min(c.predicted_at)).where(c.recorded_at > start, c.recorded_at <= end)
    lead = sa.func.timestampdiff(sa.text("MICROSECOND"), c.recorded_at, c.predicted_at)
    is_different = sa.func.min(c.actual) != sa.func.max(c.actual)
    grouped = (
        sa.select(
            sa.func.count().label("outcomes"),
            sa.case((is_different, 2), else_=1).label("values"),
            sa.func.max(sa.case((lead > _SKEW // timedelta(microseconds=1), 1), else_=0)).label("early"),
        )
        .where(c.recorded_at <= end)
        .group_by(c.prediction_id)
        .having(sa.func.max(c.recorded_at) > start)
    )
    with engine.connect() as connection:
        oldest = [moment for (moment,) in execute_if_table_exists(connection, first) if moment is not None]
        rows: Sequence[sa.Row[Any]] = []
        if oldest:
            each = grouped.where(c.predicted_at >= oldest[0]).subquery("each_prediction")
            rows = execute_if_table_exists(connection, _sum_faults(each))
        corrected = execute_if_table_exists(connection, _select_corrected(use_case, after, until))
    duplicates, contradictions, early = map(int, rows[0]) if rows else (0, 0, 0)
    return OutcomeFaults(orphans, duplicates, contradictions, early, int(corrected[0][0]) if corrected else 0)


def _sum_faults(each: sa.Subquery) -> sa.Select[Any]:
    """How many predictions have one outcome twice, how many different ones, and how many an early one."""
    many, different = each.c.outcomes > 1, each.c["values"] > 1
    return sa.select(
        *(
            sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)
            for condition in (sa.and_(many, sa.not_(different)), different, each.c.early == 1)
        )
    )


def _select_corrected(use_case: UseCase, after: datetime, until: datetime) -> sa.Select[Any]:
    """Labels of lately that have another value beside them; each is looked up by its key."""
    label = declared.build_label_table(use_case)
    new, other = label.alias("new_label"), label.alias("other_label")
    names = [*use_case.entity.key_names, EVENT_TIME]
    ingested_at, value = declared.INGESTED_AT, use_case.label.name
    corrected = (
        sa.select(*(new.c[name] for name in names))
        .where(new.c[ingested_at] > to_naive_utc(after), new.c[ingested_at] <= to_naive_utc(until))
        .where(other.c[ingested_at] <= to_naive_utc(until), other.c[value] != new.c[value])
        .where(*(other.c[name] == new.c[name] for name in names))
        .distinct()
        .subquery("corrected")
    )
    return sa.select(sa.func.count()).select_from(corrected)
