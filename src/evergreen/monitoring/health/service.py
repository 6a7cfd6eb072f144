"""The service: its errors and latency, and whether every answered row is somewhere in its prediction log.

Counters come from one read of the service's page of metrics, which has those of all its workers since their
start. What happened since an earlier check is the difference from the counters that its findings keep. A
counter that is smaller than it was means a restart, which begins anew: then all that the service has counted
is new.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from evergreen.documents import JsonObject
from evergreen.store.records.checks.health import HealthFinding, HealthReport, HealthSeverity, HealthTopic

# Of answered requests, those that the service could not answer for a fault of its own.
ERROR_SHARE = 0.01
# Requests after which a share of errors, or the slowest in a hundred, says something.
FEWEST_REQUESTS = 100
SLOWEST_SECONDS = 1.0
# Rows that the workers' counts may be apart by, because they are not read at one moment.
_IN_FLIGHT = 1000
# The topic and subject of the finding that keeps what the service had counted.
SERVICE_COUNTERS: Final[tuple[HealthTopic, str]] = ("service", "requests")
_LOG_PREFIX = "evergreen_prediction_log_"
_PREDICT_ROUTES = ("/predict", "/predict_batch", "/predict_by_key")

_LOSSES: Mapping[str, str] = {
    "dropped": "rows of the prediction log were dropped because the spool was full",
    "refused": "rows of the prediction log were refused by MariaDB and are kept in a file",
    "spoilt": "runs of bytes of the spool were no records and were set aside",
}


@dataclass(frozen=True)
class ServiceCounts:
    """What a service has counted since its start.

    `answered` and `failed` are requests with any status, and with a status of 500 or more; `seconds` is by
    upper bound (seconds) how many predictions took at most so long; `log` has the fields of the service's
    counts of its prediction log, such as accepted, spooled and written. `trouble` is why there are no counts,
    or "".
    """

    answered: int = 0
    failed: int = 0
    seconds: Mapping[float, int] = field(default_factory=dict)
    log: Mapping[str, int] = field(default_factory=dict)
    trouble: str = ""

    @property
    def predictions(self) -> int:
        """How many requests for predictions were answered."""
        return max(self.seconds.values(), default=0)

    @property
    def p99_seconds(self) -> float | None:
        """The bound that 99 of 100 predictions kept; None without any."""
        total = self.predictions
        return next(
            (bound for bound, rows in sorted(self.seconds.items()) if total and rows >= 0.99 * total), None
        )

    def continues(self, former: ServiceCounts) -> bool:
        """Whether the service has counted on since `former`: no counter is smaller than it was."""
        return (
            self.answered >= former.answered
            and self.failed >= former.failed
            and all(self.seconds.get(bound, 0) >= rows for bound, rows in former.seconds.items())
            and all(self.log.get(name, 0) >= former.log.get(name, 0) for name in _LOSSES)
        )

    def subtract(self, former: ServiceCounts) -> ServiceCounts:
        """What was counted since `former`, of a service that has counted on."""
        return ServiceCounts(
            self.answered - former.answered,
            self.failed - former.failed,
            {bound: rows - former.seconds.get(bound, 0) for bound, rows in self.seconds.items()},
            {name: rows - former.log.get(name, 0) for name, rows in self.log.items()},
        )

    def to_json(self) -> JsonObject:
        """The counters; bounds as text, "inf" for the last."""
        seconds: JsonObject = {str(bound): rows for bound, rows in self.seconds.items()}
        return {"answered": self.answered, "failed": self.failed, "seconds": seconds, "log": dict(self.log)}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> ServiceCounts:
        """What `to_json` wrote."""
        seconds = {float(bound): rows for bound, rows in document["seconds"].items()}
        return ServiceCounts(document["answered"], document["failed"], seconds, document["log"])


def parse_service_metrics(text: str) -> ServiceCounts:
    """The counts in a page of metrics. Raises ValueError for a text that is none."""
    answers = failed = 0
    seconds: dict[float, int] = defaultdict(int)
    log: dict[str, int] = defaultdict(int)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            value = int(sample.value) if math.isfinite(sample.value) else 0
            if sample.name == "evergreen_requests_total":
                answers += value
                failed += value if sample.labels.get("status") == "5xx" else 0
            elif sample.name == "evergreen_request_seconds_bucket":
                if sample.labels.get("route") in _PREDICT_ROUTES:
                    seconds[float(sample.labels["le"])] += value
            elif sample.name.startswith(_LOG_PREFIX):
                log[sample.name.removeprefix(_LOG_PREFIX)] += value
    return ServiceCounts(answers, failed, dict(seconds), dict(log))


@dataclass(frozen=True)
class _Period:
    """What a service has counted since the moment that `since` names in words, and by how many rows its log
    was apart then. `is_new`: whether no earlier check has told of it."""

    counts: ServiceCounts
    since: str
    former_gap: int = 0
    is_new: bool = True


def judge_service(counts: ServiceCounts | None, previous: HealthReport | None) -> list[HealthFinding]:
    """Findings on errors and latency since an earlier check, and on the prediction log.

    `counts` is None where no service is known, `previous` the last report on requests to the service, None
    before the first. Where that report kept no counters, totals are told and nothing of them as new.
    """
    if counts is None:
        return [HealthFinding("service", "", "unknown", "the settings name no service of this use case")]
    if counts.trouble:
        return [HealthFinding("service", "", "warning", f"the service tells nothing: {counts.trouble}")]
    period = _find_period(counts, previous)
    return [*_judge_requests(counts, period), *_judge_latency(period), *_judge_log(counts.log, period)]


def _find_period(counts: ServiceCounts, previous: HealthReport | None) -> _Period:
    """What is new since the previous report, or since the service's start if it has none or began anew."""
    requests = (
        next((each for each in previous.findings if _is_about_requests(each)), None) if previous else None
    )
    if previous is None or requests is None:
        return _Period(counts, "since the service started")
    if requests.counters is None:
        # A report of a version that kept none: it has told of what was lost or failed before it.
        return _Period(counts, "since the service started", is_new=False)
    former = ServiceCounts.from_json(requests.counters)
    if not counts.continues(former):
        return _Period(counts, "since the service started anew, after the last check")
    since = f"since the check as of {previous.as_of:%Y-%m-%d %H:%M} UTC"
    return _Period(counts.subtract(former), since, _measure_gap(former.log))


