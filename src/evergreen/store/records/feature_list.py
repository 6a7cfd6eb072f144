"""What the store knows of each feature: where it comes from, how fresh and how complete it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

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


def describe_features(engine: sa.Engine, use_case: UseCase) -> dict[str, Any]:
    """Everything declared and what stands in the tables, JSON-able; one scan per table, all counts exact.

    {"use_case", "title", "problem", "newest_ingest": the greatest as_of loaded, "entity": {"name", "keys"},
    "views": [{"name", "meaning", "source", "table", "rows" (all versions of history), "keys",
    "newest_event_time", "age_seconds", "max_age_seconds", "features": [{"name", "type", "meaning",
    "null_rate" (share of the keys' newest rows, None without rows or column), "minimum", "maximum",
    "allowed", "used_by_model", "feature_sets"}]}], "on_demand": [{"name", "type", "meaning", "inputs", ...}],
    "label": {...}, "feature_sets": [{"name", "meaning", "features", "given_to_model"}]}

    `age_seconds` is how much older the newest event time is than the newest ingest. Moments are ISO text;
    both are None where there are none, and for timeless rows. Raises StoreUnreachable.
    """
    with engine.connect() as connection:
        there = _read_columns(connection, use_case)
        newest = _newest_ingest(connection, use_case, there)
        return {
            "use_case": use_case.name,
            "title": use_case.title,
            "problem": use_case.problem,
            "newest_ingest": newest.isoformat() if newest else None,
            "entity": {
                "name": use_case.entity.name,
                "keys": [
                    {"name": key.name, "type": key.dtype, "meaning": key.meaning}
                    for key in use_case.entity.keys
                ],
            },
            "views": [_describe_view(connection, use_case, view, there, newest) for view in use_case.views],
            "on_demand": [
                {**_describe_feature(use_case, feature), "inputs": list(feature.inputs)}
                for feature in use_case.on_demand_order
            ],
            "label": _describe_label(connection, use_case, there, newest),
            "feature_sets": [
                {
                    "name": chosen.name,
                    "meaning": chosen.meaning,
                    "features": list(chosen.features),
                    "given_to_model": chosen.name == use_case.model_set,
                }
                for chosen in use_case.feature_sets
            ],
        }


def _describe_view(
    connection: sa.Connection,
    use_case: UseCase,
    view: FeatureView,
    there: dict[str, set[str]],
    newest: datetime | None,
) -> dict[str, Any]:
    table, online = declared.build_history_table(use_case, view), declared.build_online_table(use_case, view)
    size, _ = _measure_table(connection, table, (), there, newest)
    # Of the newest rows: what history lacks is the past's, such as features that were declared later.
    keys, filled = _measure_table(connection, online, view.feature_names, there, newest)
    return {
        "name": view.name,
        "meaning": view.meaning,
        "source": _describe_source(view.source),
        "table": table.name,
        **size,
        "keys": keys["rows"],
        "max_age_seconds": view.max_age.total_seconds() if view.max_age else None,
        "features": [
            {
                **_describe_feature(use_case, feature),
                "null_rate": _null_rate(keys["rows"], filled.get(feature.name)),
                "minimum": feature.minimum,
                "maximum": feature.maximum,
                "allowed": list(feature.allowed),
            }
            for feature in view.features
        ],
    }


def _describe_label(
    connection: sa.Connection, use_case: UseCase, there: dict[str, set[str]], newest: datetime | None
) -> dict[str, Any]:
    label = use_case.label
    size, _ = _measure_table(connection, declared.build_label_table(use_case), (), there, newest)
    return {
        "name": label.name,
        "type": "category" if label.classes else "float",
        "meaning": label.meaning,
        "classes": list(label.classes),
        "source": _describe_source(label.source),
        "delay_seconds": label.delay.total_seconds(),
        "table": use_case.label_table,
        **size,
    }


def _describe_feature(use_case: UseCase, feature: Feature | OnDemandFeature) -> dict[str, Any]:
    return {
        "name": feature.name,
        "type": feature.dtype,
        "meaning": feature.meaning,
        "used_by_model": feature in use_case.model_features,
        "feature_sets": [each.name for each in use_case.feature_sets if feature.name in each.features],
    }


def _measure_table(
    connection: sa.Connection,
    table: sa.Table,
    columns: tuple[str, ...],
    there: dict[str, set[str]],
    newest: datetime | None,
) -> tuple[dict[str, Any], dict[str, int]]:
    """Row count, newest event time and its age; and how many values each column has that is there."""
    found = there.get(table.name)
    if not found:
        return {"rows": 0, "newest_event_time": None, "age_seconds": None}, {}
    counted = [name for name in columns if name in found]
    statement = sa.select(
        sa.func.count(),
        sa.func.max(table.c[EVENT_TIME]),
        *(sa.func.count(table.c[name]) for name in counted),
    ).select_from(table)
    rows, last, *filled = connection.execute(statement).one()
    last = to_aware_utc(last) if last else None
    if last == TIMELESS:
        last = None
    size = {
        "rows": rows,
        "newest_event_time": last.isoformat() if last else None,
        "age_seconds": (newest - last).total_seconds() if newest and last else None,
    }
    return size, dict(zip(counted, filled, strict=True))


def _null_rate(rows: int, filled: int | None) -> float | None:
    return None if not rows or filled is None else (rows - filled) / rows


def _read_columns(connection: sa.Connection, use_case: UseCase) -> dict[str, set[str]]:
    """The columns that are there, by table: the declaration may be ahead of the tables."""
    catalogue = CATALOGUE_COLUMNS.c
    wanted = [*(table.name for table in declared.build_tables(use_case)), INGEST_RUN.name]
    statement = (
        sa.select(catalogue.table_name, catalogue.column_name)
        .where(catalogue.table_schema == sa.func.database())
        .where(catalogue.table_name.in_(wanted))
    )
    found: dict[str, set[str]] = {}
    for table, column in connection.execute(statement):
        found.setdefault(table, set()).add(column)
    return found


def _newest_ingest(
    connection: sa.Connection, use_case: UseCase, there: dict[str, set[str]]
) -> datetime | None:
    if INGEST_RUN.name not in there:
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
    if "://" not in place:
        return place
    from evergreen.hiding import hide_secrets

    return hide_secrets(place)
