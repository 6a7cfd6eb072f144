"""Training sets of the past: what they were made of, and the very same rows again."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from evergreen.errors import EmptyTrainingSet, HistoryExpired, StoreError, StoreUnreachable
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.history.query import Query, TableSelection, parse_query
from evergreen.store.history.training_set import read_query
from evergreen.store.tables.platform import CATALOGUE_COLUMNS, RETIRED_COLUMN, TRAINING_RUN


@dataclass(frozen=True)
class _RecordedSet:
    run: str
    query: Query
    read_at: datetime
    digest: str
    rows: int
    facts: dict[str, Any]


def list_training_sets(engine: sa.Engine, use_case: str, limit: int = 20) -> list[dict[str, Any]]:
    """The last training runs of a use case, newest first, JSON-able: {"training_run", "mlflow_run",
    "model_version", "status", "as_of", "rows", "digest"}; what a run has not come to yet is None."""
    statement = (
        sa.select(TRAINING_RUN)
        .where(TRAINING_RUN.c.use_case == use_case)
        .order_by(TRAINING_RUN.c.started_at.desc())
        .limit(limit)
    )
    with engine.connect() as connection:
        return [
            {
                "training_run": row["id"],
                "mlflow_run": row["mlflow_run_id"],
                "model_version": row["model_version"],
                "status": row["status"],
                "as_of": to_aware_utc(row["as_of"]).isoformat(),
                "rows": row["dataset_rows"],
                "digest": row["dataset_digest"],
            }
            for row in connection.execute(statement).mappings()
        ]


def describe_training_set(engine: sa.Engine, run_id: str) -> dict[str, Any]:
    """What the training run's data set was, by the run's id or its MLflow run's, or the beginning of
    either; JSON-able.

    {"training_run", "mlflow_run", "model_version", "use_case", "status", "as_of", "read_at" (the server's
    clock), "digest", "rows", "query"}. Raises StoreError when there is no such run, or it has no data set.
    """
    found = _read_recorded_set(engine, run_id)
    return {
        **found.facts,
        "read_at": found.read_at.isoformat(),
        "digest": found.digest,
        "rows": found.rows,
        "query": found.query.to_json(),
    }


def reproduce_training_set(engine: sa.Engine, run_id: str) -> dict[str, Any]:
    """Read the training run's data set again, from the rows as they were then, and compare the digests.

    It follows the recorded query, not the present declaration: columns that were retired since are found
    under their new names. Returns {"training_run", "use_case", "as_of", "read_at", "digest", "rows",
    "rebuilt_digest", "rebuilt_rows" (None where they could not be read), "same", "reason"}. Raises StoreError
    when there is no such run, or it has no data set, and StoreUnreachable.
    """
    found = _read_recorded_set(engine, run_id)
    told: dict[str, Any] = {
        "training_run": found.run,
        "use_case": found.query.use_case,
        "as_of": found.query.as_of.isoformat(),
        "read_at": found.read_at.isoformat(),
        "digest": found.digest,
        "rows": found.rows,
        "rebuilt_digest": None,
        "rebuilt_rows": None,
        "same": False,
    }
    try:
        rebuilt = read_query(
            engine, _rename_retired_columns(engine, found.query, found.read_at), found.read_at
        )
    except HistoryExpired as error:
        return {**told, "reason": f"the history has expired: {error.message}"}
    except EmptyTrainingSet:
        return {**told, "rebuilt_rows": 0, "reason": "no row of that moment is left: the tables are new"}
    except StoreUnreachable:
        raise
    except StoreError as error:
        return {**told, "reason": error.message}
    told |= {"rebuilt_digest": rebuilt.digest, "rebuilt_rows": len(rebuilt)}
    if rebuilt.digest == found.digest:
        return {**told, "same": True, "reason": "the same rows, value by value"}
    return {
        **told,
        "reason": "the rows of that moment have changed"
        + (f": {len(rebuilt)} instead of {found.rows}" if len(rebuilt) != found.rows else "")
        + "; somebody wrote to the tables without Evergreen or altered them",
    }


def _read_recorded_set(engine: sa.Engine, run_id: str) -> _RecordedSet:
    # The beginning of an id will do, as long as it is one run's.
    ids = (TRAINING_RUN.c.id, TRAINING_RUN.c.mlflow_run_id)
    statement = sa.select(TRAINING_RUN).where(
        sa.or_(*(sa.func.left(each, len(run_id)) == run_id for each in ids))
    )
    with engine.connect() as connection:
        rows = connection.execute(statement.limit(2)).mappings().all()
    if len(rows) != 1 or not run_id:
        raise StoreError(
            f"several training runs begin with {run_id!r}"
            if rows
            else f"there is no training run {run_id!r}",
            hint="evergreen dataset list USE_CASE tells the ids of training runs and of their MLflow runs",
        )
    row = rows[0]
    if row["dataset_query"] is None or row["dataset_read_at"] is None or row["dataset_digest"] is None:
        raise StoreError(
            f"training run {row['id']} has no data set on record: it is {row['status']}",
            hint=f"train again: evergreen train {row['use_case']} --as-of ...",
        )
    return _RecordedSet(
        run=row["id"],
        query=parse_query(json.loads(row["dataset_query"])),
        read_at=to_aware_utc(row["dataset_read_at"]),
        digest=row["dataset_digest"],
        rows=row["dataset_rows"],
        facts={
            "training_run": row["id"],
            "mlflow_run": row["mlflow_run_id"],
            "model_version": row["model_version"],
            "use_case": row["use_case"],
            "status": row["status"],
            "as_of": to_aware_utc(row["as_of"]).isoformat(),
        },
    )


def _rename_retired_columns(engine: sa.Engine, query: Query, read_at: datetime) -> Query:
    """The query with the present names of those columns that were retired after `read_at`."""
    retired, catalogue = RETIRED_COLUMN.c, CATALOGUE_COLUMNS.c
    existing = sa.and_(
        catalogue.table_schema == sa.func.database(),
        catalogue.table_name == retired.table_name,
        catalogue.column_name == retired.retired_as,
    )
    statement = (
        sa.select(retired.table_name, retired.column_name, retired.retired_as)
        .join_from(RETIRED_COLUMN, CATALOGUE_COLUMNS, existing)
        .where(retired.table_name.in_(query.tables), retired.retired_at > to_naive_utc(read_at))
        # Retired twice, and declared again between: the first after that moment held its values.
        .order_by(retired.retired_at.desc())
    )
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    names: dict[str, dict[str, str]] = {}
    for table, column, retired_as in rows:
        names.setdefault(table, {})[column] = retired_as

    def renamed(part: TableSelection) -> TableSelection:
        known = names.get(part.table, {})
        return replace(part, stored=tuple((n, known[n]) for n in part.column_names if n in known))

    return replace(query, label=renamed(query.label), views=tuple(renamed(view) for view in query.views))
