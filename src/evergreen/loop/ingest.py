"""The verb ingest: source → validate → feature store, for what the source had recorded by `as_of`.

`extract_source_rows` keeps the raw rows in MariaDB (`ingest_batch`), so that the next task may run on
another machine; `validate_staged_rows` judges them and `load_clean_rows` writes what is clean. `run_ingest`
does all three in one process, without keeping anything in between. Nothing is loaded unless every part
passes, and then all parts in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from evergreen.errors import StoreError
from evergreen.ingest.cleaning import PartCleaner, Progress, clean_readings, open_part_cleaners
from evergreen.ingest.future_rows import describe_future
from evergreen.ingest.inputs import Inputs
from evergreen.ingest.run_record import (
    build_provenance_fields,
    build_report_fields,
    build_validation_error,
    log_reports,
    open_ingest,
    record_failure,
    record_unchanged_run,
    refuse_broken_parts,
)
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case as load_use_case

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Engine

    from evergreen.ingest.loading.load import LoadedPart
    from evergreen.store.records.ingest_run import IngestRun
    from evergreen.validation.report import Report

_SAME_ROWS = "the sources gave the same rows as before: nothing changed"


def extract_source_rows(
    settings: Settings, use_case: str, as_of: datetime, source: str = "", *, force: bool = False
) -> dict[str, Any]:
    """Read every part's raw rows and keep them for `validate_staged_rows`.

    `source`: a file instead of the declared one, or "part=path,part=path". Files whose content was loaded
    before are not read again, unless `force`, which also asks databases for all that they hold. Makes the
    platform's and the use case's tables when they are missing. Returns {"ingest_run", "use_case", "as_of",
    "rows": {part: count}}, and {"rows_loaded": 0, "unchanged": True, "said": text} when there is nothing to
    read: then the run is over. Raises SourceError and its kind, SettingsError for a future `as_of`,
    SchemaMismatch, StoreUnreachable.
    """
    from evergreen.ingest import staging
    from evergreen.store.records.ingest_run import update_ingest

    with open_ingest(settings, use_case, as_of, source, force) as begun:
        database, run, inputs = begun.database, begun.run, begun.plan.inputs
        rows = dict.fromkeys(inputs, 0)
        if begun.plan.unchanged:
            return {**_identify_run(run), "rows": rows, **record_unchanged_run(begun)}
        with record_failure(database, run):
            with database.begin() as connection:
                staging.drop_staged_rows(connection, run.id)
                staging.drop_abandoned_rows(connection, use_case)
            for reading in begun.plan.readings:
                chunk = 0
                for batch in reading.batches():
                    chunk = staging.append_staged_rows(database, run.id, reading.number, chunk, batch)
                    for part in reading.parts:
                        rows[part] += batch.num_rows
            with database.begin() as connection:
                update_ingest(
                    connection, run.id, status="extracted", rows_in=sum(rows.values()), inputs=inputs
                )
        return {**_identify_run(run), "rows": rows}


def validate_staged_rows(settings: Settings, ingest_run: str) -> dict[str, Any]:
    """Check the raw rows against the contract; the report goes to the log and to the run's record.

    Returns {"ingest_run", "use_case", "as_of", "rows": {part: count}, "rejected", "held_back"}: the rows that
    may be loaded, those that broke a check where the contract lets the others load, those of the future.
    Raises ValidationFailed with a bounded report when any part breaks the contract; then nothing is loaded,
    and a second attempt raises the same.
    """
    from evergreen.store.connection.database import get_engine
    from evergreen.store.records.ingest_lock import hold_ingest_lock
    from evergreen.store.records.ingest_run import get_ingest, update_ingest
    from evergreen.validation.report import Report

    database = get_engine(settings)
    run = get_ingest(database, ingest_run)
    if run.status == "loaded":
        return {
            **_identify_run(run),
            "rows": {},
            "rejected": run.rows_rejected or 0,
            "held_back": _count_held_back(run),
        }
    if run.status == "failed" and "error" not in run.report:
        raise build_validation_error(run, [Report.from_json(told) for told in run.report.values()])
    declared = load_use_case(run.use_case, settings)
    inputs = _staged_inputs(run)
    with (
        hold_ingest_lock(database, run.id, run.use_case),
        record_failure(database, run) as reports,
        open_part_cleaners(
            declared, run.as_of, inputs, _estimate_usual_rows(database, declared, inputs)
        ) as works,
    ):
        clean_readings(works, inputs, _read_staged(database, run, inputs))
        reports |= {name: work.full_report() for name, work in works.items()}
        refuse_broken_parts(run, reports)
        with database.begin() as connection:
            update_ingest(
                connection, run.id, status="validated", inputs=inputs, **build_report_fields(reports)
            )
    log_reports(reports)
    return {
        **_identify_run(run),
        "rows": {name: report.kept for name, report in reports.items()},
        "rejected": sum(report.rejected for report in reports.values()),
        "held_back": sum(work.held_back for work in works.values()),
    }


def load_clean_rows(settings: Settings, ingest_run: str) -> dict[str, Any]:
    """Write the clean rows into the store, in one transaction.

    Returns {"ingest_run", "use_case", "as_of", "rows_in", "rows_loaded", "loaded": {part: count}, "rejected",
    "held_back"}, and "said" where all rows of a part lie after as_of; rows that the store knew already are
    not loaded again. Loading a loaded run tells the same and changes nothing. Raises ValidationFailed when a
    key is referred to that no other view has.
    """
    from evergreen.store.connection.database import get_engine
    from evergreen.store.records.ingest_lock import hold_ingest_lock
    from evergreen.store.records.ingest_run import get_ingest
    from evergreen.validation.report import Report

    database = get_engine(settings)
    run = get_ingest(database, ingest_run)
    if run.status == "loaded":
        return _summarize_run(run, {})
    if run.status != "validated":
        raise StoreError(
            f"ingest run {run.id} of {run.use_case} is {run.status}, not validated",
            hint="run its extract and validate steps first",
        )
    declared = load_use_case(run.use_case, settings)
    inputs = _staged_inputs(run)
    with (
        hold_ingest_lock(database, run.id, run.use_case),
        record_failure(database, run) as reports,
        open_part_cleaners(
            declared, run.as_of, inputs, _estimate_usual_rows(database, declared, inputs)
        ) as works,
    ):
        clean_readings(works, inputs, _read_staged(database, run, inputs))
        loaded = _load_and_judge(database, declared, run, inputs, works, reports)
    # What `validate_staged_rows` has told is not told again.
    log_reports({n: report for n, report in reports.items() if report != Report.from_json(run.report[n])})
    return _summarize_run(get_ingest(database, ingest_run), loaded)


def run_ingest(
    settings: Settings,
    use_case: str,
    as_of: datetime,
    source: str = "",
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """All three in one go, and nothing kept in between; what `load_clean_rows` returns.

    With {"unchanged": True, "said": text} when the same input was loaded before: then files are not read, and
    what a database gave again has changed nothing. `progress` is told (part, rows read so far).
    """
    from evergreen.store.records.ingest_run import get_ingest

    with open_ingest(settings, use_case, as_of, source, force) as begun:
        database, run, inputs = begun.database, begun.run, begun.plan.inputs
        if begun.plan.unchanged:
            nothing = {"rows_in": 0, "rows_loaded": 0, "loaded": {}, "rejected": 0, "held_back": 0}
            return {**_identify_run(run), **nothing, **record_unchanged_run(begun)}
        with (
            record_failure(database, run) as reports,
            open_part_cleaners(
                begun.use_case, as_of, inputs, _estimate_usual_rows(database, begun.use_case, inputs)
            ) as works,
        ):
            readings = ((reading.number, reading.batches()) for reading in begun.plan.readings)
            clean_readings(works, inputs, readings, progress)
            if not all(work.report().ok for work in works.values()):
                # Nothing will be loaded: the report may as well be complete.
                reports |= {name: work.full_report() for name, work in works.items()}
                refuse_broken_parts(run, reports)
            loaded = _load_and_judge(database, begun.use_case, run, inputs, works, reports)
        log_reports(reports)
        done = _summarize_run(get_ingest(database, run.id), loaded)
        if not any(each.changed for each in loaded.values()) and begun.same_as_before(inputs):
            done |= {"unchanged": True, "said": _SAME_ROWS}
        return done


def _load_and_judge(
    database: Engine,
    use_case: UseCase,
    run: IngestRun,
    inputs: Inputs,
    works: Mapping[str, PartCleaner],
    reports: dict[str, Report],
) -> Mapping[str, LoadedPart]:
    """Load all parts, judging once more with what only a load finds: repeated keys and broken references."""
    from evergreen.ingest.loading.load import load_parts as write

    outcome: dict[str, LoadedPart] = {}

    def judge(loaded: Mapping[str, LoadedPart]) -> dict[str, Any]:
        outcome.update(loaded)
        reports.update({name: work.report(loaded[name]) for name, work in works.items()})
        refuse_broken_parts(run, reports)
        for name, entries in inputs.items():
            for entry in entries:
                if entry.pop("staged", None) is not None and not entry["digest"]:
                    entry["digest"] = loaded[name].digest
        rows_in = sum(entry["rows"] for entries in inputs.values() for entry in entries)
        return {
            "rows_in": rows_in,
            "inputs": inputs,
            **build_report_fields(reports),
            **build_provenance_fields(use_case),
        }

    write(
        database,
        use_case,
        run.id,
        {name: work.spool for name, work in works.items()},
        rejected={name: work.rejected() for name, work in works.items()},
        judge=judge,
    )
    return outcome


def _estimate_usual_rows(database: Engine, use_case: UseCase, inputs: Inputs) -> dict[str, float | None]:
    """By part whose contract asks, how many rows its inputs that are read would usually have."""
    from evergreen.store.records.ingest_run import compute_usual_rows

    found: dict[str, float | None] = {}
    for name, part in use_case.parts.items():
        read = [entry for entry in inputs.get(name, []) if "staged" in entry]
        if part.contract.row_count is None or any("catch_up" in entry for entry in read):
            continue
        usual = compute_usual_rows(database, use_case, name)
        found[name] = None if usual is None else usual * len(read)
    return found


def _staged_inputs(run: IngestRun) -> Inputs:
    if run.status == "failed" or not run.inputs:
        raise _build_not_staged_error(run, "any part")
    return run.inputs


def _read_staged(
    database: Engine, run: IngestRun, inputs: Inputs
) -> Iterator[tuple[str, Iterator[pa.Table]]]:
    """The staged readings, each once: its number and its batches."""
    from evergreen.ingest import staging

    def batches(number: str, part: str) -> Iterator[pa.Table]:
        batch = None
        for batch in staging.read_staged_batches(database, run.id, number):
            yield batch
        if batch is None:
            raise _build_not_staged_error(run, part)

    entries = [
        (entry["staged"], part) for part, found in inputs.items() for entry in found if "staged" in entry
    ]
    for number, part in sorted(dict(reversed(entries)).items(), key=lambda item: int(item[0])):
        yield number, batches(number, part)


def _build_not_staged_error(run: IngestRun, part: str) -> StoreError:
    return StoreError(
        f"ingest run {run.id} of {run.use_case} has no staged rows of {part}",
        hint="run its extract step first",
    )


def _count_held_back(run: IngestRun) -> int:
    return sum(entry["held_back"] for entries in (run.inputs or {}).values() for entry in entries)


def _summarize_run(run: IngestRun, loaded: Mapping[str, LoadedPart]) -> dict[str, Any]:
    said = describe_future(run.inputs or {}, run.as_of)
    return {
        **_identify_run(run),
        "rows_in": run.rows_in,
        "rows_loaded": run.rows_loaded or 0,
        "loaded": {part: each.rows for part, each in loaded.items()},
        "rejected": run.rows_rejected or 0,
        "held_back": _count_held_back(run),
        **({"said": said} if said else {}),
    }


def _identify_run(run: IngestRun) -> dict[str, Any]:
    return {"ingest_run": run.id, "use_case": run.use_case, "as_of": run.as_of.isoformat()}
