"""The record of an ingest while it is under way: how it begins, how it fails, and what is told of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from evergreen.errors import EvergreenError, StoreUnreachable, ValidationFailed
from evergreen.hiding import hide_secrets
from evergreen.ingest.inputs import Inputs, Plan, parse_overrides, plan_inputs
from evergreen.ingest.provenance import read_code_version
from evergreen.moments import refuse_future
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_ingest_digest
from evergreen.usecases import load_use_case as load_use_case

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from evergreen.store.records.ingest_run import IngestRun
    from evergreen.validation.report import Report

log = logging.getLogger(__name__)

UNCHANGED_MESSAGE = (
    "every file is the one that was loaded before: there is nothing to do (--force reads it again)"
)

# Of an error in a run's record: a driver's tells its statement with all values.
_MOST_CHARACTERS = 4000


@dataclass(frozen=True)
class OpenIngest:
    """A run that has begun; `former` is its record of an earlier time, when it is a rerun."""

    use_case: UseCase
    database: Engine
    run: IngestRun
    plan: Plan
    former: IngestRun | None

    def same_as_before(self, inputs: Inputs) -> bool:
        """Whether an earlier load of this very run read the same content."""
        if self.former is None or self.former.status != "loaded":
            return False
        return _list_contents(self.former.inputs or {}) == _list_contents(inputs)


@contextmanager
def open_ingest(
    settings: Settings, name: str, as_of: datetime, source: str, force: bool
) -> Iterator[OpenIngest]:
    """Make the tables that are missing, record the run and open its sources. Within, nobody else is at work
    on this run: StoreError says so where another process is."""
    from evergreen.store.connection.database import get_engine
    from evergreen.store.records.ingest_lock import hold_ingest_lock
    from evergreen.store.records.ingest_run import (
        compute_ingest_id,
        find_ingest,
        find_last_load,
        start_ingest,
    )
    from evergreen.store.tables.create import create_tables
    from evergreen.store.tables.migrations import apply_migrations

    use_case = load_use_case(name, settings)
    refuse_future(as_of)
    parse_overrides(use_case, source, settings.sources.get(name, ""))
    database = get_engine(settings)
    apply_migrations(database)
    create_tables(database, use_case)
    # On record, and in the run's id, a signed address stands without its signature, which is new each time.
    recorded = hide_secrets(source)
    run_id = compute_ingest_id(use_case, as_of, recorded)
    with hold_ingest_lock(database, run_id, name):
        former = find_ingest(database, run_id)
        last = find_last_load(database, use_case, as_of)
        run = start_ingest(database, use_case, as_of, recorded)
        declaration = compute_ingest_digest(use_case)
        with record_failure(database, run):
            planned = plan_inputs(
                settings, use_case, database, run, source, last=last, declaration=declaration, force=force
            )
            if not planned.unchanged and planned.skips(run.id):
                # A rerun that reads anything reads all that it read before: its record stays whole.
                planned = plan_inputs(
                    settings,
                    use_case,
                    database,
                    run,
                    source,
                    last=last,
                    declaration=declaration,
                    every_file=True,
                )
        yield OpenIngest(use_case, database, run, planned, former)


def record_unchanged_run(begun: OpenIngest) -> dict[str, Any]:
    """Record a run that found every file unchanged. One that had loaded them itself stays as it was."""
    from evergreen.ingest.loading.load import combine_digests
    from evergreen.store.connection.times import to_naive_utc
    from evergreen.store.records.ingest_run import update_ingest

    former = begun.former
    with begun.database.begin() as connection:
        if former is not None and former.status == "loaded" and former.finished_at is not None:
            update_ingest(
                connection,
                begun.run.id,
                status="loaded",
                started_at=to_naive_utc(former.started_at),
                finished_at=to_naive_utc(former.finished_at),
                seconds=former.seconds,
            )
        else:
            update_ingest(
                connection,
                begun.run.id,
                status="loaded",
                rows_in=0,
                rows_loaded=0,
                rows_rejected=0,
                report={},
                digest=combine_digests({}),
                inputs=begun.plan.inputs,
                **build_provenance_fields(begun.use_case),
            )
    log.info("%s as of %s: %s", begun.run.use_case, begun.run.as_of.isoformat(), UNCHANGED_MESSAGE)
    return {"rows_loaded": 0, "unchanged": True, "said": UNCHANGED_MESSAGE}


@contextmanager
def record_failure(database: Engine, run: IngestRun) -> Iterator[dict[str, Report]]:
    """Record what goes wrong inside, and forget the staged rows. Yields where the reports belong."""
    from evergreen.ingest import staging
    from evergreen.store.records.ingest_run import update_ingest

    reports: dict[str, Report] = {}
    try:
        yield reports
    except Exception as error:
        judged = isinstance(error, ValidationFailed) and reports
        said = error.message if isinstance(error, EvergreenError) else f"{type(error).__name__}: {error}"
        record = build_report_fields(reports) if judged else {"report": {"error": said[:_MOST_CHARACTERS]}}
        # A store that does not answer is told by the error itself.
        with suppress(StoreUnreachable), database.begin() as connection:
            update_ingest(connection, run.id, status="failed", **record)
            staging.drop_staged_rows(connection, run.id)
        raise


def refuse_broken_parts(run: IngestRun, reports: Mapping[str, Report]) -> None:
    """Raise ValidationFailed when any part broke its contract."""
    if not all(report.ok for report in reports.values()):
        raise build_validation_error(run, list(reports.values()))


def build_validation_error(run: IngestRun, reports: list[Report]) -> ValidationFailed:
    """The error that tells those reports."""
    return ValidationFailed(
        f"the data of {run.use_case} break its contract; nothing was loaded\n"
        + "\n\n".join(report.as_table() for report in reports if not report.ok),
        hint="mend the source or the declaration, then run the ingest again for the same moment",
    )


def log_reports(reports: Mapping[str, Report]) -> None:
    """Print the reports into the log, which is the task's log in Airflow."""
    for report in reports.values():
        log.log(logging.WARNING if report.failures else logging.INFO, "%s", report.as_table())


def build_report_fields(reports: Mapping[str, Report]) -> dict[str, Any]:
    """What the run's record holds of the reports."""
    return {
        "report": {name: report.to_json() for name, report in reports.items()},
        "rows_rejected": sum(report.rejected for report in reports.values()),
    }


def build_provenance_fields(use_case: UseCase) -> dict[str, str]:
    """What the run's record holds of its maker: the declaration and the code."""
    return {"declaration": compute_ingest_digest(use_case), "code_version": read_code_version()}


def _list_contents(inputs: Inputs) -> dict[str, list[tuple[str, str]]]:
    return {part: [(e["name"], e["digest"]) for e in entries] for part, entries in inputs.items()}
