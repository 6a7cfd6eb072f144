"""The verb ingest: source → validate → feature store, for what the source had recorded by `as_of`.

`extract` keeps the raw rows in MariaDB (`ingest_batch`), so that the next task may run on another machine.
Nothing is loaded unless every part passes, and then all parts are loaded in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from evergreen.errors import EvergreenError, SourceError, StoreError, ValidationFailed
from evergreen.loop import refuse_future
from evergreen.settings import Settings
from evergreen.usecase import TIMELESS, FeatureView, FileSource, Label, UseCase
from evergreen.usecases import load as load_use_case

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Engine

    from evergreen.store.runs import IngestRun
    from evergreen.validation.report import Report


def extract(settings: Settings, use_case: str, as_of: datetime, source: str = "") -> dict[str, Any]:
    """Read every part's raw rows and keep them for `validate`; `source`: a file instead of the declared one.

    Makes the platform's and the use case's tables when they are missing. Returns {"ingest_run", "use_case",
    "as_of", "rows": {part: count}}. Raises SourceError and its kind, SettingsError for a future `as_of`,
    SchemaMismatch, StoreUnreachable.
    """
    from evergreen.sources.read import read
    from evergreen.store import staging
    from evergreen.store.database import engine
    from evergreen.store.migrations import migrate
    from evergreen.store.runs import knew_before, start_ingest, update_ingest
    from evergreen.store.tables import create_tables

    declared = load_use_case(use_case, settings)
    refuse_future(as_of)
    _refuse_one_file_for_many(declared, source or settings.sources.get(use_case, ""))
    database = engine(settings)
    migrate(database)
    create_tables(database, declared)
    run = start_ingest(database, declared, as_of, source)
    rows: dict[str, int] = {}
    frames: dict[Any, pd.DataFrame] = {}
    try:
        for name, part in _parts(declared):
            # A part whose table is new, or was made again, has all of its source to catch up on.
            start = run.interval_start if knew_before(database, declared, part, as_of) else TIMELESS
            wanted = (part.source, start)
            # Two parts of one source read it once.
            if wanted not in frames:
                frames[wanted] = read(
                    part.source, settings, use_case, start=start, end=as_of, override=source
                )
            rows[name] = len(frames[wanted])
            staging.put(database, run.id, _raw(name), frames[wanted])
    except EvergreenError as error:
        _fail(database, run, {"error": error.message})
        raise
    with database.begin() as connection:
        update_ingest(connection, run.id, status="extracted", rows_in=sum(rows.values()))
    return {**_named(run), "rows": rows}


def validate(settings: Settings, ingest_run: str) -> dict[str, Any]:
    """Check the raw rows against the contract and keep the clean ones for `load`.

    Returns {"ingest_run", "use_case", "as_of", "rows": {part: count}, "rejected": count}. Raises
    ValidationFailed with a bounded report when any part breaks the contract; then nothing is loaded, and a
    second attempt raises the same.
    """
    from evergreen.store import staging
    from evergreen.store.database import engine
    from evergreen.store.runs import get_ingest, update_ingest
    from evergreen.validation.contract import validate as check
    from evergreen.validation.report import Report

    database = engine(settings)
    run = get_ingest(database, ingest_run)
    if run.status == "loaded":
        return {**_named(run), "rows": {}, "rejected": run.rows_rejected or 0}
    if run.status == "failed" and "error" not in run.report:
        raise _broken(run, [Report.from_json(told) for told in run.report.values()])
    declared = load_use_case(run.use_case, settings)
    reports: dict[str, Report] = {}
    rows: dict[str, int] = {}
    rejected = 0
    for name, part in _parts(declared):
        frame, report = check(declared, part, _staged(database, run, _raw(name)))
        reports[name] = report
        if report.ok:
            known = _true_by(frame, part, run.as_of)
            rows[name] = len(known)
            rejected += report.rows - len(known)
            staging.put(database, run.id, name, known)
    told = {name: report.to_json() for name, report in reports.items()}
    if not all(report.ok for report in reports.values()):
        _fail(database, run, told)
        raise _broken(run, list(reports.values()))
    with database.begin() as connection:
        update_ingest(connection, run.id, status="validated", rows_rejected=rejected, report=told)
    return {**_named(run), "rows": rows, "rejected": rejected}


def load(settings: Settings, ingest_run: str) -> dict[str, Any]:
    """Write the clean rows into the store, in one transaction.

    Returns {"ingest_run", "use_case", "as_of", "rows_in", "rows_loaded", "loaded": {part: count}}; rows that
    the store knew already are not loaded again. Loading a loaded run tells the same and changes nothing.
    """
    from evergreen.store.database import engine
    from evergreen.store.ingest import load as write
    from evergreen.store.runs import get_ingest

    database = engine(settings)
    run = get_ingest(database, ingest_run)
    loaded: dict[str, int] = {}
    if run.status != "loaded":
        if run.status != "validated":
            raise StoreError(
                f"ingest run {run.id} of {run.use_case} is {run.status}, not validated",
                hint="run its extract and validate steps first",
            )
        declared = load_use_case(run.use_case, settings)
        frames = {name: _staged(database, run, name) for name, _ in _parts(declared)}
        loaded = write(database, declared, run.id, frames)
        run = get_ingest(database, ingest_run)
    return {**_named(run), "rows_in": run.rows_in, "rows_loaded": run.rows_loaded or 0, "loaded": loaded}


def run(settings: Settings, use_case: str, as_of: datetime, source: str = "") -> dict[str, Any]:
    """All three in order; what `load` returns, and how many rows were rejected."""
    ingest_run = extract(settings, use_case, as_of, source)["ingest_run"]
    rejected = validate(settings, ingest_run)["rejected"]
    return {**load(settings, ingest_run), "rejected": rejected}


def _parts(use_case: UseCase) -> Iterator[tuple[str, FeatureView | Label]]:
    from evergreen.store.ingest import LABEL

    for view in use_case.views:
        yield view.name, view
    yield LABEL, use_case.label


def _refuse_one_file_for_many(use_case: UseCase, given: str) -> None:
    """Raise SourceError if `given` would be read as each of several declared files."""
    files = sorted({p.source.path for _, p in _parts(use_case) if isinstance(p.source, FileSource)})
    if given and len(files) > 1:
        raise SourceError(
            f"{given} cannot take the place of the {len(files)} files of {use_case.name}"
            f" ({', '.join(files)})",
            hint="leave --source and EVERGREEN_SOURCES empty; put the files where they are declared",
        )


def _broken(run: IngestRun, reports: list[Report]) -> ValidationFailed:
    return ValidationFailed(
        f"the data of {run.use_case} break its contract; nothing was loaded\n"
        + "\n\n".join(report.as_table() for report in reports if not report.ok),
        hint="mend the source or the declaration, then run the ingest again for the same moment",
    )


def _raw(part: str) -> str:
    return f"raw:{part}"


def _staged(database: Engine, run: IngestRun, part: str) -> pd.DataFrame:
    from evergreen.store import staging

    frame = staging.get(database, run.id, part)
    if frame is None:
        raise StoreError(
            f"ingest run {run.id} of {run.use_case} has no staged rows of {part.removeprefix(_raw(''))}",
            hint="run its extract step first",
        )
    return frame


def _true_by(frame: pd.DataFrame, part: FeatureView | Label, as_of: datetime) -> pd.DataFrame:
    """Without what a file already holds of the time after `as_of`: another run reads the file again for it.

    A database is asked for what it had recorded by `as_of`, and never asked for it again, so all of it stays.
    """
    if not isinstance(part.source, FileSource) or part.event_time is None:
        return frame
    delay = part.delay if isinstance(part, Label) else None
    known = frame["event_time"] <= (as_of - delay if delay else as_of)
    return frame[known].reset_index(drop=True)


def _fail(database: Engine, run: IngestRun, report: dict[str, Any]) -> None:
    """Record the failure and forget the staged rows."""
    from evergreen.store import staging
    from evergreen.store.runs import update_ingest

    with database.begin() as connection:
        update_ingest(connection, run.id, status="failed", report=report)
        staging.drop(connection, run.id)


def _named(run: IngestRun) -> dict[str, Any]:
    return {"ingest_run": run.id, "use_case": run.use_case, "as_of": run.as_of.isoformat()}
