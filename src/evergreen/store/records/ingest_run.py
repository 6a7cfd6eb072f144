"""Ingest runs: one row in MariaDB per (use case, as_of, source override)."""

from __future__ import annotations

import json
import statistics
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from evergreen.documents import JsonObject, read_document
from evergreen.errors import StoreError
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables import declared
from evergreen.store.tables.declared import INGESTED_AT
from evergreen.store.tables.platform import CATALOGUE_TABLES, INGEST_RUN
from evergreen.usecase import EVENT_TIME, TIMELESS, FeatureView, Label, UseCase

_NAMESPACE = uuid.UUID("8d0f5a1e-6a53-5f0e-9c55-0a4c1d6f7e21")

STATUSES = frozenset({"extracting", "extracted", "validated", "loaded", "failed"})

_JSON = {"report", "inputs"}
_MOMENTS = {"as_of", "interval_start", "started_at", "finished_at"}


@dataclass(frozen=True)
class _RecordedInput:
    """Of the notes on one input the number of rows read, and what keeps it from being a usual one: the id of
    the run that had loaded it before (`unchanged`), or that all rows of its database were asked for."""

    rows: int = 0
    unchanged: str | None = None
    catch_up: bool = False


@dataclass(frozen=True)
class IngestRun:
    """One row of `ingest_run`; moments are aware UTC.

    `report` is by part what validation said, or {"error": text}; `inputs` is by part what was read: the JSON
    of `ingest.run_report.RunReport` and `ingest.input_notes.RunInputs`, which read them.
    `digest` is of the clean rows; a run that has one has loaded at least once. `seconds` is from the start of
    extract to the end of load.
    """

    id: str
    use_case: str
    as_of: datetime
    interval_start: datetime
    source_override: str
    status: str
    rows_in: int | None
    rows_loaded: int | None
    rows_rejected: int | None
    report: JsonObject | None
    digest: str | None
    started_at: datetime
    finished_at: datetime | None
    inputs: JsonObject | None = None
    declaration: str | None = None
    code_version: str | None = None
    seconds: float | None = None


def compute_ingest_id(use_case: UseCase, as_of: datetime, override: str = "") -> str:
    """The id of the run for (use case, as_of, override)."""
    return str(uuid.uuid5(_NAMESPACE, f"{use_case.name}|{to_naive_utc(as_of).isoformat()}|{override}"))


def start_ingest(engine: sa.Engine, use_case: UseCase, as_of: datetime, override: str = "") -> IngestRun:
    """The run for (use case, as_of, override), made if new, set back to 'extracting' if not.

    Its interval begins (exclusively) at the as_of of the last loaded run before it, else in 1970; a rerun
    keeps the interval that it had, so that it reads the same rows.
    """
    run_id = compute_ingest_id(use_case, as_of, override)
    before = (
        sa.select(sa.func.max(INGEST_RUN.c.as_of))
        .where(INGEST_RUN.c.use_case == use_case.name, INGEST_RUN.c.status == "loaded")
        .where(INGEST_RUN.c.as_of < to_naive_utc(as_of))
    )
    with engine.begin() as connection:
        start = connection.execute(before).scalar() or to_naive_utc(TIMELESS)
        statement = sa.dialects.mysql.insert(INGEST_RUN).values(
            id=run_id,
            use_case=use_case.name,
            as_of=to_naive_utc(as_of),
            interval_start=start,
            source_override=override,
            status="extracting",
            started_at=sa.func.utc_timestamp(6),
        )
        statement = statement.on_duplicate_key_update(
            status="extracting", started_at=sa.func.utc_timestamp(6), finished_at=None
        )
        connection.execute(statement)
    return get_ingest(engine, run_id)


def has_earlier_rows(
    engine: sa.Engine, use_case: UseCase, part: FeatureView | Label, as_of: datetime
) -> bool:
    """Whether the part's table holds rows of an ingest before `as_of`; a rerun of `as_of` says the same."""
    table = (
        declared.build_label_table(use_case)
        if isinstance(part, Label)
        else declared.build_history_table(use_case, part)
    )
    earlier = sa.select(sa.literal(1)).where(table.c[INGESTED_AT] < to_naive_utc(as_of)).limit(1)
    with engine.connect() as connection:
        return connection.execute(earlier).first() is not None


def find_newest_event_time(
    engine: sa.Engine, use_case: UseCase, part: FeatureView | Label, as_of: datetime
) -> datetime | None:
    """The greatest event time (aware UTC) that the part's table knew and that was due as of a moment."""
    if isinstance(part, Label):
        table, due = declared.build_label_table(use_case), as_of - part.delay
    else:
        table, due = declared.build_history_table(use_case, part), as_of
    newest = sa.select(sa.func.max(table.c[EVENT_TIME]))
    newest = newest.where(
        table.c[EVENT_TIME] <= to_naive_utc(due), table.c[INGESTED_AT] <= to_naive_utc(as_of)
    )
    with engine.connect() as connection:
        moment = connection.execute(newest).scalar()
    return to_aware_utc(moment) if moment else None


