"""What a training set is made of, as data that stays as it is when the declaration changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from evergreen.documents import JsonObject, read_document
from evergreen.store.connection.arrow import ARROW_TYPES, MOMENT
from evergreen.store.tables.declared import INGESTED_AT
from evergreen.usecase import EVENT_TIME, UseCase


@dataclass(frozen=True)
class TableSelection:
    """Columns of one system-versioned table. `stored` says how a column is called now, if it was retired.

    `keys` and `columns` are (name, type) with the declaration's types.
    """

    table: str
    keys: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]
    max_age: timedelta | None = None
    stored: tuple[tuple[str, str], ...] = ()

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names of the key columns."""
        return tuple(name for name, _ in self.keys)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the other columns, as declared."""
        return tuple(name for name, _ in self.columns)

    @property
    def schema(self) -> pa.Schema:
        """Keys, both clocks, columns."""
        keys = [(name, ARROW_TYPES[kind]) for name, kind in self.keys]
        columns = [(name, ARROW_TYPES[kind]) for name, kind in self.columns]
        return pa.schema([*keys, (EVENT_TIME, MOMENT), (INGESTED_AT, MOMENT), *columns])


@dataclass(frozen=True)
class Query:
    """Labels of one table joined with the rows of others, as of a moment. All moments are aware UTC."""

    use_case: str
    as_of: datetime
    since: datetime | None
    delay: timedelta
    label: TableSelection
    views: tuple[TableSelection, ...]

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names of the entity's keys."""
        return self.label.key_names

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables: the label's first."""
        return (self.label.table, *(view.table for view in self.views))

    def to_json(self) -> JsonObject:
        """The document of the column `training_run.dataset_query`."""
        return {
            "use_case": self.use_case,
            "as_of": self.as_of.isoformat(),
            "since": self.since.isoformat() if self.since else None,
            "keys": [list(key) for key in self.label.keys],
            "label": {
                "table": self.label.table,
                "columns": [list(column) for column in self.label.columns],
                "delay_seconds": self.delay.total_seconds(),
            },
            "views": [
                {
                    "table": view.table,
                    "columns": [list(column) for column in view.columns],
                    "max_age_seconds": view.max_age.total_seconds() if view.max_age else None,
                }
                for view in self.views
            ],
        }


def build_query(use_case: UseCase, as_of: datetime, since: datetime | None = None) -> Query:
    """The query of a use case's training set as its declaration has it now."""
    keys = tuple((key.name, key.dtype) for key in use_case.entity.keys)
    target = (use_case.label.name, "category" if use_case.label.classes else "float")
    views = tuple(
        TableSelection(
            table=use_case.history_table(view),
            keys=keys,
            columns=tuple((feature.name, feature.dtype) for feature in view.features),
            max_age=view.max_age,
        )
        for view in use_case.views
    )
    return Query(
        use_case=use_case.name,
        as_of=as_of,
        since=since if use_case.label.event_time is not None else None,
        delay=use_case.label.delay,
        label=TableSelection(use_case.label_table, keys, (target,)),
        views=views,
    )


@dataclass(frozen=True)
class _LabelDocument:
    table: str
    columns: tuple[tuple[str, str], ...]
    delay_seconds: float


@dataclass(frozen=True)
class _ViewDocument:
    table: str
    columns: tuple[tuple[str, str], ...]
    max_age_seconds: float | None


@dataclass(frozen=True)
class _QueryDocument:
    """What `Query.to_json` writes. `keys` and `columns` are (name, type)."""

    use_case: str
    as_of: datetime
    since: datetime | None
    keys: tuple[tuple[str, str], ...]
    label: _LabelDocument
    views: tuple[_ViewDocument, ...]


def parse_query(document: JsonObject) -> Query:
    """The query that `to_json` wrote. Raises ValueError for another document."""
    record = read_document(_QueryDocument, document)
    return Query(
        use_case=record.use_case,
        as_of=record.as_of,
        since=record.since,
        delay=timedelta(seconds=record.label.delay_seconds),
        label=TableSelection(record.label.table, record.keys, record.label.columns),
        views=tuple(
            TableSelection(
                table=view.table,
                keys=record.keys,
                columns=view.columns,
                max_age=None if view.max_age_seconds is None else timedelta(seconds=view.max_age_seconds),
            )
            for view in record.views
        ),
    )
