"""What is declared of each feature, and how fresh and how complete its stored values are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.documents import JsonObject, write_document
from evergreen.hiding import hide_secrets
from evergreen.store.connection.times import to_aware_utc
from evergreen.store.tables import declared
from evergreen.store.tables.platform import CATALOGUE_COLUMNS, INGEST_RUN
from evergreen.usecase import (
    EVENT_TIME,
    TIMELESS,
    Feature,
    FeatureView,
    FileSource,
    OnDemandFeature,
    Source,
    UseCase,
)


@dataclass(frozen=True)
class TableSize:
    """Rows of a table, the newest event time in it (aware UTC), and how much older that is than the newest
    ingest. The latter two are None where there is none, and for rows without a time."""

    rows: int = 0
    newest_event_time: datetime | None = None
    age_seconds: float | None = None

    def to_json(self) -> JsonObject:
        """The fields, the moment as ISO text."""
        return write_document(self)


@dataclass(frozen=True)
class FeatureFacts:
    """A declared feature. `used_by_model`: whether it is an input of the model."""

    name: str
    type: str
    meaning: str
    used_by_model: bool
    feature_sets: tuple[str, ...]


@dataclass(frozen=True)
class StoredFeature(FeatureFacts):
    """A feature of a view. `null_rate` is the share of keys without it among their newest rows, None without
    rows or column; `minimum`, `maximum` and `allowed` are its declared domain."""

    null_rate: float | None
    minimum: float | None
    maximum: float | None
    allowed: tuple[str, ...]


@dataclass(frozen=True)
class ComputedFeature(FeatureFacts):
    """A feature that is computed from others at each request."""

    inputs: tuple[str, ...]


@dataclass(frozen=True)
class ViewFacts:
    """A feature view. `size` counts all versions of its history, `keys` the rows of its online table."""

    name: str
    meaning: str
    source: str
    table: str
    size: TableSize
    keys: int
    max_age_seconds: float | None
    features: tuple[StoredFeature, ...]

    def to_json(self) -> JsonObject:
        """The fields, those of `size` among them."""
        return {
            "name": self.name,
            "meaning": self.meaning,
            "source": self.source,
            "table": self.table,
            **self.size.to_json(),
            "keys": self.keys,
            "max_age_seconds": self.max_age_seconds,
            "features": [write_document(feature) for feature in self.features],
        }


@dataclass(frozen=True)
class LabelFacts:
    """The label. `classes` is empty for a number."""

    name: str
    type: str
    meaning: str
    classes: tuple[str, ...]
    source: str
    delay_seconds: float
    table: str
    size: TableSize

    def to_json(self) -> JsonObject:
        """The fields, those of `size` among them."""
        fields = {**write_document(self), **self.size.to_json()}
        del fields["size"]
        return fields


@dataclass(frozen=True)
class KeyFacts:
    """A key column of the entity."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class FeatureSetFacts:
    """A declared selection of features."""

    name: str
    meaning: str
    features: tuple[str, ...]
    given_to_model: bool


@dataclass(frozen=True)
class FeatureList:
    """What is declared of a use case, and what its tables hold. `newest_ingest` is the greatest as_of loaded
    (aware UTC)."""

    use_case: str
    title: str
    problem: str
    newest_ingest: datetime | None
    entity: str
    keys: tuple[KeyFacts, ...]
    views: tuple[ViewFacts, ...]
    on_demand: tuple[ComputedFeature, ...]
    label: LabelFacts
    feature_sets: tuple[FeatureSetFacts, ...]

    def to_json(self) -> JsonObject:
        """The document of `evergreen features list --json`; moments are ISO text."""
        return {
            "use_case": self.use_case,
            "title": self.title,
            "problem": self.problem,
            "newest_ingest": self.newest_ingest.isoformat() if self.newest_ingest else None,
            "entity": {"name": self.entity, "keys": [write_document(key) for key in self.keys]},
            "views": [view.to_json() for view in self.views],
            "on_demand": [write_document(feature) for feature in self.on_demand],
            "label": self.label.to_json(),
            "feature_sets": [write_document(feature_set) for feature_set in self.feature_sets],
        }


def describe_features(engine: sa.Engine, use_case: UseCase) -> FeatureList:
    """Everything declared of a use case and what its tables hold; one scan per table, all counts exact.

    Raises StoreUnreachable.
    """
    with engine.connect() as connection:
        columns = _read_columns(connection, use_case)
        newest = _find_newest_ingest(connection, use_case, columns)
        return FeatureList(
            use_case=use_case.name,
            title=use_case.title,
            problem=use_case.problem,
            newest_ingest=newest,
            entity=use_case.entity.name,
            keys=tuple(KeyFacts(key.name, key.dtype, key.meaning) for key in use_case.entity.keys),
            views=tuple(_describe_view(connection, use_case, v, columns, newest) for v in use_case.views),
            on_demand=tuple(
                ComputedFeature(*_describe_feature(use_case, feature), tuple(feature.inputs))
                for feature in use_case.on_demand_order
            ),
            label=_describe_label(connection, use_case, columns, newest),
            feature_sets=tuple(
                FeatureSetFacts(
                    name=each.name,
                    meaning=each.meaning,
                    features=tuple(each.features),
                    given_to_model=each.name == use_case.model_set,
                )
                for each in use_case.feature_sets
            ),
        )


