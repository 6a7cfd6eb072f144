"""Outcomes of predictions as the service appends them."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from uuid_utils import uuid7

from evergreen.store.predictions.outcomes import Outcome, insert_outcomes
from evergreen.usecase import UseCase


def record_outcome(
    database: sa.Engine, use_case: UseCase, prediction_id: str, actual: str | float, at: datetime
) -> None:
    """Append one outcome with a new id."""
    insert_outcomes(database, use_case, [Outcome(str(uuid7()), prediction_id, actual, at)])
