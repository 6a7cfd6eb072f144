"""Counts of the predictions of a window by the bins of a version's reference profile."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.model.reference_profile import PREDICTION
from evergreen.monitoring.drift.compare import ALL_ROWS, count_columns
from evergreen.monitoring.drift.figures.count_pairs import Counts, Profiles
from evergreen.store.predictions.prediction_log import read_predictions
from evergreen.usecase import UseCase


def read_window_counts(
    engine: sa.Engine, use_case: UseCase, version: int, reference: Profiles, start: datetime, end: datetime
) -> Counts:
    """The requests with start < predicted_at <= end that version `version` answered or another one, counted
    by its bins. Other channels of the prediction log do not count. Raises StoreUnreachable."""
    frame = read_predictions(engine, use_case, start, end)
    if frame.empty:
        return {ALL_ROWS: {}}
    columns = add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
    profiles = reference.get(ALL_ROWS, {})
    return {ALL_ROWS: count_columns(profiles, {**columns, PREDICTION: frame["prediction"].to_numpy()})}
