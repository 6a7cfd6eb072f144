"""How many labels a use case has, as they were known at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.declared import INGESTED_AT, build_label_table
from evergreen.usecase import EVENT_TIME, UseCase


@dataclass(frozen=True)
class KnownLabels:
    """The labels known at a moment: their number, and the event times (aware UTC) of the oldest and the
    newest, None without any."""

    count: int
    oldest: datetime | None
    newest: datetime | None


def count_known_labels(
    engine: sa.Engine, use_case: UseCase, known_at: datetime, since: datetime | None = None
) -> KnownLabels:
    """The labels that were ingested and due by `known_at`, with an event time after `since` (aware). Versions
    of one label count once; none before the table exists."""
    table = build_label_table(use_case)
    c = table.c
    identity = [c[name] for name in use_case.entity.key_names]
    statement = sa.select(c[EVENT_TIME]).where(
        c[INGESTED_AT] <= to_naive_utc(known_at),
        c[EVENT_TIME] <= to_naive_utc(known_at - use_case.label.delay),
    )
    if since is not None:
        statement = statement.where(c[EVENT_TIME] > to_naive_utc(since))
    labels = statement.group_by(*identity, c[EVENT_TIME]).subquery()
    bounds = sa.func.min(labels.c[EVENT_TIME]), sa.func.max(labels.c[EVENT_TIME])
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, sa.select(sa.func.count(), *bounds).select_from(labels))
    count, oldest, newest = rows[0] if rows else (0, None, None)
    return KnownLabels(
        int(count),
        to_aware_utc(oldest) if oldest is not None else None,
        to_aware_utc(newest) if newest is not None else None,
    )
