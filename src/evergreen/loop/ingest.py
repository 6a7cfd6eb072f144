"""The verb ingest: rows that the sources had recorded by a moment are checked and loaded into the store.

It has three steps, one per Airflow task. `extract_source_rows` stages the raw rows in MariaDB (table
`ingest_batch`), so that the next task may run on another machine; `validate_staged_rows` checks them against
the data contract; `load_clean_rows` writes the clean ones. `run_ingest` does all three in one process without
staging. Nothing is loaded unless every part (feature view or label) passes its checks, and then all parts are
loaded in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from evergreen.errors import StoreError
from evergreen.ingest import staging
from evergreen.ingest.cleaning import PartCleaner, ProgressCallback, clean_readings, open_part_cleaners
from evergreen.ingest.future_rows import describe_future
from evergreen.ingest.input_notes import RunInputs, parse_run_inputs
from evergreen.ingest.loading.load import LoadedPart, load_parts
from evergreen.ingest.run_record import (
    UNCHANGED_MESSAGE,
    build_provenance_columns,
    build_validation_error,
    log_reports,
    open_ingest,
    record_failure,
    record_unchanged_run,
    refuse_broken_parts,
)
from evergreen.ingest.run_report import RunColumns, RunReport, parse_run_report
from evergreen.loop.ingest_results import ExtractResult, LoadResult, RunIdentity, ValidateResult
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.ingest_lock import hold_ingest_lock
from evergreen.store.records.ingest_run import IngestRun, compute_usual_rows, get_ingest, update_ingest
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case
from evergreen.validation.report import Report

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Engine

_SAME_ROWS = "the sources gave the same rows as before: nothing changed"


def extract_source_rows(
    settings: Settings, use_case_name: str, as_of: datetime, source: str = "", *, force: bool = False
) -> ExtractResult:
    """Read every part's raw rows and stage them for `validate_staged_rows`.

    `source`: a file instead of the declared one, or "part=path,part=path". Files whose content was loaded
    before are not read again, unless `force`, which also asks databases for all rows that they hold. Creates
    the tables of the platform and of the use case where they are missing. Raises SourceError and its
    subclasses, SettingsError for a future `as_of`, SchemaMismatch, StoreUnreachable.
    """
    with open_ingest(settings, use_case_name, as_of, source, force) as ingest:
        database, run, inputs = ingest.database, ingest.run, ingest.plan.inputs
        rows = dict.fromkeys(inputs.parts, 0)
        if ingest.plan.unchanged:
            record_unchanged_run(ingest)
            return ExtractResult(
                **_identify_run(run), rows=rows, rows_loaded=0, unchanged=True, said=UNCHANGED_MESSAGE
            )
        with record_failure(database, run):
            with database.begin() as connection:
                staging.drop_staged_rows(connection, run.id)
                staging.drop_abandoned_rows(connection, use_case_name)
            for reading in ingest.plan.readings:
                chunk = 0
                for batch in reading.batches():
                    chunk = staging.append_staged_rows(database, run.id, reading.number, chunk, batch)
                    for part in reading.parts:
                        rows[part] += batch.num_rows
            with database.begin() as connection:
                update_ingest(
                    connection,
                    run.id,
                    status="extracted",
                    rows_in=sum(rows.values()),
                    inputs=inputs.to_json(),
                )
        return ExtractResult(ingest_run=run.id, use_case=run.use_case, as_of=run.as_of.isoformat(), rows=rows)


def validate_staged_rows(settings: Settings, ingest_run: str) -> ValidateResult:
    """Check the staged rows of a run against the contract; the report goes to the log and to the run's
    record.

    Raises ValidationFailed with a bounded report when any part breaks the contract; then nothing is loaded,
    and a second attempt raises the same.
    """
    database = get_engine(settings)
    run = get_ingest(database, ingest_run)
    if run.status == "loaded":
        held_back = parse_run_inputs(run).held_back
        return ValidateResult(
            **_identify_run(run), rows={}, rejected=run.rows_rejected or 0, held_back=held_back
        )
    if run.status == "failed":
        former_report = parse_run_report(run)
        if not former_report.error:
            raise build_validation_error(run, former_report.parts)
    use_case = load_use_case(run.use_case, settings)
    inputs = _get_staged_inputs(run)
    usual_rows = _estimate_usual_rows(database, use_case, inputs)
    with (
        hold_ingest_lock(database, run.id, run.use_case),
        record_failure(database, run) as reports,
        open_part_cleaners(use_case, run.as_of, inputs, usual_rows) as cleaners,
    ):
        inputs = clean_readings(cleaners, inputs, _read_staged_readings(database, run, inputs))
        reports |= {name: cleaner.build_full_report() for name, cleaner in cleaners.items()}
        refuse_broken_parts(run, reports)
        report = RunReport(reports)
        with database.begin() as connection:
            update_ingest(
                connection, run.id, status="validated", inputs=inputs.to_json(), **report.to_columns()
            )
    log_reports(reports)
    return ValidateResult(
        **_identify_run(run),
        rows={name: part.kept for name, part in reports.items()},
        rejected=report.rejected,
        held_back=sum(cleaner.held_back for cleaner in cleaners.values()),
    )


def load_clean_rows(settings: Settings, ingest_run: str) -> LoadResult:
    """Write the clean rows of a validated run into the store, in one transaction.

    Rows that the store has already are not loaded again. For a loaded run it returns the recorded result and
    changes nothing. Raises ValidationFailed for keys that a reference does not find, StoreError for a run
    that was not validated.
    """
    database = get_engine(settings)
    run = get_ingest(database, ingest_run)
    if run.status == "loaded":
        return _summarize_run(run, {})
    if run.status != "validated":
        raise StoreError(
            f"ingest run {run.id} of {run.use_case} is {run.status}, not validated",
            hint="run its extract and validate steps first",
        )
    use_case = load_use_case(run.use_case, settings)
    inputs = _get_staged_inputs(run)
    usual_rows = _estimate_usual_rows(database, use_case, inputs)
    with (
        hold_ingest_lock(database, run.id, run.use_case),
        record_failure(database, run) as reports,
        open_part_cleaners(use_case, run.as_of, inputs, usual_rows) as cleaners,
    ):
        inputs = clean_readings(cleaners, inputs, _read_staged_readings(database, run, inputs))
        loaded_parts, _ = _load_and_judge(database, use_case, run, inputs, cleaners, reports)
    # Reports that `validate_staged_rows` logged are not logged again.
    logged_reports = parse_run_report(run).parts
    log_reports({name: report for name, report in reports.items() if report != logged_reports[name]})
    return _summarize_run(get_ingest(database, ingest_run), loaded_parts)


def run_ingest(
    settings: Settings,
    use_case_name: str,
    as_of: datetime,
    source: str = "",
    *,
    force: bool = False,
    progress: ProgressCallback | None = None,
) -> LoadResult:
    """Extract, validate and load in one process, without staging rows.

    The result has `unchanged` and `said` when the same input was loaded before: then files are not read, and
    the rows that a database gave again have changed nothing. `progress` is called with a part and the number
    of its rows so far. Raises what the three steps raise.
    """
    with open_ingest(settings, use_case_name, as_of, source, force) as ingest:
        database, run, inputs = ingest.database, ingest.run, ingest.plan.inputs
        if ingest.plan.unchanged:
            record_unchanged_run(ingest)
            return LoadResult(
                **_identify_run(run),
                rows_in=0,
                rows_loaded=0,
                loaded={},
                rejected=0,
                held_back=0,
                unchanged=True,
                said=UNCHANGED_MESSAGE,
            )
        usual_rows = _estimate_usual_rows(database, ingest.use_case, inputs)
        with (
            record_failure(database, run) as reports,
            open_part_cleaners(ingest.use_case, as_of, inputs, usual_rows) as cleaners,
        ):
            readings = ((reading.number, reading.batches()) for reading in ingest.plan.readings)
            inputs = clean_readings(cleaners, inputs, readings, progress)
            if not all(cleaner.build_report().ok for cleaner in cleaners.values()):
                # Nothing will be loaded, so the checks that a load would make are made here.
                reports |= {name: cleaner.build_full_report() for name, cleaner in cleaners.items()}
                refuse_broken_parts(run, reports)
            loaded_parts, inputs = _load_and_judge(database, ingest.use_case, run, inputs, cleaners, reports)
        log_reports(reports)
        result = _summarize_run(get_ingest(database, run.id), loaded_parts)
        if not any(part.changed for part in loaded_parts.values()) and ingest.same_as_before(inputs):
            result["unchanged"] = True
            result["said"] = _SAME_ROWS
        return result


def _load_and_judge(
    database: Engine,
    use_case: UseCase,
    run: IngestRun,
    inputs: RunInputs,
    cleaners: Mapping[str, PartCleaner],
    reports: dict[str, Report],
) -> tuple[Mapping[str, LoadedPart], RunInputs]:
    """Load all parts; return their outcomes and the notes on the inputs as they are after the load.

    Before the load is committed, `reports` gets each part's report with the checks that only a load can make:
    repeated keys and broken references. Raises ValidationFailed when any of them is an error.
    """
    loaded_parts: dict[str, LoadedPart] = {}

    def judge(parts: Mapping[str, LoadedPart]) -> RunColumns:
        loaded_parts.update(parts)
        reports.update({name: cleaner.build_report(parts[name]) for name, cleaner in cleaners.items()})
        refuse_broken_parts(run, reports)
        return {
            "rows_in": inputs.rows,
            "inputs": _mark_loaded(inputs, parts).to_json(),
            **RunReport(reports).to_columns(),
            **build_provenance_columns(use_case),
        }

    load_parts(
        database,
        use_case,
        run.id,
        {name: cleaner.sorter for name, cleaner in cleaners.items()},
        rejected={name: cleaner.read_rejected_rows() for name, cleaner in cleaners.items()},
        judge=judge,
    )
    return loaded_parts, _mark_loaded(inputs, loaded_parts)


def _mark_loaded(inputs: RunInputs, loaded_parts: Mapping[str, LoadedPart]) -> RunInputs:
    return inputs.mark_loaded({name: part.digest for name, part in loaded_parts.items()})


def _estimate_usual_rows(database: Engine, use_case: UseCase, inputs: RunInputs) -> dict[str, float | None]:
    """By part whose contract limits the number of rows: how many its inputs usually have, None before that is
    known. Parts that ask a database for all of its rows are left out."""
    usual_rows: dict[str, float | None] = {}
    for name, part in use_case.parts.items():
        notes = inputs.list_read_notes(name)
        if part.contract.row_count is None or any(note.catch_up for note in notes):
            continue
        rows_per_input = compute_usual_rows(database, use_case, name)
        usual_rows[name] = None if rows_per_input is None else rows_per_input * len(notes)
    return usual_rows


def _get_staged_inputs(run: IngestRun) -> RunInputs:
    """The notes of a run whose rows are staged. Raises StoreError when they are not."""
    if run.status == "failed" or not run.inputs:
        raise _build_not_staged_error(run, "any part")
    return parse_run_inputs(run)


def _read_staged_readings(
    database: Engine, run: IngestRun, inputs: RunInputs
) -> Iterator[tuple[str, Iterator[pa.Table]]]:
    """The staged readings in the order of their numbers, each once: its number and its batches."""

    def read_batches(number: str, part: str) -> Iterator[pa.Table]:
        batch = None
        for batch in staging.read_staged_batches(database, run.id, number):
            yield batch
        if batch is None:
            raise _build_not_staged_error(run, part)

    # Error messages name the first part that needs a reading.
    first_parts: dict[str, str] = {}
    for part, notes in inputs.parts.items():
        for note in notes:
            if note.staged is not None:
                first_parts.setdefault(note.staged, part)
    for number in sorted(first_parts, key=int):
        yield number, read_batches(number, first_parts[number])


def _build_not_staged_error(run: IngestRun, part: str) -> StoreError:
    return StoreError(
        f"ingest run {run.id} of {run.use_case} has no staged rows of {part}",
        hint="run its extract step first",
    )


def _summarize_run(run: IngestRun, loaded_parts: Mapping[str, LoadedPart]) -> LoadResult:
    """The result of a loaded run, from its record and from what its load returned."""
    inputs = parse_run_inputs(run)
    result = LoadResult(
        ingest_run=run.id,
        use_case=run.use_case,
        as_of=run.as_of.isoformat(),
        rows_in=run.rows_in,
        rows_loaded=run.rows_loaded or 0,
        loaded={name: part.rows for name, part in loaded_parts.items()},
        rejected=run.rows_rejected or 0,
        held_back=inputs.held_back,
    )
    if message := describe_future(inputs, run.as_of):
        result["said"] = message
    return result


def _identify_run(run: IngestRun) -> RunIdentity:
    return RunIdentity(ingest_run=run.id, use_case=run.use_case, as_of=run.as_of.isoformat())
