"""What really happened after predictions: rows are appended, and read joined with the prediction log.

The outcome of a prediction is its newest row, by (recorded_at, outcome_id). A row may come before its
prediction does. One whose prediction never comes is an orphan, which only the monitor counts.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.connection.values import StoredRow
from evergreen.store.predictions.append_rows import append_rows
from evergreen.store.predictions.prediction_id import parse_prediction_id
from evergreen.store.tables import declared
from evergreen.usecase import UseCase


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing that was learned about a prediction.

    `outcome_id` is a UUIDv7, made when the feedback was accepted at `recorded_at` (aware UTC); `actual` is a
    class of the label or a number.
    """

    outcome_id: str
    prediction_id: str
    actual: str | float
    recorded_at: datetime

    def to_json(self) -> dict[str, str | float]:
        """The fields by name, the moment as ISO 8601 text."""
        return {
            "outcome_id": self.outcome_id,
            "prediction_id": self.prediction_id,
            "actual": self.actual,
            "recorded_at": self.recorded_at.isoformat(),
        }


def insert_outcomes(engine: sa.Engine, use_case: UseCase, outcomes: Sequence[Outcome]) -> int:
    """Append outcomes, all of them or none; how many were new. Those that are there are not changed.

    Raises StoreError for an id that is none, SQLAlchemy's DataError or IntegrityError for an outcome that its
    column cannot hold.
    """
    rows = [_build_row(outcome) for outcome in outcomes]
    return append_rows(
        engine,
        declared.build_outcome_table(use_case),
        {str(row["outcome_id"]): row for row in reversed(rows)},
    )


def count_orphan_outcomes(
    engine: sa.Engine, use_case: UseCase, before: datetime, after: datetime | None = None
) -> int:
    """How many ids have outcomes recorded before a moment (aware UTC), and after another where one is given,
    and no prediction in the log.

    None before the use case's tables exist. Raises StoreUnreachable.
    """
    outcome, log = declared.build_outcome_table(use_case), declared.build_prediction_table(use_case)
    same_prediction = _match_predictions(outcome, log)
    statement = (
        sa.select(sa.func.count(sa.distinct(outcome.c.prediction_id)))
        .join_from(outcome, log, same_prediction, isouter=True)
        .where(outcome.c.recorded_at < to_naive_utc(before), log.c.prediction_id.is_(None))
    )
    if after is not None:
        statement = statement.where(outcome.c.recorded_at > to_naive_utc(after))
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    return int(rows[0][0]) if rows else 0


def count_contradicted_outcomes(
    engine: sa.Engine, use_case: UseCase, after: datetime, until: datetime
) -> int:
    """How many predictions were given different outcomes after a moment and up to another (aware UTC). Raises
    StoreUnreachable."""
    outcome = declared.build_outcome_table(use_case)
    contradicted = (
        sa.select(outcome.c.prediction_id)
        .where(outcome.c.recorded_at > to_naive_utc(after), outcome.c.recorded_at <= to_naive_utc(until))
        .group_by(outcome.c.prediction_id)
        .having(sa.func.min(outcome.c.actual) != sa.func.max(outcome.c.actual))
        .subquery()
    )
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, sa.select(sa.func.count()).select_from(contradicted))
    return int(rows[0][0]) if rows else 0


def build_newest_outcomes(
    use_case: UseCase,
    *,
    predicted: tuple[datetime, datetime] | None = None,
    recorded_after: datetime | None = None,
    recorded_until: datetime | None = None,
) -> sa.Subquery:
    """The outcomes of predictions, for `join_outcomes`: with the columns `actual` and `actual_at`.

    As they were known at `recorded_until`, or now. Only those of predictions of the window `predicted`
    (start excluded, end included), and only those recorded after `recorded_after`. Moments are aware UTC.
    """
    outcome = declared.build_outcome_table(use_case)
    c = outcome.c
    position = sa.func.row_number().over(
        partition_by=c.prediction_id, order_by=[c.recorded_at.desc(), c.outcome_id.desc()]
    )
    statement = sa.select(
        c.prediction_id,
        c.predicted_at,
        c.actual,
        c.recorded_at.label("actual_at"),
        position.label("position"),
    )
    if predicted is not None:
        start, end = map(to_naive_utc, predicted)
        statement = statement.where(c.predicted_at > start, c.predicted_at <= end)
    if recorded_after is not None:
        statement = statement.where(c.recorded_at > to_naive_utc(recorded_after))
    if recorded_until is not None:
        statement = statement.where(c.recorded_at <= to_naive_utc(recorded_until))
    return statement.subquery("newest_outcome")


def join_outcomes(log: sa.Table, outcomes: sa.Subquery) -> sa.Join:
    """The prediction log, each row with its outcome from `build_newest_outcomes`; NULL where there is
    none."""
    return log.outerjoin(outcomes, sa.and_(_match_predictions(outcomes, log), outcomes.c.position == 1))


def _match_predictions(outcomes: sa.FromClause, log: sa.Table) -> sa.ColumnElement[bool]:
    # By both columns, so that MariaDB looks into the partition of the day only.
    return sa.and_(
        outcomes.c.prediction_id == log.c.prediction_id, outcomes.c.predicted_at == log.c.predicted_at
    )


def _build_row(outcome: Outcome) -> StoredRow:
    prediction_id, predicted_at = parse_prediction_id(outcome.prediction_id)
    try:
        outcome_id = str(uuid.UUID(outcome.outcome_id))
    except ValueError:
        raise StoreError(
            f"{outcome.outcome_id!r} is not the id of an outcome", hint="give each outcome a new UUIDv7"
        ) from None
    if isinstance(outcome.actual, float) and not math.isfinite(outcome.actual):
        raise StoreError(
            f"the outcome of {prediction_id} is {outcome.actual}", hint="send a finite number as the outcome"
        )
    return {
        "outcome_id": outcome_id,
        "predicted_at": to_naive_utc(predicted_at),
        "prediction_id": prediction_id,
        "actual": outcome.actual,
        "recorded_at": to_naive_utc(outcome.recorded_at),
    }
