"""A step of the verb monitor: the health of data and service, beside drift and quality of the same check."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TypedDict

import httpx

from evergreen.errors import StoreError
from evergreen.hiding import hide_secrets
from evergreen.loop.monitoring.check_report import DROPPED
from evergreen.monitoring.health import measure
from evergreen.monitoring.health.service import ServiceCounts, parse_service_metrics
from evergreen.serving.calls.exchange import build_headers
from evergreen.serving.channels import ONLINE
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.checks.drift import find_report
from evergreen.store.records.checks.health import HealthReport, read_health_report, save_health_report
from evergreen.usecases import load_use_case

logger = logging.getLogger(__name__)

# Seconds to connect, to wait for a part of the page, and for all of it: a slower service is not healthy.
_SERVICE_SECONDS = 3.0
_PAGE_SECONDS = 10.0
_LONGEST_PAGE = 4_000_000


class HealthResult(TypedDict):
    """The severity of the worst finding, how many findings there are, and the warnings and errors in
    words."""

    severity: str
    findings: int
    troubles: list[str]


def measure_health(settings: Settings, use_case_name: str, as_of: datetime) -> HealthResult:
    """Look at the data and the service of a check, and keep the findings with it.

    The drift of the moment has been measured before; StoreError if not. A service that does not answer is a
    finding. Of a check whose findings were dropped, because it is old, nothing is looked at.
    """
    database = get_engine(settings)
    report = find_report(database, use_case_name, as_of)
    if report is None:
        raise StoreError(
            f"there is no drift report of {use_case_name} as of {as_of.isoformat()}",
            hint=f"measure drift first: evergreen run monitor {use_case_name}",
        )
    health = read_health_report(database, report.id)
    if report.pruned:
        return HealthResult(severity="unknown", findings=0, troubles=[DROPPED])
    if health is None:
        counts = read_service_counts(settings, use_case_name)
        use_case = load_use_case(use_case_name, settings)
        health = measure.measure_health(database, use_case, report, counts, datetime.now(UTC))
        health = save_health_report(database, report.id, health)
    for finding in health.troubles:
        logger.warning("health: %s", finding.sentence)
    return _summarize(health)


def read_service_counts(settings: Settings, use_case_name: str) -> ServiceCounts | None:
    """What the use case's service has counted; None where the settings name no service. Never raises: what is
    wrong is the counts' `trouble`."""
    url = settings.service_urls.get(use_case_name)
    if not url:
        return None
    headers = build_headers(settings.api_key.get_secret_value(), ONLINE)
    page, end = bytearray(), time.monotonic() + _PAGE_SECONDS
    place = hide_secrets(url)
    try:
        with httpx.stream(
            "GET", f"{url.rstrip('/')}/metrics", headers=headers, timeout=_SERVICE_SECONDS, trust_env=False
        ) as answer:
            if answer.status_code != 200:
                return ServiceCounts(trouble=f"/metrics answers {answer.status_code}")
            for block in answer.iter_bytes():
                page += block
                if len(page) > _LONGEST_PAGE:
                    trouble = f"its page of metrics is longer than {_LONGEST_PAGE:,} bytes"
                    return ServiceCounts(trouble=trouble)
                if time.monotonic() > end:
                    trouble = f"its page of metrics takes longer than {_PAGE_SECONDS:g} s"
                    return ServiceCounts(trouble=trouble)
        return parse_service_metrics(page.decode())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return ServiceCounts(trouble=f"it does not answer at {place} ({type(error).__name__})")
    except ValueError:
        return ServiceCounts(trouble=f"what answers at {place}/metrics is no page of metrics")


def _summarize(health: HealthReport) -> HealthResult:
    return {
        "severity": health.severity,
        "findings": len(health.findings),
        "troubles": [finding.sentence for finding in health.troubles],
    }
