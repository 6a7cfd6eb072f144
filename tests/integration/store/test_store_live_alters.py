"""Changes of the prediction log's tables beside a session that keeps them; real MariaDB."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.store.migrations import alter
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.outcomes import Outcome, insert_outcomes
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.tables.evolve import apply_declaration, diff_tables
from evergreen.store.tables.partitions import maintain_partitions
from evergreen.store.tables.prediction_tables import update_prediction_tables
from evergreen.usecase import OnDemandFeature, UseCase
from support.toy_schema import LOG, rows

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OUTCOME = "toy__outcome"


def visits_per_age(visits, age):  # type: ignore[no-untyped-def]
    """Visits by age."""
    return visits / age


def log_one(database: sa.Engine, use_case: UseCase) -> None:
    """A prediction and its outcome, as a service writes them."""
    noise = (uuid.uuid4().int & ((1 << 62) - 1)) | (0b10 << 62)
    made = str(uuid.UUID(int=(int(NOON.timestamp() * 1000) << 80) | (0x7 << 76) | noise))
    insert_predictions(database, use_case, [PredictionRow(made, 1, "online", {"age": 30}, "yes")])
    insert_outcomes(database, use_case, [Outcome(made, made, "no", NOON)])


def grow(use_case: UseCase) -> UseCase:
    return replace(use_case, on_demand=(*use_case.on_demand, OnDemandFeature(visits_per_age)))


CHANGES: dict[str, Callable[[sa.Engine, UseCase], object]] = {
    "partitions": lambda database, use_case: maintain_partitions(database, use_case, NOON),
    "declaration": lambda database, use_case: apply_declaration(database, grow(use_case)),
    "service": lambda database, use_case: update_prediction_tables(database, grow(use_case)),
}


@pytest.mark.parametrize(
    ("change", "table"),
    [("partitions", LOG), ("partitions", OUTCOME), ("declaration", LOG), ("service", LOG)],
)
def test_a_change_waits_for_a_reader_and_lets_writers_pass(
    database: sa.Engine, toy_use_case: UseCase, change: str, table: str
) -> None:
    log_one(database, toy_use_case)
    with ThreadPoolExecutor(2) as pool:
        with database.connect() as reader:
            reader.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar()
            changing = pool.submit(CHANGES[change], database, toy_use_case)
            for _ in range(5):
                time.sleep(0.3)
                # Were it queued behind the change, it would wait as long as the reader does.
                pool.submit(log_one, database, toy_use_case).result(30)
            assert not changing.done()
            reader.rollback()
        changing.result(60)
    assert rows(database, f"SELECT COUNT(*) FROM {LOG}") == [(6,)]
    assert rows(database, f"SELECT COUNT(*) FROM {OUTCOME}") == [(6,)]


def test_given_up_it_leaves_nothing_half_done(
    database: sa.Engine, toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_case = replace(toy_use_case, serving=replace(toy_use_case.serving, retention=10 * DAY))
    log_one(database, use_case)
    maintain_partitions(database, use_case, NOON)
    partitions = (
        "SELECT table_name, partition_name FROM information_schema.partitions"
        " WHERE table_schema = DATABASE() AND partition_name IS NOT NULL"
        " ORDER BY table_name, partition_ordinal_position"
    )
    before = rows(database, partitions)
    monkeypatch.setattr(alter, "_PATIENCE_SECONDS", 1.0)
    later = NOON + 12 * DAY
    with database.connect() as reader:
        reader.exec_driver_sql(f"SELECT COUNT(*) FROM {LOG}").scalar()
        with pytest.raises(StoreError, match=f"{LOG} was in use by another session") as refusal:
            maintain_partitions(database, use_case, later)
        with pytest.raises(StoreError, match=f"{LOG} was in use by another session"):
            apply_declaration(database, grow(use_case))
        reader.rollback()
    assert "SHOW PROCESSLIST" in refusal.value.hint
    assert rows(database, partitions) == before
    assert rows(database, f"SELECT COUNT(*) FROM {LOG}") == [(1,)]
    assert diff_tables(database, use_case) == []
    log_one(database, use_case)
    result = maintain_partitions(database, use_case, later)
    assert (len(result["added"]), result["dropped"]) == (12, ["p20260610", "p20260611"])
