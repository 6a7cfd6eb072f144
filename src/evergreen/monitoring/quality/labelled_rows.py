"""Predictions joined with their outcomes, as a SELECT that other statements count.

An outcome is learned in one of two ways. A request to `/feedback` names the prediction. An ingested label
names its entity and its event time, and judges the predictions for that entity from then until it is known
(`event_time <= predicted_at < event_time + delay`); of several labels the newest one. So a label without a
delay or without an event time judges none: either the outcome was known when the answer was given, or nobody
knows when it was true. Feedback goes before a label, and newer feedback before older.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import sqlalchemy as sa

from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.predictions.outcomes import build_newest_outcomes, join_outcomes
from evergreen.store.tables import declared
from evergreen.usecase import EVENT_TIME, UseCase

Condition: TypeAlias = sa.ColumnElement[bool]

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class LabelledSelection:
    """Which predictions with a known outcome: those of these channels (a version, where one is given) whose
    outcome is known at `known_at`.

    `learned_after`: only where it was learned after that moment; a label is learned when it is ingested, but
    not before its `event_time + delay`. `predicted`: only predictions of that window (start included, end
    excluded). Moments are aware UTC.

    `judged_from`: no label that was learned after `learned_after` judges a prediction of before. It changes
    nothing but how many rows MariaDB looks at; see `bound_selection`.
    """

    known_at: datetime
    learned_after: datetime | None = None
    predicted: tuple[datetime, datetime] | None = None
    version: int | None = None
    channels: Sequence[str] = TRAFFIC
    judged_from: datetime | None = None


def bound_selection(engine: sa.Engine, use_case: UseCase, selection: LabelledSelection) -> LabelledSelection:
    """The same selection with its `judged_from`: labels learned lately are true for some days, so that the
    rest of the log need not be looked at. Raises StoreUnreachable."""
    after, delay = selection.learned_after, use_case.label.delay
    if after is None or use_case.label.event_time is None or not delay:
        return selection
    label = declared.build_label_table(use_case)
    ingested_at = label.c[declared.INGESTED_AT]
    oldest = sa.select(sa.func.min(label.c[EVENT_TIME])).where(
        ingested_at > to_naive_utc(after), ingested_at <= to_naive_utc(selection.known_at)
    )
    with engine.connect() as connection:
        moments = [moment for (moment,) in execute_if_table_exists(connection, oldest) if moment is not None]
    return replace(selection, judged_from=min([after - delay, *map(to_aware_utc, moments)]))


def select_labelled_rows(
    use_case: UseCase, selection: LabelledSelection, columns: Sequence[str]
) -> sa.Subquery:
    """Those predictions with the named columns of the log, and `actual`."""
    log = declared.build_prediction_table(use_case)
    statements = [_select_by_feedback(use_case, log, selection, columns)]
    if use_case.label.event_time is not None and use_case.label.delay:
        judged = selection
        if selection.predicted is None and selection.judged_from is not None:
            judged = replace(selection, predicted=(selection.judged_from, selection.known_at + _MICROSECOND))
        statements.append(_select_by_label(use_case, log, judged, columns))
    if len(statements) == 1:
        return statements[0].subquery("labelled")
    return sa.union_all(*statements).subquery("labelled")


def _select_by_feedback(
    use_case: UseCase, log: sa.Table, selection: LabelledSelection, columns: Sequence[str]
) -> sa.Select[Any]:
    outcomes = build_newest_outcomes(
        use_case,
        predicted=_widen_window(selection),
        recorded_after=selection.learned_after,
        recorded_until=selection.known_at,
    )
    return (
        sa.select(*(log.c[name] for name in columns), outcomes.c.actual)
        .select_from(join_outcomes(log, outcomes))
        .where(*_list_conditions(log, selection), outcomes.c.actual.is_not(None))
    )


def _select_by_label(
    use_case: UseCase, log: sa.Table, selection: LabelledSelection, columns: Sequence[str]
) -> sa.Select[Any]:
    """Those without feedback that a label judges."""
    label, delay = declared.build_label_table(use_case), use_case.label.delay
    until = to_naive_utc(selection.known_at)
    outcomes = build_newest_outcomes(
        use_case, predicted=_widen_window(selection), recorded_until=selection.known_at
    )
    event_time, ingested_at = label.c[EVENT_TIME], label.c[declared.INGESTED_AT]
    microseconds = delay // timedelta(microseconds=1)
    known_from = sa.func.timestampadd(sa.text("MICROSECOND"), microseconds, event_time)
    same_entity = (log.c[name] == label.c[name] for name in use_case.entity.key_names)
    newest = sa.func.row_number().over(
        partition_by=log.c.prediction_id, order_by=[event_time.desc(), ingested_at.desc()]
    )
    pairs = (
        sa.select(
            *(log.c[name].label(f"log_{name}") for name in columns),
            label.c[use_case.label.name].label("actual"),
            newest.label("newest"),
        )
        .select_from(join_outcomes(log, outcomes).join(label, sa.and_(*same_entity)))
        .where(*_list_conditions(log, selection), outcomes.c.actual.is_(None))
        .where(event_time <= log.c.predicted_at, log.c.predicted_at < known_from)
        .where(ingested_at <= until, event_time <= until - delay)
    )
    if selection.learned_after is not None:
        since = to_naive_utc(selection.learned_after)
        pairs = pairs.where(sa.or_(ingested_at > since, event_time > since - delay))
    if selection.predicted is not None:
        start, end = map(to_naive_utc, selection.predicted)
        pairs = pairs.where(event_time > start - delay, event_time < end)
    rows = pairs.subquery("judged")
    return sa.select(*(rows.c[f"log_{name}"] for name in columns), rows.c.actual).where(rows.c.newest == 1)


def _list_conditions(log: sa.Table, selection: LabelledSelection) -> list[Condition]:
    conditions: list[Condition] = [
        log.c.channel.in_(list(selection.channels)),
        log.c.predicted_at <= to_naive_utc(selection.known_at),
    ]
    if selection.version is not None:
        conditions.append(log.c.model_version == selection.version)
    if selection.predicted is not None:
        start, end = map(to_naive_utc, selection.predicted)
        conditions += [log.c.predicted_at >= start, log.c.predicted_at < end]
    return conditions


def _widen_window(selection: LabelledSelection) -> tuple[datetime, datetime] | None:
    """The window of predictions as `build_newest_outcomes` takes it, whose start is excluded."""
    if selection.predicted is None:
        return None
    start, end = selection.predicted
    return start - timedelta(milliseconds=1), end
