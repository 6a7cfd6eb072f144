"""The service: its errors and latency, and whether every answered row is somewhere in its prediction log.

Counters come from one read of the service's page of metrics, which has those of all its workers since their
start. What happened since the last check is the difference from the totals that its findings keep; after a
restart, which begins anew, all of them count.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from evergreen.store.records.checks.health import HealthFinding, HealthReport, HealthSeverity

# Of answered requests, those that the service could not answer for a fault of its own.
ERROR_SHARE = 0.01
# Requests after which a share of errors says something.
FEWEST_REQUESTS = 100
SLOWEST_SECONDS = 1.0
# Rows that the workers' counts may be apart by, because they are not read at one moment.
_IN_FLIGHT = 1000
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
    def p99_seconds(self) -> float | None:
        """The bound that 99 of 100 predictions kept; None without any."""
        total = max(self.seconds.values(), default=0)
        return next(
            (bound for bound, rows in sorted(self.seconds.items()) if total and rows >= 0.99 * total), None
        )


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


def judge_service(counts: ServiceCounts | None, previous: HealthReport | None) -> list[HealthFinding]:
    """Findings on errors, latency and the prediction log; `counts` is None where no service is known."""
    if counts is None:
        return [HealthFinding("service", "", "unknown", "the settings name no service of this use case")]
    if counts.trouble:
        return [HealthFinding("service", "", "warning", f"the service tells nothing: {counts.trouble}")]
    if counts.answered < _find_value(previous, "service", "requests"):
        previous = None  # the service began anew, and so do its counts
    return [*_judge_requests(counts, previous), *_judge_log(counts.log, previous)]


def _judge_requests(counts: ServiceCounts, previous: HealthReport | None) -> list[HealthFinding]:
    answers = _count_since(previous, "service", "requests", counts.answered)
    failed = _count_since(previous, "service", "failed requests", counts.failed)
    share = failed / answers if answers else 0.0
    severity: HealthSeverity = "error" if share > ERROR_SHARE and answers >= FEWEST_REQUESTS else "ok"
    sentence = f"{failed:,} of {answers:,} requests since the last check failed in the service ({share:.1%})"
    findings = [
        HealthFinding(
            "service", "requests", "ok", f"{answers:,} requests were answered", float(counts.answered)
        ),
        HealthFinding("service", "failed requests", severity, sentence, float(counts.failed)),
    ]
    p99 = counts.p99_seconds
    if p99 is not None:
        slow = p99 > SLOWEST_SECONDS
        bound = "longer than 30 s" if math.isinf(p99) else f"at most {p99 * 1000:g} ms"
        findings.append(
            HealthFinding(
                "service",
                "latency",
                "warning" if slow else "ok",
                f"99 of 100 predictions since its start took {bound}",
                None if math.isinf(p99) else p99,
                SLOWEST_SECONDS,
            )
        )
    return findings


def _judge_log(log: Mapping[str, int], previous: HealthReport | None) -> list[HealthFinding]:
    findings = []
    for name, text in _LOSSES.items():
        total = log.get(name, 0)
        lately = _count_since(previous, "log", name, total)
        severity: HealthSeverity = "error" if lately else "warning" if total else "ok"
        since = f", {lately:,} of them since the last check" if total else ""
        findings.append(HealthFinding("log", name, severity, f"{total:,} {text}{since}", float(total), 0.0))
    arrivals = log.get("accepted", 0) + log.get("adopted", 0)
    departures = sum(log.get(name, 0) for name in ("spooled", "written", "refused", "dropped", "spoilt_rows"))
    gap = abs(arrivals - departures)
    # Counts that are read in the middle of their update are not apart at the next check as well.
    lasts = gap > 0 and _find_value(previous, "log", "balance") > 0
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


def _count_since(previous: HealthReport | None, what: str, subject: str, total: int) -> int:
    """How much of a total is new since the previous report."""
    return max(0, total - int(_find_value(previous, what, subject)))


def _find_value(previous: HealthReport | None, what: str, subject: str) -> float:
    """The total that the previous report kept; 0 where it kept none."""
    findings: Sequence[HealthFinding] = previous.findings if previous else ()
    values = (each.value for each in findings if (each.what, each.subject) == (what, subject))
    return next(values, None) or 0.0
