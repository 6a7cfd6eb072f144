"""Contracts: what the last ingests broke, held back or could not read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from evergreen.ingest.run_report import parse_run_report
from evergreen.store.records.checks.health import HealthFinding
from evergreen.store.records.ingest_lock import find_interrupted_runs
from evergreen.store.records.ingest_run import IngestRun, list_ingests
from evergreen.usecase import UseCase

_RUNS = 10
_MOST_TOLD = 3
_ERROR_CHARACTERS = 300


def measure_contracts(engine: sa.Engine, use_case: UseCase, as_of: datetime) -> list[HealthFinding]:
    """What the last ten ingests up to a moment (aware) brought."""
    runs = [run for run in list_ingests(engine, use_case, _RUNS) if run.as_of <= as_of]
    return judge_ingests(use_case.name, runs, find_interrupted_runs(engine, runs))


def judge_ingests(
    use_case_name: str, runs: Sequence[IngestRun], interrupted: set[str]
) -> list[HealthFinding]:
    """A finding for each run that failed or was interrupted since the last one that loaded, one for rows that
    the last load put into quarantine, and one when all is well. The newest run first; values count checks or
    rows."""
    findings: list[HealthFinding] = []
    for run in runs:
        moment = f"the ingest as of {run.as_of:%Y-%m-%d %H:%M} UTC"
        if run.status == "failed":
            broken, text = _describe_failure(run)
            findings.append(HealthFinding("contract", run.id, "error", f"{moment} failed: {text}", broken))
        elif run.id in interrupted:
            sentence = f"{moment} was interrupted; run it again: evergreen ingest-runs {use_case_name}"
            findings.append(HealthFinding("contract", run.id, "warning", sentence))
        elif run.status == "loaded":
            rejections = run.rows_rejected or 0
            if rejections:
                sentence = f"{moment} put {rejections:,} of {run.rows_in or 0:,} rows into quarantine"
                findings.append(HealthFinding("contract", run.id, "warning", sentence, rejections, 0.0))
            break
    return findings or [HealthFinding("contract", "", "ok", "the last ingest broke no check", 0.0, 0.0)]


def _describe_failure(run: IngestRun) -> tuple[float | None, str]:
    """How many checks were broken, and the first of them in words; or the error that ended the run."""
    if not run.report:
        return None, "it left no report"
    report = parse_run_report(run)
    if report.error:
        return None, report.error.strip().splitlines()[0][:_ERROR_CHARACTERS]
    failures = [
        f"{part}: {failure.column} {failure.check} in {failure.count:,} rows"
        for part, part_report in report.parts.items()
        for failure in part_report.failures
        if failure.severity == "error"
    ]
    if not failures:
        return 0.0, "its report names no broken check"
    rest = f" and {len(failures) - _MOST_TOLD} more" if len(failures) > _MOST_TOLD else ""
    return float(len(failures)), "; ".join(failures[:_MOST_TOLD]) + rest
