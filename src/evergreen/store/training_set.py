"""The training set: labels joined to what was true at each label's event time, as known at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from evergreen.errors import EmptyTrainingSet
from evergreen.store import tables
from evergreen.store.frames import digest, read_frame
from evergreen.store.times import naive
from evergreen.usecase import EVENT_TIME, FeatureView, UseCase

_KNOWN = "__known"


@dataclass(frozen=True)
class TrainingSet:
    """`frame`: keys, event_time (the label's), stored features, label; sorted by (event_time, keys).

    `digest` is the SHA-256 of its content, the same in every process.
    """

    frame: pd.DataFrame
    digest: str
    as_of: datetime


def read_training_set(
    engine: sa.Engine, use_case: UseCase, as_of: datetime, since: datetime | None = None
) -> TrainingSet:
    """The point-in-time join of a use case's labels and feature views.

    A label counts when it was ingested by `as_of`, `event_time + delay <= as_of`, and, if `since` is given
    and labels have a time, `event_time > since`; of several versions the one ingested last by `as_of`. It
    gets from each view the newest row with `event_time <=` its own that was ingested by `as_of` (of several
    versions the last ingested), or missing values where there is none. A label no view knows is left out.

    Raises EmptyTrainingSet when no row is left, StoreUnreachable.
    """
    names = list(use_case.entity.key_names)
    with engine.connect() as connection:
        labels = _labels(connection, use_case, as_of, since)
        newest = labels[EVENT_TIME].max() if len(labels) else None
        views = [_versions(connection, use_case, view, as_of, newest) for view in use_case.views]
    frame = join(labels, views, names)
    if frame.empty:
        raise EmptyTrainingSet(
            f"{use_case.name} has no labelled row as of {as_of.isoformat()}"
            + (f" with an event time after {since.isoformat()}" if since else "")
            + (f" ({len(labels)} labels, none with features)" if len(labels) else ""),
            hint=f"ingest first (evergreen run ingest {use_case.name} --as-of ...), or choose a later moment;"
            f" labels are known {use_case.label.delay} after their event time",
        )
    order = [*names, EVENT_TIME, *(f.name for f in use_case.stored_features), use_case.label.name]
    frame = frame[order].sort_values([EVENT_TIME, *names], ignore_index=True, kind="stable")
    return TrainingSet(frame=frame, digest=digest(frame), as_of=as_of)


def join(labels: pd.DataFrame, views: list[pd.DataFrame], names: list[str]) -> pd.DataFrame:
    """Each label with the newest row per view at or before its event time; labels no view knows are dropped.

    `labels` and `views` hold one row per (keys, event_time). Any order of rows gives the same result.
    """
    frame = labels.sort_values(EVENT_TIME, kind="stable", ignore_index=True)
    known = pd.Series(False, index=frame.index)
    for view in views:
        right = view.sort_values(EVENT_TIME, kind="stable", ignore_index=True)
        right[_KNOWN] = 1.0
        frame = pd.merge_asof(frame, right, on=EVENT_TIME, by=names, direction="backward")
        known |= frame.pop(_KNOWN).notna()
    frame = frame[known].reset_index(drop=True)
    for name in frame.columns:
        if frame[name].dtype == object:
            frame[name] = frame[name].where(frame[name].notna(), None)
    return frame


def _labels(
    connection: sa.Connection, use_case: UseCase, as_of: datetime, since: datetime | None
) -> pd.DataFrame:
    table = tables.label(use_case)
    statement = _known_at(table, as_of).where(table.c[EVENT_TIME] <= naive(as_of) - use_case.label.delay)
    if since is not None and use_case.label.event_time is not None:
        statement = statement.where(table.c[EVENT_TIME] > naive(since))
    return _last_version(read_frame(connection, statement, use_case), use_case)


def _versions(
    connection: sa.Connection,
    use_case: UseCase,
    view: FeatureView,
    as_of: datetime,
    newest: pd.Timestamp | None,
) -> pd.DataFrame:
    table = tables.history(use_case, view)
    statement = _known_at(table, as_of)
    statement = (
        statement.where(sa.false())
        if newest is None
        else statement.where(table.c[EVENT_TIME] <= naive(newest.to_pydatetime()))
    )
    return _last_version(read_frame(connection, statement, use_case), use_case)


def _known_at(table: sa.Table, as_of: datetime) -> sa.Select[Any]:
    return sa.select(*table.c).where(table.c[tables.INGESTED_AT] <= naive(as_of))


def _last_version(frame: pd.DataFrame, use_case: UseCase) -> pd.DataFrame:
    identity = [*use_case.entity.key_names, EVENT_TIME]
    ordered = frame.sort_values(tables.INGESTED_AT, kind="stable")
    kept = ordered.drop_duplicates(identity, keep="last")
    return kept.drop(columns=tables.INGESTED_AT).reset_index(drop=True)
