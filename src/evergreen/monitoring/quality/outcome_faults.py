"""What is wrong with the outcomes that were learned lately; all of it is told, none of it stops a check."""

from __future__ import annotations

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

    `orphans`: ids that no logged prediction has. Of those whose outcome was learned lately: `duplicates` have
    the same outcome more than once, `contradictions` different ones, of which the newest counts, `early` one
    that was recorded before the prediction was made. `corrected` are ingested labels of lately that replace
    another value.
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
    orphans = count_orphan_outcomes(engine, use_case, before=until - _ON_THEIR_WAY)
    start, end = to_naive_utc(after), to_naive_utc(until)
    outcome = declared.build_outcome_table(use_case)
    c = outcome.c
    lately = sa.select(c.prediction_id).where(c.recorded_at > start, c.recorded_at <= end)
    lead = sa.func.timestampdiff(sa.text("MICROSECOND"), c.recorded_at, c.predicted_at)
    each = (
        sa.select(
            sa.func.count().label("outcomes"),
            sa.func.count(sa.distinct(c.actual)).label("values"),
            sa.func.max(sa.case((lead > _SKEW // timedelta(microseconds=1), 1), else_=0)).label("early"),
        )
        .where(c.prediction_id.in_(lately), c.recorded_at <= end)
        .group_by(c.prediction_id)
        .subquery("each_prediction")
    )
    many, different = each.c.outcomes > 1, each.c["values"] > 1
    sums = sa.select(
        *(
            sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)
            for condition in (sa.and_(many, sa.not_(different)), different, each.c.early == 1)
        )
    )
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, sums)
        corrected = execute_if_table_exists(connection, _select_corrected(use_case, after, until))
    duplicates, contradictions, early = map(int, rows[0]) if rows else (0, 0, 0)
    return OutcomeFaults(orphans, duplicates, contradictions, early, int(corrected[0][0]) if corrected else 0)


def _select_corrected(use_case: UseCase, after: datetime, until: datetime) -> sa.Select[Any]:
    label = declared.build_label_table(use_case)
    keys = [*(label.c[name] for name in use_case.entity.key_names), label.c[EVENT_TIME]]
    ingested_at, value = label.c[declared.INGESTED_AT], label.c[use_case.label.name]
    versions = (
        sa.select(*keys)
        .where(ingested_at <= to_naive_utc(until))
        .group_by(*keys)
        .having(sa.func.max(ingested_at) > to_naive_utc(after), sa.func.count(sa.distinct(value)) > 1)
        .subquery("versions")
    )
    return sa.select(sa.func.count()).select_from(versions)
