"""The verb monitor keeps the prediction log in daily partitions, and no longer than declared."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from evergreen.loop import monitor
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_log import count_predictions, insert_predictions
from evergreen.store.records.drift import DriftReport
from evergreen.usecase import UseCase

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


def logged(moment: datetime) -> dict[str, Any]:
    """A logged prediction; its id is a UUIDv7 of that moment (RFC 9562)."""
    prediction_id = uuid.UUID(int=int(moment.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62)
    return {"prediction_id": str(prediction_id), "model_version": 1, "channel": "online", "prediction": "no"}


def test_monitoring_partitions_the_log_and_drops_what_is_too_old(
    toy_store: Settings, toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = DriftReport("x", "toy", NOW, 1, NOW, NOW, 0, None, "")
    monkeypatch.setattr(monitor, "_find_or_measure_report", lambda *_: report)
    database = get_engine(toy_store)
    old = NOW - toy_use_case.serving.retention - timedelta(days=2)
    insert_predictions(database, toy_use_case, [logged(old), logged(NOW)])
    monitor.measure_drift(toy_store, "toy", NOW)
    assert count_predictions(database, toy_use_case).total == 1
    with database.connect() as connection:
        partitions = set(
            connection.execute(
                sa.text(
                    "SELECT partition_name FROM information_schema.partitions"
                    " WHERE table_schema = DATABASE() AND table_name = 'toy__prediction'"
                )
            ).scalars()
        )
    assert {"p20260801", "p20260808", "pmax"} <= partitions
