"""Training sets of past runs: what they were made of, and their rows read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from evergreen.documents import JsonObject
from evergreen.errors import EmptyTrainingSet, HistoryExpired, StoreError, StoreUnreachable
from evergreen.store.connection.json_columns import parse_json_object
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.history.query import Query, TableSelection, parse_query
from evergreen.store.history.training_set import read_query
from evergreen.store.tables.platform import CATALOGUE_COLUMNS, RETIRED_COLUMN, TRAINING_RUN


@dataclass(frozen=True)
class TrainingSetEntry:
    """A training run and its data set, for lists; what a run has not come to yet is None. `as_of` is aware
    UTC."""

    training_run: str
    mlflow_run: str | None
    model_version: int | None
    use_case: str
    status: str
    as_of: datetime
    rows: int | None
    digest: str | None

    def to_json(self) -> Mapping[str, str | int | None]:
        """The document of `evergreen dataset list --json`."""
        document = {**vars(self), "as_of": self.as_of.isoformat()}
        del document["use_case"]
        return document


@dataclass(frozen=True)
class RecordedSet:
    """What the data set of a training run was: its query, the moment of the server's clock at which its rows
    were read (aware UTC), their number and their digest."""

    entry: TrainingSetEntry
    query: Query
    read_at: datetime
    digest: str
    rows: int

    def to_json(self) -> JsonObject:
        """The document of `evergreen dataset show --json`."""
        return {
            "training_run": self.entry.training_run,
            "mlflow_run": self.entry.mlflow_run,
            "model_version": self.entry.model_version,
            "use_case": self.entry.use_case,
            "status": self.entry.status,
            "as_of": self.entry.as_of.isoformat(),
            "read_at": self.read_at.isoformat(),
            "digest": self.digest,
            "rows": self.rows,
            "query": self.query.to_json(),
        }


@dataclass(frozen=True)
class Reproduction:
    """A recorded data set beside what was read again. The rebuilt digest and number of rows are None where
    the rows could not be read; `reason` says in words why they are the same or not."""

    recorded: RecordedSet
    same: bool
    reason: str
    rebuilt_digest: str | None = None
    rebuilt_rows: int | None = None

    def to_json(self) -> Mapping[str, str | int | None]:
        """The document of `evergreen dataset reproduce --json`."""
        return {
            "training_run": self.recorded.entry.training_run,
            "use_case": self.recorded.query.use_case,
            "as_of": self.recorded.query.as_of.isoformat(),
            "read_at": self.recorded.read_at.isoformat(),
            "digest": self.recorded.digest,
            "rows": self.recorded.rows,
            "rebuilt_digest": self.rebuilt_digest,
            "rebuilt_rows": self.rebuilt_rows,
            "same": self.same,
            "reason": self.reason,
        }


def list_training_sets(engine: sa.Engine, use_case_name: str, limit: int = 20) -> list[TrainingSetEntry]:
    """The last training runs of a use case, newest first."""
    runs = TRAINING_RUN.c
    statement = sa.select(TRAINING_RUN).where(runs.use_case == use_case_name)
    with engine.connect() as connection:
        rows = connection.execute(statement.order_by(runs.started_at.desc()).limit(limit)).mappings()
        return [_parse_entry(row) for row in rows]


def describe_training_set(engine: sa.Engine, run_id: str) -> RecordedSet:
    """What the training run's data set was, by the run's id or its MLflow run's, or the beginning of either.

    Raises StoreError when there is no such run, or it has no data set.
    """
    ids = (TRAINING_RUN.c.id, TRAINING_RUN.c.mlflow_run_id)
    matches = (sa.func.left(each, len(run_id)) == run_id for each in ids)
    statement = sa.select(TRAINING_RUN).where(sa.or_(*matches))
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
    query = parse_json_object(row["dataset_query"])
    if query is None or row["dataset_read_at"] is None or row["dataset_digest"] is None:
        raise StoreError(
            f"training run {row['id']} has no data set on record: it is {row['status']}",
            hint=f"train again: evergreen train {row['use_case']} --as-of ...",
        )
    return RecordedSet(
        entry=_parse_entry(row),
        query=parse_query(query),
        read_at=to_aware_utc(row["dataset_read_at"]),
        digest=row["dataset_digest"],
        rows=row["dataset_rows"],
    )


def reproduce_training_set(engine: sa.Engine, run_id: str) -> Reproduction:
    """Read the training run's data set again, from the rows as they were then, and compare the digests.

    It follows the recorded query, not the present declaration: columns that were retired since are read by
    their new names. Raises StoreError when there is no such run, or it has no data set, and StoreUnreachable.
    """
    training_set = describe_training_set(engine, run_id)
    try:
        query = _rename_retired_columns(engine, training_set.query, training_set.read_at)
        rebuilt = read_query(engine, query, training_set.read_at)
    except HistoryExpired as error:
        return Reproduction(training_set, False, f"the history has expired: {error.message}")
    except EmptyTrainingSet:
        reason = "no row of that moment is left: the tables are new"
        return Reproduction(training_set, False, reason, rebuilt_rows=0)
    except StoreUnreachable:
        raise
    except StoreError as error:
        return Reproduction(training_set, False, error.message)
    same = rebuilt.digest == training_set.digest
    reason = "the same rows, value by value"
    if not same:
        counts = (
            f": {len(rebuilt)} instead of {training_set.rows}" if len(rebuilt) != training_set.rows else ""
        )
        reason = (
            f"the rows of that moment have changed{counts}; somebody wrote to the tables without Evergreen"
            " or altered them"
        )
    return Reproduction(training_set, same, reason, rebuilt.digest, len(rebuilt))


def _parse_entry(row: sa.RowMapping) -> TrainingSetEntry:
    return TrainingSetEntry(
        training_run=row["id"],
        mlflow_run=row["mlflow_run_id"],
        model_version=row["model_version"],
        use_case=row["use_case"],
        status=row["status"],
        as_of=to_aware_utc(row["as_of"]),
        rows=row["dataset_rows"],
        digest=row["dataset_digest"],
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

    def rename_columns(part: TableSelection) -> TableSelection:
        present = names.get(part.table, {})
        return replace(part, stored=tuple((n, present[n]) for n in part.column_names if n in present))

    views = tuple(map(rename_columns, query.views))
    return replace(query, label=rename_columns(query.label), views=views)
