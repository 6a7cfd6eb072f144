"""Findings on the health of a use case's data and service, as MariaDB keeps them: a row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from evergreen.documents import JsonObject
from evergreen.store.connection.json_columns import format_json_object, parse_json_object
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.platform import HEALTH_FINDING

HealthSeverity = Literal["ok", "warning", "error", "unknown"]
HealthTopic = Literal["freshness", "contract", "skew", "refused", "service", "log", "outcomes", "clock"]

_SUBJECT_LENGTH = 191
# From the most to the least that people should look at.
_RANK: Mapping[HealthSeverity, int] = {"error": 0, "warning": 1, "unknown": 2, "ok": 3}


@dataclass(frozen=True)
class HealthFinding:
    """One thing that was looked at.

    `what` is the topic, `subject` the view, feature, field or service ("" for the whole use case); `value`
    and `limit` are numbers in the unit that `sentence` names, None where there is none. "unknown" is what
    could not be looked at. `counters` are totals that the next check needs; None for most findings.
    """

    what: HealthTopic
    subject: str
    severity: HealthSeverity
    sentence: str
    value: float | None = None
    limit: float | None = None
    counters: JsonObject | None = None


@dataclass(frozen=True)
class HealthReport:
    """The findings of one check (aware UTC), what needs attention first."""

    use_case: str
    as_of: datetime
    findings: tuple[HealthFinding, ...]

    @property
    def severity(self) -> HealthSeverity:
        """That of the worst finding; "ok" without any."""
        return min((finding.severity for finding in self.findings), key=_RANK.__getitem__, default="ok")

    @property
    def troubles(self) -> tuple[HealthFinding, ...]:
        """The warnings and errors."""
        return tuple(finding for finding in self.findings if finding.severity in ("warning", "error"))


def sort_findings(findings: list[HealthFinding]) -> tuple[HealthFinding, ...]:
    """Findings by severity, of one severity in their order."""
    return tuple(sorted(findings, key=lambda finding: _RANK[finding.severity]))


def save_health_report(engine: sa.Engine, report_id: str, report: HealthReport) -> HealthReport:
    """Write the findings of the check whose drift report has that id, unless there are some; those that
    stand."""
    rows = [
        {
            "report_id": report_id,
            "position": position,
            "use_case": report.use_case,
            "as_of": to_naive_utc(report.as_of),
            "what": finding.what,
            "subject": finding.subject[:_SUBJECT_LENGTH],
            "value": finding.value,
            "limit_value": finding.limit,
            "severity": finding.severity,
            "sentence": finding.sentence,
            "counters": format_json_object(finding.counters),
        }
        for position, finding in enumerate(report.findings)
    ]
    standing = sa.select(sa.literal(1)).where(HEALTH_FINDING.c.report_id == report_id).limit(1)
    try:
        with engine.begin() as connection:
            if rows and connection.execute(standing).first() is None:
                connection.execute(sa.insert(HEALTH_FINDING), rows)
    except sa.exc.IntegrityError:
        pass  # another process has written them meanwhile: those stand
    return read_health_report(engine, report_id) or report


def read_health_report(engine: sa.Engine, report_id: str) -> HealthReport | None:
    """The findings of the check whose drift report has that id; None where none were recorded."""
    c = HEALTH_FINDING.c
    return _read_report(
        engine, sa.select(HEALTH_FINDING).where(c.report_id == report_id).order_by(c.position)
    )


def find_previous_health_report(
    engine: sa.Engine, use_case_name: str, before: datetime, what: HealthTopic, subject: str
) -> HealthReport | None:
    """The report of the latest earlier moment than `before` (aware) that has a finding of that topic and
    subject; None where there is none."""
    c = HEALTH_FINDING.c
    earlier = sa.select(sa.func.max(c.as_of)).where(
        c.use_case == use_case_name, c.what == what, c.subject == subject, c.as_of < to_naive_utc(before)
    )
    return _read_report(
        engine,
        sa.select(HEALTH_FINDING)
        .where(c.use_case == use_case_name, c.as_of == earlier.scalar_subquery())
        .order_by(c.position),
    )


def _read_report(engine: sa.Engine, statement: sa.Select[*tuple[Any, ...]]) -> HealthReport | None:
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    if not rows:
        return None
    findings = tuple(
        HealthFinding(
            row.what,
            row.subject,
            row.severity,
            row.sentence,
            row.value,
            row.limit_value,
            parse_json_object(row.counters),
        )
        for row in rows
    )
    return HealthReport(rows[0].use_case, to_aware_utc(rows[0].as_of), findings)
