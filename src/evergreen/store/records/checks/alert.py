"""Alerts as MariaDB keeps them: what was to be told, whether it was, and what each target said to it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from evergreen.documents import JsonObject, write_document
from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.platform import ALERT

AlertStatus = Literal["pending", "sent", "failed", "no_target"]

SENT = "sent"
_TITLE_LENGTH = 255
_SUBJECT_LENGTH = 191
_BODY_LENGTH = 16_000


@dataclass(frozen=True)
class AlertRecord:
    """One alert. Moments are aware UTC; `raised_at` is the clock's, `as_of` that of the check.

    `status` is "pending" until every target has it ("sent"), or until it was tried for too long ("failed");
    "no_target" where none is set. `results` has a line per target: "sent", or why not.
    """

    id: str
    use_case: str
    kind: str
    subject: str
    severity: str
    title: str
    body: str
    as_of: datetime
    raised_at: datetime
    status: AlertStatus
    attempts: int = 0
    tried_at: datetime | None = None
    results: Mapping[str, str] | None = None

    def to_json(self) -> JsonObject:
        """The fields by their names."""
        return write_document(self)


def compute_alert_id(use_case_name: str, kind: str, subject: str, as_of: datetime) -> str:
    """The id of the alert of that kind about that subject as of a moment, a UUIDv5."""
    moment = to_naive_utc(as_of).isoformat()
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"evergreen:alert:{use_case_name}:{kind}:{subject}:{moment}"))


def insert_alert(engine: sa.Engine, alert: AlertRecord, repeat_after: timedelta | None) -> bool:
    """Write an alert unless it was raised already; whether it was written.

    An alert of the same use case, kind and subject that was raised less than `repeat_after` before keeps it
    out; with None any earlier one does.
    """
    c = ALERT.c
    same_thing = [c.use_case == alert.use_case, c.kind == alert.kind, c.subject == _cut_subject(alert)]
    if repeat_after is not None:
        same_thing.append(c.raised_at > to_naive_utc(alert.raised_at - repeat_after))
    standing = sa.select(sa.literal(1)).where(sa.or_(c.id == alert.id, sa.and_(*same_thing))).limit(1)
    with engine.connect() as connection, hold_lock(connection, "alerts"):
        connection.rollback()
        if connection.execute(standing).first() is not None:
            return False
        connection.execute(
            sa.insert(ALERT).values(
                **{
                    **vars(alert),
                    "subject": _cut_subject(alert),
                    "title": alert.title[:_TITLE_LENGTH],
                    "body": alert.body[:_BODY_LENGTH],
                    "as_of": to_naive_utc(alert.as_of),
                    "raised_at": to_naive_utc(alert.raised_at),
                    "tried_at": to_naive_utc(alert.tried_at) if alert.tried_at else None,
                    "results": None if alert.results is None else json.dumps(dict(alert.results)),
                }
            )
        )
        connection.commit()
    return True


def save_delivery(
    engine: sa.Engine, alert_id: str, *, status: AlertStatus, results: Mapping[str, str], tried_at: datetime
) -> None:
    """Record an attempt to deliver an alert, with what came of it at each target."""
    with engine.begin() as connection:
        connection.execute(
            sa.update(ALERT)
            .where(ALERT.c.id == alert_id)
            .values(
                status=status,
                results=json.dumps(dict(results)),
                attempts=ALERT.c.attempts + 1,
                tried_at=to_naive_utc(tried_at),
            )
        )


def list_pending_alerts(engine: sa.Engine, limit: int) -> list[AlertRecord]:
    """The alerts of every use case that have not reached all targets: those that were never tried, then those
    that were not tried for the longest time; of these the oldest first."""
    pending = sa.select(ALERT).where(ALERT.c.status == "pending")
    # MariaDB sorts NULL first.
    order = (ALERT.c.tried_at, ALERT.c.raised_at, ALERT.c.id)
    return _read_alerts(engine, pending.order_by(*order).limit(limit))


def list_alerts(engine: sa.Engine, use_case_name: str | None = None, limit: int = 20) -> list[AlertRecord]:
    """The newest alerts, of one use case or of all, newest first; none before the table exists."""
    statement = sa.select(ALERT)
    if use_case_name is not None:
        statement = statement.where(ALERT.c.use_case == use_case_name)
    return _read_alerts(engine, statement.order_by(ALERT.c.raised_at.desc(), ALERT.c.id).limit(limit))


def list_alerts_of_check(engine: sa.Engine, use_case_name: str, as_of: datetime) -> list[AlertRecord]:
    """The alerts that the check of a moment (aware) raised, in the order of their kinds and subjects."""
    statement = sa.select(ALERT).where(
        ALERT.c.use_case == use_case_name, ALERT.c.as_of == to_naive_utc(as_of)
    )
    return _read_alerts(engine, statement.order_by(ALERT.c.kind, ALERT.c.subject))


def _cut_subject(alert: AlertRecord) -> str:
    return alert.subject[:_SUBJECT_LENGTH]


def _read_alerts(engine: sa.Engine, statement: sa.Select[*tuple[Any, ...]]) -> list[AlertRecord]:
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    return [_parse_alert(row) for row in rows]


def _parse_alert(row: sa.Row[Any]) -> AlertRecord:
    fields = dict(row._mapping)
    for name in ("as_of", "raised_at", "tried_at"):
        fields[name] = to_aware_utc(fields[name]) if fields[name] is not None else None
    fields["results"] = None if fields["results"] is None else json.loads(fields["results"])
    return AlertRecord(**fields)
