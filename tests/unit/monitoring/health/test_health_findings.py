"""Findings on freshness, contracts, requests and the service: the limits, and what is unknown."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from evergreen.monitoring.health.contracts import judge_ingests
from evergreen.monitoring.health.freshness import format_age, judge_last_load, judge_part
from evergreen.monitoring.health.schedule import find_due_tick
from evergreen.monitoring.health.service import ServiceCounts, judge_service, parse_service_metrics
from evergreen.monitoring.health.traffic import judge_refused
from evergreen.serving.metrics.request_metrics import RequestMetrics
from evergreen.serving.metrics.service_metrics import ServiceMetrics
from evergreen.store.records.checks.drift_evidence import RefusedShare
from evergreen.store.records.checks.health import HealthFinding, HealthReport, sort_findings
from evergreen.store.records.ingest_run import IngestRun
from evergreen.usecase import Contract, Freshness, Schedules
from support.toy_declaration import USE_CASE

NOW = datetime(2026, 7, 12, tzinfo=UTC)
VIEW = USE_CASE.views[0]
DAY = timedelta(days=1)
FAILED = ("service", "failed requests")


def find(findings: list[HealthFinding], what: str, subject: str) -> HealthFinding:
    return next(each for each in findings if (each.what, each.subject) == (what, subject))


@pytest.mark.parametrize(
    ("age", "within", "max_age", "severity"),
    [
        (100 * DAY, None, None, "ok"),
        (2 * DAY, 2 * DAY, None, "ok"),
        (2 * DAY + timedelta(seconds=1), 2 * DAY, None, "warning"),
        (3 * DAY, None, 3 * DAY, "ok"),
        (3 * DAY + timedelta(seconds=1), 2 * DAY, 3 * DAY, "error"),
        (-DAY, 2 * DAY, 3 * DAY, "ok"),
    ],
)
def test_a_view_is_as_fresh_as_its_declaration_asks(
    age: timedelta, within: timedelta | None, max_age: timedelta | None, severity: str
) -> None:
    contract = Contract(freshness=Freshness(within) if within else None)
    view = replace(VIEW, max_age=max_age, contract=contract)
    finding = judge_part(view, NOW - age, NOW)
    assert (finding.severity, finding.value) == (severity, age.total_seconds())
    limits = [limit.total_seconds() for limit in (within, max_age) if limit]
    assert finding.limit == (min(limits) if limits else None)


def test_a_label_is_due_after_its_delay_and_an_empty_view_is_an_error() -> None:
    label = replace(USE_CASE.label, contract=Contract(freshness=Freshness(DAY, "error")))
    assert judge_part(label, NOW - label.delay - DAY, NOW).severity == "ok"
    late = judge_part(label, NOW - label.delay - DAY * 1.5, NOW)
    assert (late.severity, late.sentence) == (
        "error",
        "the newest row of leaves has been known for 1.5 d; its contract allows 1 d",
    )
    # Both are measured from when the label was due.
    assert (late.value, late.limit) == (1.5 * DAY.total_seconds(), DAY.total_seconds())
    assert judge_part(VIEW, None, NOW).severity == "error"


@pytest.mark.parametrize(
    ("schedule", "as_of", "due"),
    [
        # A run has until the next tick, and a day at most.
        ("@daily", "2026-07-12 00:00", "2026-07-11 00:00"),
        ("@daily", "2026-07-12 23:59", "2026-07-11 00:00"),
        ("@hourly", "2026-07-12 03:30", "2026-07-12 02:00"),
        ("@monthly", "2026-07-01 23:59", "2026-06-01 00:00"),
        ("@monthly", "2026-07-02 00:00", "2026-07-01 00:00"),
        ("@quarterly", "2026-07-12 00:00", "2026-07-01 00:00"),
        # Friday's run is the last one over the weekend, and until Monday's has had its day.
        ("0 6 * * 1-5", "2026-07-12 12:00", "2026-07-10 06:00"),
        ("0 6 * * 1-5", "2026-07-14 05:59", "2026-07-10 06:00"),
        ("0 6 * * 1-5", "2026-07-14 06:00", "2026-07-13 06:00"),
        ("0 8,9 * * *", "2026-07-12 08:30", "2026-07-11 09:00"),
        ("0 8,9 * * *", "2026-07-12 09:30", "2026-07-12 08:00"),
    ],
)
def test_a_load_is_due_some_time_after_its_tick(schedule: str, as_of: str, due: str) -> None:
    moment, tick = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (as_of, due))
    assert find_due_tick(schedule, moment) == tick
    assert find_due_tick(schedule, moment.astimezone(timezone(timedelta(hours=-7)))) == tick
    case = replace(USE_CASE, schedules=Schedules(ingest=schedule))
    assert judge_last_load(case, tick, moment).severity == "ok"
    late = judge_last_load(case, tick - timedelta(minutes=1), moment)
    assert late.severity == "warning"
    assert late.limit == (moment - tick).total_seconds()
    assert late.sentence.endswith(f"; by the schedule {schedule} one was due as of {due} UTC")


@pytest.mark.parametrize("schedule", ["61 * * * *", "0 0 31 2 *", "daily", "@once", ""])
def test_a_schedule_that_is_none_is_told(schedule: str) -> None:
    case = replace(USE_CASE, schedules=Schedules(ingest=schedule))
    finding = judge_last_load(case, NOW, NOW)
    assert finding.severity == "warning"
    assert f"whether one is missing is not known, because {schedule!r} is no schedule: " in finding.sentence


def test_without_a_schedule_no_load_is_due_but_there_must_be_one() -> None:
    case = replace(USE_CASE, schedules=Schedules(ingest=None))
    finding = judge_last_load(case, NOW - 90 * DAY, NOW)
    assert (finding.severity, finding.sentence) == ("ok", "the last load was 90 d ago")
    assert judge_last_load(case, None, NOW).severity == "error"


def test_ages_are_short() -> None:
    ages = [timedelta(days=3.25), timedelta(hours=5), timedelta(minutes=2), timedelta(seconds=7), -DAY]
    assert [format_age(age) for age in ages] == ["3.25 d", "5 h", "2 min", "7 s", "0 s"]


def build_run(name: str, status: str, **fields: Any) -> IngestRun:
    values: dict[str, Any] = {
        "rows_in": 100,
        "rows_loaded": 90,
        "rows_rejected": 0,
        "report": None,
        "digest": None,
        **fields,
    }
    return IngestRun(
        id=name,
        use_case="toy",
        as_of=NOW,
        interval_start=NOW,
        source_override="",
        status=status,
        started_at=NOW,
        finished_at=NOW,
        **values,
    )


def test_failures_since_the_last_load_are_told_and_older_ones_are_not() -> None:
    failure = {"column": "age", "check": "is above 120", "count": 3, "examples": [], "severity": "error"}
    warning = {**failure, "severity": "warning"}
    report = {
        "facts": {"use_case": "toy", "part": "facts", "rows": 9, "kept": 6, "failures": [failure, warning]}
    }
    runs = [
        build_run("a", "failed", report=report),
        build_run("b", "failed", report={"error": "no such file: x.csv\nmore"}),
        build_run("c", "failed"),
        build_run("d", "extracting"),
        build_run("e", "loaded", rows_rejected=4),
        build_run("f", "failed", report={"error": "long mended"}),
    ]
    findings = judge_ingests("toy", runs, {"d"})
    assert [(each.subject, each.severity, each.value) for each in findings] == [
        ("a", "error", 1.0),
        ("b", "error", None),
        ("c", "error", None),
        ("d", "warning", None),
        ("e", "warning", 4),
    ]
    assert "facts: age is above 120 in 3 rows" in findings[0].sentence
    assert findings[1].sentence.endswith("failed: no such file: x.csv")
    assert "4 of 100 rows" in findings[4].sentence


def test_ingests_without_fault_and_no_ingest_are_fine() -> None:
    for runs in ([build_run("a", "loaded")], [], [build_run("a", "extracting")]):
        [finding] = judge_ingests("toy", runs, set())
        assert (finding.severity, finding.what) == ("ok", "contract")


def test_many_refused_rows_are_a_warning_by_field() -> None:
    few, many = RefusedShare("age", "missing", 5, 0.05), RefusedShare("spend", "float_type", 6, 0.0501)
    assert [each.severity for each in judge_refused([few])] == ["ok"]
    [finding] = judge_refused([many, few])
    assert (finding.subject, finding.severity, finding.value) == ("spend", "warning", 0.0501)
    assert [each.severity for each in judge_refused([])] == ["ok"]


def build_page(answers: dict[int, int], seconds: float = 0.003, **log: int) -> str:
    """The page of metrics of a service that answered so many requests with these statuses."""
    registry = CollectorRegistry()
    requests, service = RequestMetrics("toy", registry), ServiceMetrics("toy", registry)
    counts = dict.fromkeys(
        ("accepted", "adopted", "spooled", "written", "refused", "dropped", "spoilt", "spool_bytes"), 0
    ) | {"spoilt_rows": 0, "spool_age_seconds": 0}
    service.update_log({**counts, "trouble": "", **log})  # type: ignore[typeddict-item]
    for status, number in answers.items():
        for _ in range(number):
            tally = requests._find_tally("/predict", "POST", status // 100)
            tally.counter.add()
            tally.histogram.observe(seconds)
    requests.flush()
    return generate_latest(registry).decode()


def test_a_page_of_metrics_is_read() -> None:
    counts = parse_service_metrics(build_page({200: 97, 422: 2, 500: 1}, accepted=99, written=90, spooled=9))
    assert (counts.answered, counts.failed, counts.p99_seconds) == (100, 1, 0.005)
    assert (counts.log["accepted"], counts.log["written"], counts.log["spooled"]) == (99, 90, 9)
    assert parse_service_metrics("") == ServiceCounts()
    assert ServiceCounts(seconds={1.0: 0, math.inf: 5}).p99_seconds == math.inf


def report_of(counts: ServiceCounts, previous: HealthReport | None = None) -> HealthReport:
    return HealthReport("toy", NOW, tuple(judge_service(counts, previous)))


def test_errors_count_since_the_last_check_and_from_the_start_after_a_restart() -> None:
    bad = judge_service(ServiceCounts(200, 3), None)
    assert find(bad, "service", "failed requests").severity == "error"
    assert "of 200 requests since the service started failed" in find(bad, *FAILED).sentence
    mended = judge_service(ServiceCounts(400, 3), report_of(ServiceCounts(200, 3)))
    assert find(mended, *FAILED).severity == "ok"
    assert find(mended, *FAILED).sentence.startswith(
        "0 of 200 requests since the check as of 2026-07-12 00:00 UTC failed"
    )
    restarted = judge_service(ServiceCounts(100, 2), report_of(ServiceCounts(1000, 1)))
    assert find(restarted, *FAILED).sentence.startswith(
        "2 of 100 requests since the service started anew, after the last check failed"
    )
    few = judge_service(ServiceCounts(99, 50), None)
    assert find(few, *FAILED).severity == "ok"


def test_latency_is_that_of_the_predictions_since_the_last_check() -> None:
    quick = ServiceCounts(100_000, seconds={0.01: 100_000, 1.0: 100_000, 2.5: 100_000, math.inf: 100_000})
    slow = ServiceCounts(100_200, seconds={0.01: 100_050, 1.0: 100_050, 2.5: 100_198, math.inf: 100_200})
    finding = find(judge_service(slow, report_of(quick)), "service", "latency")
    assert (finding.severity, finding.value) == ("warning", 2.5)
    assert finding.sentence == (
        "99 of 100 of 200 predictions since the check as of 2026-07-12 00:00 UTC took at most 2500 ms"
    )
    assert find(judge_service(slow, None), "service", "latency").severity == "ok"
    assert "latency" not in [each.subject for each in judge_service(slow, report_of(slow))]
    few = ServiceCounts(100_050, seconds={0.01: 100_000, 1.0: 100_000, 2.5: 100_050, math.inf: 100_050})
    assert find(judge_service(few, report_of(quick)), "service", "latency").severity == "ok"


def test_any_counter_that_is_smaller_is_a_restart() -> None:
    former = report_of(
        ServiceCounts(100, seconds={0.01: 80, math.inf: 100}, log={"dropped": 5, "spooled": 9})
    )
    counts = ServiceCounts(150, seconds={0.01: 70, math.inf: 150}, log={"dropped": 5})
    assert "started anew" in find(judge_service(counts, former), "service", "latency").sentence
    counts = ServiceCounts(150, seconds={0.01: 80, math.inf: 150}, log={"dropped": 4})
    assert find(judge_service(counts, former), "log", "dropped").severity == "error"
    # Rows on disk come and go.
    counts = ServiceCounts(150, seconds={0.01: 80, math.inf: 150}, log={"dropped": 5, "spooled": 0})
    assert "since the check" in find(judge_service(counts, former), "service", "requests").sentence


def test_lost_rows_are_an_error_once_and_a_warning_after() -> None:
    lost = parse_service_metrics(build_page({}, accepted=20, written=10, dropped=10))
    first = judge_service(lost, None)
    assert find(first, "log", "dropped").severity == "error"
    assert find(first, "log", "balance").severity == "ok"
    second = judge_service(lost, HealthReport("toy", NOW, tuple(first)))
    assert find(second, "log", "dropped").severity == "warning"
    assert find(second, "log", "refused").severity == "ok"


def test_after_a_report_without_counters_nothing_is_known_to_be_new() -> None:
    """Reports of before the counters were kept."""
    slow = ServiceCounts(
        1000, 500, {1.0: 0, 2.5: 1000}, {"accepted": 1000, "written": 990, "dropped": 10, "spoilt_rows": 0}
    )
    first = report_of(slow)
    assert first.severity == "error"
    old = replace(first, findings=tuple(replace(each, counters=None) for each in first.findings))
    findings = judge_service(slow, old)
    dropped = find(findings, "log", "dropped")
    assert (dropped.severity, dropped.value) == ("warning", 10.0)
    assert dropped.sentence == (
        "10 rows of the prediction log were dropped because the spool was full since the service started; how"
        " many of them since the last check is not known"
    )
    assert find(findings, *FAILED).severity == find(findings, "service", "latency").severity == "ok"
    assert "500 of 1,000 requests since the service started failed" in find(findings, *FAILED).sentence
    more = replace(slow, log={**slow.log, "accepted": 1001, "dropped": 11})
    lately = find(judge_service(more, HealthReport("toy", NOW, tuple(findings))), "log", "dropped")
    assert (lately.severity, "1 of them since the check" in lately.sentence) == ("error", True)


def test_rows_that_are_nowhere_are_an_error() -> None:
    findings = judge_service(ServiceCounts(log={"accepted": 5000, "adopted": 10, "written": 3000}), None)
    balance = find(findings, "log", "balance")
    assert (balance.severity, balance.value) == ("error", 2010.0)


def test_rows_that_are_missing_at_two_checks_in_a_row_are_told() -> None:
    lost = ServiceCounts(log={"accepted": 15, "written": 8, "spoilt_rows": 1, "spooled": 4})
    first = HealthReport("toy", NOW, tuple(judge_service(lost, None)))
    # The counts may have been read in the middle of an update.
    assert find(list(first.findings), "log", "balance").severity == "ok"
    second = find(judge_service(lost, first), "log", "balance")
    assert (second.severity, second.value) == ("warning", 2.0)
    whole = ServiceCounts(log={"accepted": 15, "written": 8, "spoilt_rows": 1, "spooled": 6})
    assert find(judge_service(whole, first), "log", "balance").severity == "ok"


def test_a_service_that_is_not_known_or_does_not_answer_is_no_silent_ok() -> None:
    assert [each.severity for each in judge_service(None, None)] == ["unknown"]
    [finding] = judge_service(ServiceCounts(trouble="no answer"), None)
    assert (finding.severity, finding.sentence) == ("warning", "the service tells nothing: no answer")
    slow = judge_service(ServiceCounts(seconds={0.5: 0, math.inf: 100}), None)
    assert find(slow, "service", "latency").severity == "warning"


def test_a_report_has_the_worst_first() -> None:
    findings = [
        HealthFinding("skew", "", "ok", "fine", 0.0, 0.01),
        HealthFinding("freshness", "facts", "error", "old", 10.0, 5.0),
        HealthFinding("service", "", "unknown", "not known"),
        HealthFinding("log", "dropped", "warning", "some", 1.0),
    ]
    report = HealthReport("toy", NOW, sort_findings(findings))
    assert [each.severity for each in report.findings] == ["error", "warning", "unknown", "ok"]
    assert (report.severity, len(report.troubles)) == ("error", 2)
    assert HealthReport("toy", NOW, ()).severity == "ok"