def _is_about_requests(finding: HealthFinding) -> bool:
    return (finding.what, finding.subject) == SERVICE_COUNTERS


def _judge_requests(counts: ServiceCounts, period: _Period) -> list[HealthFinding]:
    answers, failed = period.counts.answered, period.counts.failed
    share = failed / answers if answers else 0.0
    is_bad = share > ERROR_SHARE and answers >= FEWEST_REQUESTS and period.is_new
    severity: HealthSeverity = "error" if is_bad else "ok"
    return [
        HealthFinding(
            *SERVICE_COUNTERS,
            "ok",
            f"{answers:,} requests were answered {period.since}",
            float(answers),
            counters=counts.to_json(),
        ),
        HealthFinding(
            "service",
            "failed requests",
            severity,
            f"{failed:,} of {answers:,} requests {period.since} failed in the service ({share:.1%})",
            share,
            ERROR_SHARE,
        ),
    ]


def _judge_latency(period: _Period) -> list[HealthFinding]:
    p99 = period.counts.p99_seconds
    if p99 is None:
        return []
    slow = p99 > SLOWEST_SECONDS and period.counts.predictions >= FEWEST_REQUESTS and period.is_new
    bound = "longer than 30 s" if math.isinf(p99) else f"at most {p99 * 1000:g} ms"
    sentence = f"99 of 100 of {period.counts.predictions:,} predictions {period.since} took {bound}"
    value = None if math.isinf(p99) else p99
    return [
        HealthFinding("service", "latency", "warning" if slow else "ok", sentence, value, SLOWEST_SECONDS)
    ]


def _judge_log(log: Mapping[str, int], period: _Period) -> list[HealthFinding]:
    findings = []
    for name, text in _LOSSES.items():
        total, lately = log.get(name, 0), period.counts.log.get(name, 0) if period.is_new else 0
        severity: HealthSeverity = "error" if lately else "warning" if total else "ok"
        since = f", {lately:,} of them {period.since}" if total and period.is_new else ""
        if total and not period.is_new:
            since = f" {period.since}; how many of them since the last check is not known"
        findings.append(HealthFinding("log", name, severity, f"{total:,} {text}{since}", float(total), 0.0))
    arrivals, departures, gap = _count_arrivals(log), _count_departures(log), _measure_gap(log)
    # Counts that are read in the middle of their update are not apart at the next check as well.
    lasts = gap > 0 and period.former_gap > 0
    sentence = f"{arrivals:,} answered rows and {departures:,} written, on disk, refused, dropped or spoilt"
    if gap > _IN_FLIGHT:
        findings.append(
            HealthFinding("log", "balance", "error", f"{sentence}: {gap:,} apart", float(gap), _IN_FLIGHT)
        )
    elif lasts:
        lasting = f"{sentence}: {gap:,} apart, and at the last check too"
        findings.append(HealthFinding("log", "balance", "warning", lasting, float(gap), _IN_FLIGHT))
    else:
        findings.append(HealthFinding("log", "balance", "ok", sentence, float(gap), _IN_FLIGHT))
    return findings


def _count_arrivals(log: Mapping[str, int]) -> int:
    return log.get("accepted", 0) + log.get("adopted", 0)


def _count_departures(log: Mapping[str, int]) -> int:
    return sum(log.get(name, 0) for name in ("spooled", "written", "refused", "dropped", "spoilt_rows"))


def _measure_gap(log: Mapping[str, int]) -> int:
    """By how many rows what came into a log and where it went are apart: none where nothing is lost."""
    return abs(_count_arrivals(log) - _count_departures(log))
