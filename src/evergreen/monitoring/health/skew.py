"""Training/serving skew: whether what the model was given is what the store held at that moment.

A sample of the newest logged predictions with a key is compared with the history: the newest row of the key
that MariaDB held when the prediction was made (by the system time of the history tables, not by
`ingested_at`, which is the moment as of which an ingest worked). On-demand features are computed again from
the logged inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import sqlalchemy as sa

from evergreen.model.on_demand import build_columns_from_frame, compute_on_demand_values
from evergreen.store.connection.values import FeatureValue, KeyTuple
from evergreen.store.history.held_rows import HeldRow, find_newest_held_row, read_held_rows
from evergreen.store.predictions.prediction_log import read_newest_predictions
from evergreen.store.records.checks.health import HealthFinding
from evergreen.usecase import FeatureView, UseCase

SAMPLE = 300
# The share of compared rows that may differ: values that a load replaced while a request was under way.
LIMIT = 0.01
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class SkewCount:
    """Of one feature: rows that were compared, rows that differ, and one of them in words."""

    feature: str
    compared: int
    differing: int
    example: str = ""

    @property
    def share(self) -> float:
        """Of the compared rows, those that differ; 0 without any."""
        return self.differing / self.compared if self.compared else 0.0


def measure_skew(engine: sa.Engine, use_case: UseCase, start: datetime, end: datetime) -> list[HealthFinding]:
    """Compare the newest predictions of a window (aware) with the store. Values and limits are shares of
    rows; a finding for each feature beyond the limit, or one that says how the comparison ended."""
    frame = read_newest_predictions(engine, use_case, start, end, SAMPLE)
    keys = list_prediction_keys(use_case, frame)
    counts = [
        count
        for view in use_case.views
        for count in count_stored_skew(
            view, frame, keys, read_held_rows(engine, use_case, view, _find_known(keys))
        )
    ]
    return judge_skew(counts, count_on_demand_skew(use_case, frame), len(frame))


def judge_skew(stored: Sequence[SkewCount], on_demand: Sequence[SkewCount], rows: int) -> list[HealthFinding]:
    """Findings from the counts of the stored and of the on-demand features of so many predictions."""
    findings = [
        HealthFinding(
            "skew",
            count.feature,
            "warning",
            f"{count.feature} differs from {origin} in {count.differing:,} of {count.compared:,} predictions"
            f" ({count.example})",
            count.share,
            LIMIT,
        )
        for counts, origin in ((stored, "the store"), (on_demand, "what its function computes now"))
        for count in sorted(counts, key=lambda count: (-count.share, count.feature))
        if count.share > LIMIT
    ]
    if findings:
        return findings
    compared = max((count.compared for count in stored), default=0)
    if not compared:
        sentence = (
            f"of {rows:,} predictions none has a key that the store held at that moment"
            if rows
            else "there are no predictions to compare with the store"
        )
        return [HealthFinding("skew", "", "unknown", sentence)]
    worst = max(count.share for count in (*stored, *on_demand))
    return [
        HealthFinding(
            "skew", "", "ok", f"{compared:,} predictions were made of what the store held", worst, LIMIT
        )
    ]


def list_prediction_keys(use_case: UseCase, frame: pd.DataFrame) -> list[KeyTuple | None]:
    """The key of each row of the prediction log as Python's values; None where a part of it is missing."""
    columns = [
        [
            None if pd.isna(value) else (int(value) if key.dtype == "int" else str(value))
            for value in frame[key.name]
        ]
        for key in use_case.entity.keys
    ]
    return [None if None in key else key for key in zip(*columns, strict=True)]


def count_stored_skew(
    view: FeatureView,
    frame: pd.DataFrame,
    keys: Sequence[KeyTuple | None],
    held: Mapping[KeyTuple, Sequence[HeldRow]],
) -> list[SkewCount]:
    """Compare a view's features in the prediction log with those that the store held for the same keys."""
    pairs: list[tuple[int, HeldRow]] = []
    moments = [moment.to_pydatetime() for moment in frame["predicted_at"]]
    for position, (key, moment) in enumerate(zip(keys, moments, strict=True)):
        row = find_newest_held_row(held.get(key, ()), moment) if key is not None else None
        if row is not None:
            pairs.append((position, row))
    counts = []
    for feature in view.features:
        log_values = frame[feature.name].to_numpy()
        differing, example = 0, ""
        for position, row in pairs:
            is_old = view.max_age is not None and moments[position] - row.event_time > view.max_age
            store_value = None if is_old else row.values[feature.name]
            if not _is_same(log_values[position], store_value):
                differing += 1
                example = example or f"{_format(log_values[position])} instead of {_format(store_value)}"
        counts.append(SkewCount(feature.name, len(pairs), differing, example))
    return counts


def count_on_demand_skew(use_case: UseCase, frame: pd.DataFrame) -> list[SkewCount]:
    """Compute the on-demand features of logged rows again; rows that logged none are left out."""
    if frame.empty or not use_case.on_demand:
        return []
    values = compute_on_demand_values(use_case, build_columns_from_frame(frame, use_case), len(frame))
    names = [feature.name for feature in use_case.on_demand if feature.name in frame.columns]
    has_logged = ~frame[names].isna().all(axis=1).to_numpy() if names else np.zeros(len(frame), dtype=bool)
    counts = []
    for name in names:
        log_values, computed = frame[name].to_numpy(), values[name]
        positions = [int(p) for p in np.flatnonzero(has_logged) if not _is_same(log_values[p], computed[p])]
        example = (
            f"{_format(log_values[positions[0]])} instead of {_format(computed[positions[0]])}"
            if positions
            else ""
        )
        counts.append(SkewCount(name, int(has_logged.sum()), len(positions), example))
    return counts


def _find_known(keys: Sequence[KeyTuple | None]) -> list[KeyTuple]:
    return list({key: None for key in keys if key is not None})


def _is_same(logged: object, stored: object) -> bool:
    if _is_missing(logged) or _is_missing(stored):
        return _is_missing(logged) and _is_missing(stored)
    if isinstance(logged, str) or isinstance(stored, str):
        return str(logged) == str(stored)
    first, second = float(logged), float(stored)  # type: ignore[arg-type]
    return abs(first - second) <= _TOLERANCE * max(1.0, abs(first), abs(second))


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _format(value: FeatureValue | object) -> str:
    if _is_missing(value):
        return "missing"
    return repr(value) if isinstance(value, str) else f"{float(value):.6g}"  # type: ignore[arg-type]
