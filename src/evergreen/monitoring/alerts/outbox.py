"""The outbox: alerts are written to MariaDB first and delivered then, so that none is lost with a target.

What a target did not take is tried again by the next run, for `KEPT_FOR`. Deliveries of several processes do
not mix: who finds the lock held leaves the alerts to its holder.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.monitoring.alerts.alert import TOLD_ONCE, Alert
from evergreen.monitoring.alerts.delivery import TARGET_SECONDS, deliver_text
from evergreen.monitoring.alerts.targets import Target
from evergreen.store.connection.locks import hold_lock
from evergreen.store.records.checks.alert import (
    SENT,
    AlertRecord,
    AlertStatus,
    insert_alert,
    list_pending_alerts,
    save_delivery,
)

logger = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=7)
# The longest that all deliveries of one run may take; what is left then is for the next run.
RUN_SECONDS = 30.0
_BATCH = 50


@dataclass(frozen=True)
class Delivered:
    """What a run delivered: alerts that every target has, and those that wait for the next run, with what
    each target said to the last of these."""

    sent: int = 0
    waiting: int = 0
    trouble: Mapping[str, str] | None = None


def raise_alerts(
    engine: sa.Engine, alerts: Iterable[Alert], as_of: datetime, *, now: datetime, repeat_after: timedelta
) -> list[AlertRecord]:
    """Write alerts that were not raised lately; those that were written. Moments are aware.

    An alert of the same use case, kind and subject is written again after `repeat_after`; one of a kind that
    is `TOLD_ONCE` never.
    """
    new_alerts = []
    for alert in alerts:
        record = alert.build_record(as_of, now)
        if insert_alert(engine, record, None if alert.kind in TOLD_ONCE else repeat_after):
            logger.warning("alert: %s: %s", record.title, alert.sentence)
            new_alerts.append(record)
    return new_alerts


def deliver_pending(
    engine: sa.Engine, targets: Sequence[Target], *, now: datetime, seconds: float = RUN_SECONDS
) -> Delivered:
    """Deliver alerts that have not reached all targets, within `seconds`: those that were never tried first.

    An alert goes only to targets that do not have it yet. Without targets nothing waits: the alerts are kept
    as "no_target". Never raises for what a target does.
    """
    try:
        with (
            engine.connect() as connection,
            hold_lock(connection, "alert-delivery", seconds=0.0, build_refusal=_build_busy_error),
        ):
            connection.rollback()
            return _deliver(engine, targets, now, seconds)
    except _DeliveryUnderWay as error:
        logger.info("%s", error.message)
        return Delivered()


class _DeliveryUnderWay(StoreError):
    """Another process delivers alerts at this moment."""


def _build_busy_error() -> StoreError:
    return _DeliveryUnderWay("another process delivers the alerts", hint="it takes a minute at most")


def _deliver(engine: sa.Engine, targets: Sequence[Target], now: datetime, seconds: float) -> Delivered:
    end = time.monotonic() + seconds
    sent_count = waiting = 0
    trouble: Mapping[str, str] | None = None
    # A target that failed once in this run is not waited for again.
    broken: dict[str, str] = {}
    for record in list_pending_alerts(engine, _BATCH):
        if not targets:
            save_delivery(engine, record.id, status="no_target", results={}, tried_at=now)
            continue
        if time.monotonic() >= end:
            waiting += 1
            continue
        results = dict.fromkeys((target.name for target in targets), SENT)
        missing = [target for target in targets if (record.results or {}).get(target.name) != SENT]
        results |= {target.name: broken.get(target.name, "") for target in missing}
        limit = min(TARGET_SECONDS, max(1.0, end - time.monotonic()))
        working = [target for target in missing if target.name not in broken]
        results |= deliver_text(working, record.title, record.body, seconds=limit)
        failures = {name: text for name, text in results.items() if text != SENT}
        broken |= failures
        status = _judge_delivery(record, failures, now)
        save_delivery(engine, record.id, status=status, results=results, tried_at=now)
        sent_count += status == "sent"
        waiting += status == "pending"
        for name, text in failures.items():
            logger.warning("alert %r did not reach target %s: %s", record.title, name, text)
            trouble = failures
    return Delivered(sent_count, waiting, trouble)


def _judge_delivery(record: AlertRecord, failures: Mapping[str, str], now: datetime) -> AlertStatus:
    if not failures:
        return "sent"
    return "failed" if now - record.raised_at > KEPT_FOR else "pending"
