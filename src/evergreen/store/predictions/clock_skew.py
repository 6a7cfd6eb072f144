"""Predictions of the future: rows of services whose clocks are ahead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.tables import declared
from evergreen.usecase import UseCase


@dataclass(frozen=True)
class FuturePredictions:
    """How many answered requests carry a time after some moment, and the latest of these times (aware UTC);
    None without any."""

    rows: int
    latest: datetime | None


def find_future_predictions(engine: sa.Engine, use_case: UseCase, after: datetime) -> FuturePredictions:
    """The requests answered after a moment (aware UTC), the present for one who looks for clocks that are
    ahead. None before the use case's tables exist. Raises StoreUnreachable."""
    table = declared.build_prediction_table(use_case)
    statement = sa.select(sa.func.count(), sa.func.max(table.c.predicted_at)).where(
        table.c.predicted_at > to_naive_utc(after), table.c.channel.in_(TRAFFIC)
    )
    with engine.connect() as connection:
        for count, latest in execute_if_table_exists(connection, statement):
            return FuturePredictions(int(count), to_aware_utc(latest) if latest else None)
    return FuturePredictions(0, None)