def has_rows_of_run(engine: sa.Engine, use_case: UseCase, part: FeatureView | Label, run: IngestRun) -> bool:
    """Whether the part's table still is the one that `run` loaded into, and has some of its rows; for a run
    that loaded none, some of the rows that existed then."""
    table = (
        declared.build_label_table(use_case)
        if isinstance(part, Label)
        else declared.build_history_table(use_case, part)
    )
    moment, ingested = to_naive_utc(run.as_of), table.c[INGESTED_AT]
    own_rows = sa.select(sa.literal(1)).where(ingested == moment if run.rows_loaded else ingested <= moment)
    catalogue = CATALOGUE_TABLES.c
    creation = sa.select(catalogue.create_time).where(
        catalogue.table_schema == sa.func.database(), catalogue.table_name == table.name
    )
    with engine.connect() as connection:
        created = connection.execute(creation).scalar()
        if created is None or run.finished_at is None or to_aware_utc(created) > run.finished_at:
            return False
        if connection.execute(own_rows.limit(1)).first() is None:
            return False
        if isinstance(part, Label):
            return True
        # An empty online table is to be filled again.
        online = declared.build_online_table(use_case, part)
        return connection.execute(sa.select(sa.literal(1)).select_from(online).limit(1)).first() is not None


def get_ingest(engine: sa.Engine, run_id: str) -> IngestRun:
    """The run of that id. Raises StoreError when there is none."""
    run = find_ingest(engine, run_id)
    if run is None:
        raise StoreError(f"there is no ingest run {run_id!r}", hint="start with its extract step")
    return run


def find_ingest(engine: sa.Engine, run_id: str) -> IngestRun | None:
    """The run of that id, or None."""
    with engine.connect() as connection:
        result = connection.execute(sa.select(INGEST_RUN).where(INGEST_RUN.c.id == run_id))
        row = result.mappings().one_or_none()
    return None if row is None else _parse_run(row)


def list_ingests(engine: sa.Engine, use_case: UseCase, limit: int = 20) -> list[IngestRun]:
    """The last `limit` runs of a use case, the one that began last first."""
    statement = sa.select(INGEST_RUN).where(INGEST_RUN.c.use_case == use_case.name)
    statement = statement.order_by(INGEST_RUN.c.started_at.desc()).limit(limit)
    with engine.connect() as connection:
        return [_parse_run(row) for row in connection.execute(statement).mappings()]


def find_last_load(engine: sa.Engine, use_case: UseCase, as_of: datetime) -> IngestRun | None:
    """Of the runs that ever loaded, the one of the latest moment up to `as_of`; of one moment the last.

    Its status is not 'loaded' when it was begun again since.
    """
    statement = (
        sa.select(INGEST_RUN)
        .where(INGEST_RUN.c.use_case == use_case.name, INGEST_RUN.c.digest.is_not(None))
        .where(INGEST_RUN.c.as_of <= to_naive_utc(as_of))
        .order_by(INGEST_RUN.c.as_of.desc(), INGEST_RUN.c.started_at.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _parse_run(row)


def compute_usual_rows(engine: sa.Engine, use_case: UseCase, part: str, runs: int = 5) -> float | None:
    """The median of the rows that the last loaded runs read for a part, per file where there were several;
    None before there are any. The run that caught up on all that a database holds does not count."""
    statement = (
        sa.select(INGEST_RUN.c.inputs)
        .where(INGEST_RUN.c.use_case == use_case.name, INGEST_RUN.c.status == "loaded")
        .where(INGEST_RUN.c.inputs.is_not(None))
        .order_by(INGEST_RUN.c.as_of.desc())
        .limit(runs * 10)
    )
    counts: list[float] = []
    with engine.connect() as connection:
        for text in connection.execute(statement).scalars():
            parts = read_document(dict[str, list[_RecordedInput]], json.loads(text))
            inputs = [each for each in parts.get(part, []) if each.unchanged is None]
            if inputs and len(counts) < runs and not any(each.catch_up for each in inputs):
                counts.append(sum(each.rows for each in inputs) / len(inputs))
    return float(statistics.median(counts)) if counts else None


def update_ingest(connection: sa.Connection, run_id: str, **values: Any) -> None:
    """Change fields of a run within the caller's transaction; a final status also sets `finished_at` and
    `seconds`. Raises StoreError for a status that is none of `STATUSES`."""
    status = values.get("status")
    if status is not None and status not in STATUSES:
        raise StoreError(
            f"an ingest run cannot be {status!r}", hint=f"its states are {', '.join(sorted(STATUSES))}"
        )
    columns = {name: json.dumps(v) if name in _JSON and v is not None else v for name, v in values.items()}
    if status in ("loaded", "failed"):
        now = sa.func.utc_timestamp(6)
        columns.setdefault("finished_at", now)
        microseconds = sa.func.timestampdiff(sa.text("MICROSECOND"), INGEST_RUN.c.started_at, now)
        columns.setdefault("seconds", microseconds / 1e6)
    connection.execute(sa.update(INGEST_RUN).where(INGEST_RUN.c.id == run_id).values(**columns))


def _parse_run(row: sa.RowMapping) -> IngestRun:
    return IngestRun(**{name: _parse_value(name, value) for name, value in row.items()})


def _parse_value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _JSON:
        return json.loads(value)
    return to_aware_utc(value) if name in _MOMENTS else value
