"""Erases a use case from the store: for a demo that is to be run again, and for `evergreen drop`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.tables.declared import build_tables
from evergreen.store.tables.platform import (
    ALERT,
    CATALOGUE_TABLES,
    CHECK_REPORT,
    DRIFT_METRIC,
    DRIFT_REPORT,
    ERROR_PROFILE,
    GENERATED_TABLE_MIGRATION,
    HEALTH_FINDING,
    INGEST_BATCH,
    INGEST_RUN,
    MODEL_RECORD,
    MODEL_TRIAL,
    PREDICTION_COUNT,
    PREDICTION_HOUR,
    QUALITY_METRIC,
    QUARANTINE,
    REFERENCE_PROFILE,
    REFUSED_COUNT,
    RETIRED_COLUMN,
    RETRAIN_DECISION,
    STORE_STATE,
    TRAINING_RUN,
)
from evergreen.usecase import UseCase

# Platform tables with a column `use_case`; ingest_batch and quarantine refer to ingest_run. The ledger is not
# among them: nothing is ever deleted there.
_RECORDS = (
    INGEST_RUN,
    TRAINING_RUN,
    REFERENCE_PROFILE,
    MODEL_RECORD,
    MODEL_TRIAL,
    DRIFT_REPORT,
    DRIFT_METRIC,
    RETRAIN_DECISION,
    CHECK_REPORT,
    HEALTH_FINDING,
    ALERT,
    REFUSED_COUNT,
    QUALITY_METRIC,
    ERROR_PROFILE,
    PREDICTION_HOUR,
    PREDICTION_COUNT,
)


@dataclass(frozen=True)
class PastRun:
    """An ingest or a training on record, as of a moment (aware UTC).

    `source`: the file that an ingest read instead of its declared sources, "" for none. `trigger`: what led
    to a training, "" where that is not on record; "" for an ingest.
    """

    kind: Literal["ingest", "training"]
    as_of: datetime
    source: str = ""
    trigger: str = ""


def is_empty(engine: sa.Engine, use_case: UseCase) -> bool:
    """Whether the store holds neither rows nor runs, reports or predictions of a use case.

    Counts of refused requests do not matter: in containers a service runs, and counts, before there is
    anything else.
    """
    if holds_rows(engine, use_case):
        return False
    statements = [
        sa.select(sa.literal(1)).select_from(table).where(table.c.use_case == use_case.name).limit(1)
        for table in _RECORDS
        if table is not REFUSED_COUNT
    ]
    with engine.connect() as connection:
        return not any(execute_if_table_exists(connection, statement) for statement in statements)


def holds_rows(engine: sa.Engine, use_case: UseCase) -> bool:
    """Whether the use case's own tables hold rows: features, labels or predictions."""
    statements = [sa.select(sa.literal(1)).select_from(table).limit(1) for table in build_tables(use_case)]
    with engine.connect() as connection:
        return any(execute_if_table_exists(connection, statement) for statement in statements)


def list_past_runs(engine: sa.Engine, use_case: UseCase) -> list[PastRun]:
    """The ingests and then the trainings of a use case that are on record, each in the order of moments."""
    ingests, trainings = INGEST_RUN.c, TRAINING_RUN.c
    ingest_columns = sa.select(ingests.as_of, ingests.source_override).order_by(ingests.as_of)
    training_columns = sa.select(trainings.as_of, trainings.trigger_name).order_by(trainings.as_of)
    with engine.connect() as connection:
        ingest_rows = connection.execute(ingest_columns.where(ingests.use_case == use_case.name)).all()
        training_rows = connection.execute(training_columns.where(trainings.use_case == use_case.name)).all()
    return [
        *(PastRun("ingest", to_aware_utc(as_of), source=source) for as_of, source in ingest_rows),
        *(PastRun("training", to_aware_utc(as_of), trigger=name or "") for as_of, name in training_rows),
    ]


def find_known_use_cases(engine: sa.Engine) -> set[str]:
    """The names of the use cases of which the platform's own tables have records."""
    names: set[str] = set()
    with engine.connect() as connection:
        for record in _RECORDS:
            rows = execute_if_table_exists(connection, sa.select(record.c.use_case).distinct())
            names |= {row.use_case for row in rows}
    return names


def find_tables(
    engine: sa.Engine, use_case_name: str, other_names: Collection[str], declared: Iterable[UseCase] = ()
) -> dict[str, int]:
    """The tables in the database that are a use case's by their names, each with about how many rows it
    holds; also those that no declaration names any more.

    Names may hold `__`: `a__b__online` is of the view b of a, or of a view of a__b. A table that one of the
    `declared` use cases has by its declaration is that one's. Of others, one whose name begins with one of
    `other_names` that is longer is that use case's.
    """
    catalogue = CATALOGUE_TABLES.c
    statement = sa.select(catalogue.table_name, catalogue.table_rows).where(
        catalogue.table_schema == sa.func.database(),
        catalogue.table_name.startswith(f"{use_case_name}__", autoescape=True),
    )
    with engine.connect() as connection:
        rows = connection.execute(statement.order_by(catalogue.table_name)).all()
    owners = {table.name: use_case.name for use_case in declared for table in build_tables(use_case)}
    longer = tuple(f"{name}__" for name in other_names if name.startswith(f"{use_case_name}__"))
    return {
        name: int(count or 0)
        for name, count in rows
        if (owners[name] == use_case_name if name in owners else not name.startswith(longer))
    }


def erase_use_case(engine: sa.Engine, use_case: UseCase) -> None:
    """Drop the use case's tables and delete its rows from the platform's own. It cannot be undone.

    Killed half-way it leaves less than before; run again it finishes. The platform's own tables are brought
    up to date first.
    """
    erase_tables(engine, use_case.name, [table.name for table in build_tables(use_case)])


def erase_tables(engine: sa.Engine, use_case_name: str, table_names: Sequence[str]) -> None:
    """The same by names alone, for a use case whose declaration is gone."""
    apply_migrations(engine)
    with engine.connect() as connection, hold_lock(connection, f"ingest.{use_case_name}"):
        for name in table_names:
            sa.Table(name, sa.MetaData()).drop(connection, checkfirst=True)
        runs = sa.select(INGEST_RUN.c.id).where(INGEST_RUN.c.use_case == use_case_name)
        for rows in (INGEST_BATCH, QUARANTINE):
            connection.execute(sa.delete(rows).where(rows.c.ingest_run_id.in_(runs)))
        for facts in (RETIRED_COLUMN, GENERATED_TABLE_MIGRATION):
            connection.execute(sa.delete(facts).where(facts.c.table_name.in_(table_names)))
        # Counted on, not begun anew: copies of the dropped table must not pass for the next one's.
        connection.execute(
            sa.update(STORE_STATE)
            .where(STORE_STATE.c.table_name.in_(table_names))
            .values(changes=STORE_STATE.c.changes + 1, history_from=None)
        )
        for record in _RECORDS:
            connection.execute(sa.delete(record).where(record.c.use_case == use_case_name))
        connection.commit()
