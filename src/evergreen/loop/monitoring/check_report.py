"""A step of the verb monitor: the report of a check is made, kept in MariaDB, and attached to MLflow.

MariaDB's copy counts: MLflow may be away, and a later check then attaches what is missing.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import sqlalchemy as sa

from evergreen.documents import JsonObject
from evergreen.errors import RegistryError, RegistryUnreachable, SettingsError, StoreError
from evergreen.monitoring.report.build import build_check_report
from evergreen.monitoring.report.document import CheckReport
from evergreen.monitoring.report.read import read_check_records
from evergreen.pages.monitoring_report import render_monitoring_report
from evergreen.private import make_private_folder, write_private_file
from evergreen.registry.experiments.check_runs import PAGE_FILE, CheckRun, log_check_run
from evergreen.registry.experiments.experiment import format_run_address
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.checks.check_report import (
    AttachedRun,
    SavedReport,
    find_latest_check_report,
    list_unattached_reports,
    record_attached_run,
    save_check_report,
)
from evergreen.store.records.checks.drift import find_report
from evergreen.usecases import load_use_case

logger = logging.getLogger(__name__)

# The most reports that one check attaches: after a long absence of MLflow the newest ones.
_MOST_ATTACHED = 20
# Why a check has no report any more.
DROPPED = "its details were dropped because it is older than EVERGREEN_CHECK_DAYS"
# Severities as numbers, for MLflow's charts.
_LEVELS = {"none": 0.0, "unknown": 0.0, "warning": 1.0, "drift": 2.0}


class ReportResult(TypedDict):
    """What `publish_report` returns: the check's id and moment (ISO 8601), the severity, the report in a
    sentence, the address of its page in MLflow ("" where MLflow does not have it), the command that shows it
    without MLflow, and why MLflow does not have it."""

    check: str
    as_of: str
    severity: str
    summary: str
    address: str
    command: str
    notes: list[str]


@dataclass(frozen=True)
class KeptReport:
    """A report as MariaDB keeps it. `page` is its HTML, made of the document; `address` is that of the page
    in MLflow, "" where MLflow does not have it."""

    check: str
    as_of: datetime
    severity: str
    document: JsonObject
    address: str

    @property
    def page(self) -> str:
        """The report as one HTML page."""
        return render_monitoring_report(self.document)

    def read_document(self) -> CheckReport:
        """The document as dataclasses."""
        return CheckReport.from_json(self.document)


def publish_report(settings: Settings, use_case_name: str, as_of: datetime) -> ReportResult:
    """Make the report of the check of a moment, keep it, and attach it to a run of MLflow, with earlier ones
    that MLflow does not have.

    A second call makes it anew, for example with alerts that were sent since; of a check whose details were
    dropped nothing is made. MLflow's absence is noted, and fails nothing. Raises StoreError where no such
    check is on record, and StoreUnreachable.
    """
    database = get_engine(settings)
    apply_migrations(database)
    drift_report = find_report(database, use_case_name, as_of)
    if drift_report is None:
        raise StoreError(
            f"{use_case_name} has no check as of {as_of:%Y-%m-%d %H:%M:%S} UTC",
            hint=f"make it: evergreen run monitor {use_case_name} --as-of {as_of.isoformat()}",
        )
    command = f"evergreen report {use_case_name} --as-of {as_of.isoformat()}"
    if drift_report.pruned:
        return ReportResult(
            check=drift_report.id,
            as_of=as_of.isoformat(),
            severity=drift_report.severity,
            summary=drift_report.reason,
            address="",
            command=command,
            notes=[DROPPED],
        )
    use_case = load_use_case(use_case_name, settings)
    report = build_check_report(read_check_records(database, use_case, drift_report))
    record = save_check_report(
        database,
        check_id=report.check,
        use_case_name=use_case_name,
        as_of=as_of,
        severity=report.severity,
        document=report.to_json(),
        created_at=datetime.now(UTC),
    )
    attached, notes = _attach_reports(settings, database, record)
    address = _format_address(settings, attached)
    logger.info("report: %s", address or command)
    return ReportResult(
        check=report.check,
        as_of=as_of.isoformat(),
        severity=report.severity,
        summary=summarize_report(report),
        address=address,
        command=command,
        notes=notes,
    )


def find_kept_report(settings: Settings, use_case_name: str, until: datetime | None = None) -> KeptReport:
    """The newest report, or the newest of a check up to `until` (aware). MLflow is not asked.

    Raises StoreError where there is none, or where its document was dropped, and StoreUnreachable.
    """
    record = find_latest_check_report(get_engine(settings), use_case_name, until)
    if record is None:
        when = f" up to {until:%Y-%m-%d %H:%M} UTC" if until else " yet"
        raise StoreError(
            f"{use_case_name} has no monitoring report{when}",
            hint=f"a check makes one: evergreen run monitor {use_case_name}",
        )
    address = _format_address(settings, record.attached)
    if record.document is None:
        moment = record.as_of.strftime("%Y-%m-%dT%H:%M:%S")
        place = f"its page may still be in MLflow: {address}; " if address else ""
        raise StoreError(
            f"{use_case_name}'s check as of {record.as_of:%Y-%m-%d %H:%M} UTC has no report any more:"
            f" {DROPPED}",
            hint=f"{place}its decision and all inputs: evergreen decisions {use_case_name} --show {moment}",
        )
    return KeptReport(record.check_id, record.as_of, record.severity, record.document, address)


def save_report_file(report: KeptReport, path: Path) -> None:
    """Write the report to a file: the page to `*.html`, the document to `*.json`.

    Raises SettingsError for another suffix, and for a file that cannot be written.
    """
    if path.suffix not in (".html", ".json"):
        raise SettingsError(f"{path.name} is neither a page nor a document", hint="name it *.html or *.json")
    text = report.page if path.suffix == ".html" else json.dumps(report.document, indent=1) + "\n"
    try:
        write_private_file(path, text, keep_mode=True)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {error.strerror}", hint="give a file in a folder of yours"
        ) from error


def save_page_in_home(settings: Settings, use_case_name: str, report: KeptReport) -> Path:
    """Write the page to `reports/` in the home, in place of the use case's former one; its path.

    Raises SettingsError where it cannot be written.
    """
    folder = settings.home / "reports"
    try:
        make_private_folder(folder)
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be made: {error.strerror}", hint="save the page elsewhere: --output FILE.html"
        ) from error
    path = folder / f"{use_case_name}.html"
    save_report_file(report, path)
    return path


def summarize_report(report: CheckReport) -> str:
    """A report in a sentence: how many features drifted, since when, and what was decided."""
    decision = report.decision
    decided = f"; retrain: {decision.reason}" if decision else "; not decided"
    since = f" since {report.since:%Y-%m-%d %H:%M} UTC" if report.since else ""
    if report.severity == "unknown":
        return report.reason + decided
    drifted = len(report.drifted_features)
    return f"{report.severity}: {drifted} of {len(report.features)} features drifted{since}{decided}"


def _attach_reports(
    settings: Settings, database: sa.Engine, saved: SavedReport
) -> tuple[AttachedRun | None, list[str]]:
    """Attach a report, also one that was attached before it was made anew, and earlier ones that are not yet;
    its run, and what hindered in words."""
    waiting = list_unattached_reports(database, saved.use_case, _MOST_ATTACHED)
    attached = saved.attached
    notes: list[str] = []
    for each in (saved, *(other for other in waiting if other.check_id != saved.check_id)):
        try:
            run = AttachedRun(*log_check_run(settings, _build_check_run(each)))
        except RegistryError as error:
            which = f"the report as of {each.as_of:%Y-%m-%d %H:%M} UTC"
            notes.append(f"{which} is not in MLflow yet, a later check attaches it: {error.message}")
            logger.warning("%s", notes[-1])
            if isinstance(error, RegistryUnreachable):
                break
            continue  # MLflow refused this one, which says nothing about the others
        record_attached_run(database, each.check_id, run)
        if each.check_id == saved.check_id:
            attached = run
    return attached, notes


def _build_check_run(saved: SavedReport) -> CheckRun:
    assert saved.document is not None
    report = CheckReport.from_json(saved.document)
    decision = report.decision
    decided = "undecided" if decision is None else "retrain" if decision.retrain else "no"
    return CheckRun(
        use_case=saved.use_case,
        check_id=saved.check_id,
        as_of=saved.as_of,
        metrics=_list_metrics(report),
        tags={
            "evergreen.use_case": saved.use_case,
            "evergreen.as_of": saved.as_of.isoformat(),
            "evergreen.model_version": str(report.model_version),
            "evergreen.severity": report.severity,
            "evergreen.decision": decided,
            "evergreen.reason": decision.reason if decision else report.reason,
        },
        note=f"{summarize_report(report)}\n\nThe report is the artifact {PAGE_FILE}.",
        page=render_monitoring_report(saved.document),
        document=saved.document,
    )


def _list_metrics(report: CheckReport) -> dict[str, float]:
    """The figures of a check that MLflow charts."""
    quality = report.quality
    metrics: dict[str, float | None] = {
        "severity": _LEVELS.get(report.severity, 0.0),
        "predictions": float(report.rows),
        "features_drifted": float(len(report.drifted_features)),
        "retrain": None if report.decision is None else float(report.decision.retrain),
        **{f"psi.{feature.feature}": feature.psi for feature in report.features},
        "psi.prediction": report.prediction.psi if report.prediction else None,
    }
    if quality is not None:
        metrics[f"realised.{quality.metric}"] = quality.value
        metrics[f"estimated.{quality.metric}"] = quality.estimate
        metrics["outcomes"] = float(quality.rows)
    return {name: value for name, value in metrics.items() if value is not None}


def _format_address(settings: Settings, attached: AttachedRun | None) -> str:
    if attached is None:
        return ""
    return format_run_address(settings, attached.experiment_id, attached.run_id, PAGE_FILE)
