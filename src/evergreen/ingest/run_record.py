"""The record of an ingest while it is under way: how a run begins, how it fails, and the reports it keeps."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from evergreen.errors import EvergreenError, StoreUnreachable, ValidationFailed
from evergreen.hiding import hide_secrets
from evergreen.ingest import staging
from evergreen.ingest.input_notes import RunInputs, parse_run_inputs
from evergreen.ingest.inputs import Plan, parse_overrides, plan_inputs
from evergreen.ingest.loading.load import combine_digests
from evergreen.ingest.provenance import read_code_version
from evergreen.ingest.run_report import RunColumns, RunReport
from evergreen.moments import refuse_future
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.ingest_lock import hold_ingest_lock
from evergreen.store.records.ingest_run import (
    IngestRun,
    compute_ingest_id,
    find_ingest,
    find_last_load,
    start_ingest,
    update_ingest,
)
from evergreen.store.tables.create import create_tables
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_ingest_digest
from evergreen.usecases import load_use_case
from evergreen.validation.report import Report

if TYPE_CHECKING:
    from sqlalchemy import Engine

logger = logging.getLogger(__name__)

UNCHANGED_MESSAGE = (
    "every file is the one that was loaded before: there is nothing to do (--force reads it again)"
)


@dataclass(frozen=True)
class OpenIngest:
    """A run that has begun, with its plan.

    `former` is the run's record from before it began again, where it is a rerun.
    """

    use_case: UseCase
    database: Engine
    run: IngestRun
    plan: Plan
    former: IngestRun | None

    def same_as_before(self, inputs: RunInputs) -> bool:
        """Whether an earlier load of this very run read the same content."""
        if self.former is None or self.former.status != "loaded":
            return False
        return parse_run_inputs(self.former).list_contents() == inputs.list_contents()


@contextmanager
def open_ingest(
    settings: Settings, name: str, as_of: datetime, source: str, force: bool
) -> Iterator[OpenIngest]:
    """Begin the ingest of the use case `name` as of a moment: create missing tables, record the run and plan
    what it reads.

    The run's lock is held within the block; StoreError says so where another process holds it. Raises
    SettingsError for a future `as_of`, SourceError and its subclasses, SchemaMismatch, StoreUnreachable.
    """
    use_case = load_use_case(name, settings)
    refuse_future(as_of)
    parse_overrides(use_case, source, settings.sources.get(name, ""))
    database = get_engine(settings)
    apply_migrations(database)
    create_tables(database, use_case)
    # The record and the run's id have a signed address without its signature, which is new each time.
    recorded_source = hide_secrets(source)
    run_id = compute_ingest_id(use_case, as_of, recorded_source)
    with hold_ingest_lock(database, run_id, name):
        former = find_ingest(database, run_id)
        last = find_last_load(database, use_case, as_of)
        run = start_ingest(database, use_case, as_of, recorded_source)
        declaration = compute_ingest_digest(use_case)
        with record_failure(database, run):
            plan = plan_inputs(
                settings, use_case, database, run, source, last=last, declaration=declaration, force=force
            )
            if not plan.unchanged and plan.skips(run.id):
                # A rerun that reads anything reads all that it read before, so that its record is complete.
                plan = plan_inputs(
                    settings,
                    use_case,
                    database,
                    run,
                    source,
                    last=last,
                    declaration=declaration,
                    every_file=True,
                )
        yield OpenIngest(use_case, database, run, plan, former)


def record_unchanged_run(ingest: OpenIngest) -> None:
    """Record a run that found every file unchanged. The record of one that had loaded them itself stays."""
    former = ingest.former
    with ingest.database.begin() as connection:
        if former is not None and former.status == "loaded" and former.finished_at is not None:
            update_ingest(
                connection,
                ingest.run.id,
                status="loaded",
                started_at=to_naive_utc(former.started_at),
                finished_at=to_naive_utc(former.finished_at),
                seconds=former.seconds,
            )
        else:
            columns: RunColumns = {**RunReport().to_columns(), **build_provenance_columns(ingest.use_case)}
            update_ingest(
                connection,
                ingest.run.id,
                status="loaded",
                rows_in=0,
                rows_loaded=0,
                digest=combine_digests({}),
                inputs=ingest.plan.inputs.to_json(),
                **columns,
            )
    logger.info("%s as of %s: %s", ingest.run.use_case, ingest.run.as_of.isoformat(), UNCHANGED_MESSAGE)


@contextmanager
def record_failure(database: Engine, run: IngestRun) -> Iterator[dict[str, Report]]:
    """Record an error of the block in the run's record, delete the staged rows, and raise it again.

    Yields an empty dict that the block fills with its reports by part: when it raises ValidationFailed they
    are recorded in place of the error's text.
    """
    reports: dict[str, Report] = {}
    try:
        yield reports
    except Exception as error:
        if isinstance(error, ValidationFailed) and reports:
            report = RunReport(reports)
        else:
            text = error.message if isinstance(error, EvergreenError) else f"{type(error).__name__}: {error}"
            report = RunReport(error=text)
        # Where the store does not answer, the error that is raised says so.
        with suppress(StoreUnreachable), database.begin() as connection:
            update_ingest(connection, run.id, status="failed", **report.to_columns())
            staging.drop_staged_rows(connection, run.id)
        raise


def refuse_broken_parts(run: IngestRun, reports: Mapping[str, Report]) -> None:
    """Raise ValidationFailed when any part broke its contract."""
    if not all(report.ok for report in reports.values()):
        raise build_validation_error(run, reports)


def build_validation_error(run: IngestRun, reports: Mapping[str, Report]) -> ValidationFailed:
    """The error whose message has the reports of those parts that broke their contract."""
    return ValidationFailed(
        f"the data of {run.use_case} break its contract; nothing was loaded\n"
        + "\n\n".join(report.as_table() for report in reports.values() if not report.ok),
        hint="mend the source or the declaration, then run the ingest again for the same moment",
    )


def log_reports(reports: Mapping[str, Report]) -> None:
    """Write the reports to the log, which is the task's log in Airflow."""
    for report in reports.values():
        logger.log(logging.WARNING if report.failures else logging.INFO, "%s", report.as_table())


def build_provenance_columns(use_case: UseCase) -> RunColumns:
    """The columns of a run's record that name the declaration and the code which it ran with."""
    return RunColumns(declaration=compute_ingest_digest(use_case), code_version=read_code_version())
