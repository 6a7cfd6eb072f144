"""The health report of one check: every topic, of which one that cannot be looked at says so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from evergreen.errors import EvergreenError, StoreUnreachable
from evergreen.monitoring.health.contracts import measure_contracts
from evergreen.monitoring.health.freshness import measure_freshness
from evergreen.monitoring.health.service import SERVICE_COUNTERS, ServiceCounts, judge_service
from evergreen.monitoring.health.skew import measure_skew
from evergreen.monitoring.health.traffic import judge_refused, measure_clock, measure_outcomes
from evergreen.store.records.checks.drift import DriftReport
from evergreen.store.records.checks.health import (
    HealthFinding,
    HealthReport,
    HealthTopic,
    find_previous_health_report,
    sort_findings,
)
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)


def measure_health(
    engine: sa.Engine,
    use_case: UseCase,
    report: DriftReport,
    service: ServiceCounts | None,
    now: datetime,
) -> HealthReport:
    """Look at data and service as of a drift report's moment; `now` (aware) is the clock's.

    `service` are the counts that the service told, None where no service is known. A topic that fails is a
    finding "unknown" with the reason. Raises StoreUnreachable.
    """
    as_of = report.as_of
    previous = find_previous_health_report(engine, use_case.name, as_of, *SERVICE_COUNTERS)
    topics: tuple[tuple[HealthTopic, Callable[[], list[HealthFinding]]], ...] = (
        ("freshness", partial(measure_freshness, engine, use_case, as_of)),
        ("contract", partial(measure_contracts, engine, use_case, as_of)),
        ("skew", partial(measure_skew, engine, use_case, report.window_start, report.window_end)),
        ("refused", partial(judge_refused, report.refused)),
        ("service", partial(judge_service, service, previous)),
        ("outcomes", partial(measure_outcomes, engine, use_case, as_of)),
        ("clock", partial(measure_clock, engine, use_case, now)),
    )
    findings = [finding for topic, measure in topics for finding in _measure_topic(topic, measure)]
    return HealthReport(use_case.name, as_of, sort_findings(findings))


def _measure_topic(topic: HealthTopic, measure: Callable[[], list[HealthFinding]]) -> list[HealthFinding]:
    try:
        return measure()
    except StoreUnreachable:
        raise
    except (EvergreenError, sa.exc.DBAPIError) as error:
        message = error.message if isinstance(error, EvergreenError) else type(error).__name__
        logger.warning("%s could not be looked at: %s", topic, message)
        return [HealthFinding(topic, "", "unknown", f"could not be looked at: {message}")]
