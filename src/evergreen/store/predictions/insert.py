"""Temporary."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from evergreen.store.predictions import prediction_log
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.usecase import UseCase


def insert_predictions(engine: sa.Engine, use_case: UseCase, rows: Sequence[PredictionRow]) -> int:
    """Insert."""
    return prediction_log.insert_predictions(engine, use_case, [row.to_columns() for row in rows])