def _describe_view(
    connection: sa.Connection,
    use_case: UseCase,
    view: FeatureView,
    columns: Mapping[str, set[str]],
    newest: datetime | None,
) -> ViewFacts:
    table, online = declared.build_history_table(use_case, view), declared.build_online_table(use_case, view)
    size, _ = _measure_table(connection, table, (), columns, newest)
    # Of the newest rows: what history lacks is the past's, such as features that were declared later.
    keys, filled = _measure_table(connection, online, view.feature_names, columns, newest)
    return ViewFacts(
        name=view.name,
        meaning=view.meaning,
        source=_describe_source(view.source),
        table=table.name,
        size=size,
        keys=keys.rows,
        max_age_seconds=view.max_age.total_seconds() if view.max_age else None,
        features=tuple(
            StoredFeature(
                *_describe_feature(use_case, feature),
                null_rate=_compute_null_rate(keys.rows, filled.get(feature.name)),
                minimum=feature.minimum,
                maximum=feature.maximum,
                allowed=tuple(feature.allowed),
            )
            for feature in view.features
        ),
    )


def _describe_label(
    connection: sa.Connection,
    use_case: UseCase,
    columns: Mapping[str, set[str]],
    newest: datetime | None,
) -> LabelFacts:
    label = use_case.label
    size, _ = _measure_table(connection, declared.build_label_table(use_case), (), columns, newest)
    return LabelFacts(
        name=label.name,
        type="category" if label.classes else "float",
        meaning=label.meaning,
        classes=tuple(label.classes),
        source=_describe_source(label.source),
        delay_seconds=label.delay.total_seconds(),
        table=use_case.label_table,
        size=size,
    )


def _describe_feature(
    use_case: UseCase, feature: Feature | OnDemandFeature
) -> tuple[str, str, str, bool, tuple[str, ...]]:
    """The fields of `FeatureFacts`."""
    sets = tuple(each.name for each in use_case.feature_sets if feature.name in each.features)
    return feature.name, feature.dtype, feature.meaning, feature in use_case.model_features, sets


def _measure_table(
    connection: sa.Connection,
    table: sa.Table,
    names: tuple[str, ...],
    columns: Mapping[str, set[str]],
    newest: datetime | None,
) -> tuple[TableSize, dict[str, int]]:
    """The table's size; and how many values each of the named columns has that exist."""
    existing = columns.get(table.name)
    if not existing:
        return TableSize(), {}
    present_names = [name for name in names if name in existing]
    statement = sa.select(
        sa.func.count(),
        sa.func.max(table.c[EVENT_TIME]),
        *(sa.func.count(table.c[name]) for name in present_names),
    ).select_from(table)
    rows, last, *filled = connection.execute(statement).one()
    last = to_aware_utc(last) if last else None
    if last == TIMELESS:
        last = None
    age = (newest - last).total_seconds() if newest and last else None
    return TableSize(rows, last, age), dict(zip(present_names, filled, strict=True))


def _compute_null_rate(rows: int, filled: int | None) -> float | None:
    return None if not rows or filled is None else (rows - filled) / rows


def _read_columns(connection: sa.Connection, use_case: UseCase) -> dict[str, set[str]]:
    """The columns that exist, by table: the declaration may be ahead of the tables."""
    catalogue = CATALOGUE_COLUMNS.c
    names = [*(table.name for table in declared.build_tables(use_case)), INGEST_RUN.name]
    statement = (
        sa.select(catalogue.table_name, catalogue.column_name)
        .where(catalogue.table_schema == sa.func.database())
        .where(catalogue.table_name.in_(names))
    )
    columns: dict[str, set[str]] = {}
    for table, column in connection.execute(statement):
        columns.setdefault(table, set()).add(column)
    return columns


def _find_newest_ingest(
    connection: sa.Connection, use_case: UseCase, columns: Mapping[str, set[str]]
) -> datetime | None:
    if INGEST_RUN.name not in columns:
        return None
    statement = (
        sa.select(sa.func.max(INGEST_RUN.c.as_of))
        .where(INGEST_RUN.c.use_case == use_case.name)
        .where(INGEST_RUN.c.status == "loaded")
    )
    newest = connection.execute(statement).scalar()
    return to_aware_utc(newest) if newest else None


def _describe_source(source: Source) -> str:
    place = source.path if isinstance(source, FileSource) else source.connection
    return hide_secrets(place) if "://" in place else place
