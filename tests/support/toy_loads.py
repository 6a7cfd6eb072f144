"""Loads of the toy use case into a store, row by row, and what the store then holds."""

from __future__ import annotations

import math
from collections.abc import Container
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import sqlalchemy as sa

from evergreen.ingest.loading import load as ingest
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.tables.declared import build_tables
from evergreen.usecase import UseCase

DAY = timedelta(days=1)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
JULY = datetime(2026, 7, 1, tzinfo=UTC)


def load(
    database: sa.Engine, use_case: UseCase, as_of: datetime, frames: dict[str, pd.DataFrame]
) -> dict[str, int]:
    return ingest.load_parts(database, use_case, start_ingest(database, use_case, as_of).id, frames)


def content(
    database: sa.Engine, use_case: UseCase, without: Container[str] = ()
) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the use case's tables, less those named in `without`, in order."""
    with database.connect() as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))
            ]
            for table in build_tables(use_case)
            if table.name not in without
        }


def fact(client: int, when: datetime, age: float, mood: str | None = None) -> dict[str, Any]:
    return {
        "client_id": client,
        "event_time": when,
        "age": age,
        "visits": 1.0,
        "spend": math.nan,
        "segment": None,
        "mood": mood,
    }


def facts(*rows: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows))
    moods = pd.Series([row["mood"] for row in rows], dtype=object)
    times = frame["event_time"].astype("datetime64[us, UTC]")
    return frame.assign(event_time=times, mood=moods, segment=pd.Series([None] * len(rows), dtype=object))


def labels(*rows: tuple[int, datetime, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["client_id", "event_time", "leaves"])
    return frame.astype({"event_time": "datetime64[us, UTC]", "leaves": object})
