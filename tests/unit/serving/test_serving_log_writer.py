"""The prediction log: nothing accepted is lost while MariaDB is away, slow or picky, nor at a stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evergreen.errors import PredictionLogFull, StoreUnreachable
from evergreen.loop.score import compute_prediction_id
from evergreen.serving.predictions.log_writer import PredictionLog
from evergreen.serving.predictions.spool import PredictionSpool
from evergreen.store.predictions.prediction_row import InputValue, PredictionRow
from support.waiting import eventually


class Database:
    """Keeps rows by id as INSERT IGNORE would; can be away, and can refuse rows."""

    def __init__(self) -> None:
        self.rows: dict[str, PredictionRow] = {}
        self.away = False
        self.groups: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def write(self, rows: Sequence[PredictionRow]) -> None:
        self.gate.wait(60)
        if self.away:
            raise StoreUnreachable("MariaDB is away")
        if any(row.inputs["weight"] == "bad" for row in rows):
            raise ValueError("bad weight")
        self.groups.append(len(rows))
        for row in rows:
            self.rows.setdefault(row.prediction_id, row)


def id_of(number: int) -> str:
    at = datetime(2026, 1, 1, 12, 30, 0, 125000, tzinfo=UTC)
    return str(compute_prediction_id("parcel", at, (number,)))


def make_rows(count: int, start: int = 0, weight: InputValue = 1.5) -> list[PredictionRow]:
    return [
        PredictionRow(id_of(n), 1, "online", {"weight": weight}, "a", 0.5, {"a": 0.5})
        for n in range(start, start + count)
    ]


@pytest.fixture
def database() -> Database:
    return Database()


def log_on(database: Database, home: Path, **options: Any) -> PredictionLog:
    options = {"group_seconds": 0.02, "retry_seconds": (0.02, 0.05), **options}
    spill = PredictionSpool(home, "parcel", segment_rows=options.pop("segment_rows", 2000))
    log = PredictionLog(
        database.write, spill, is_row_at_fault=lambda error: isinstance(error, ValueError), **options
    )
    log.start()
    return log


def test_rows_are_written_in_groups(database: Database, tmp_path: Path) -> None:
    log = log_on(database, tmp_path)
    database.gate.clear()
    for number in range(300):
        log.put(make_rows(1, number))
    database.gate.set()
    assert log.flush(60)
    assert len(database.rows) == log.written == log.accepted == sum(database.groups) == 300
    assert len(database.groups) <= 2  # what came during the first write went together
    log.stop()
    assert list(tmp_path.iterdir()) == []


def test_stop_drains(database: Database, tmp_path: Path) -> None:
    log = log_on(database, tmp_path, group_seconds=60)
    log.put(make_rows(2500))
    log.stop()
    assert len(database.rows) == 2500
    assert (log.queued, log.spilled, log.lost) == (0, 0, 0)


def test_an_outage_is_survived_in_the_same_process(database: Database, tmp_path: Path) -> None:
    log = log_on(database, tmp_path, segment_rows=50)
    database.away = True
    for start in range(0, 400, 20):
        log.put(make_rows(20, start))
        time.sleep(0.002)
    eventually(lambda: log.spilled == 400)
    assert log.flush(0.05) is False
    database.away = False
    assert log.flush(60)
    assert len(database.rows) == log.written == 400
    assert log.spilled == 0
    log.stop()
    assert list(tmp_path.iterdir()) == []


def test_rows_that_wait_at_the_stop_are_written_by_the_next_process(
    database: Database, tmp_path: Path
) -> None:
    database.away = True
    log = log_on(database, tmp_path)
    log.put(make_rows(120))
    log.stop()
    assert log.spilled == 120
    database.away = False
    after = log_on(database, tmp_path)
    assert after.flush(60)
    after.stop()
    assert database.rows[id_of(7)] == make_rows(1, 7)[0]
    assert len(database.rows) == 120
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_touch_each_others_rows(database: Database, tmp_path: Path) -> None:
    database.away = True
    first = log_on(database, tmp_path)
    first.put(make_rows(10))
    eventually(lambda: first.spilled == 10)
    second = log_on(database, tmp_path)
    assert second.accepted == 0
    second.stop()
    database.away = False
    assert first.flush(60)
    first.stop()
    assert len(database.rows) == 10


def test_a_row_at_fault_does_not_hold_up_the_others(database: Database, tmp_path: Path) -> None:
    refused: list[PredictionRow] = []
    log = log_on(database, tmp_path, refuse=lambda row, error: refused.append(row))
    log.put([*make_rows(60), *make_rows(1, 60, weight="bad"), *make_rows(60, 61)])
    assert log.flush(60)
    log.stop()
    assert len(database.rows) == log.written == 120
    assert [row.prediction_id for row in refused] == [id_of(60)]
    assert log.lost == 1


def test_a_full_queue_refuses_instead_of_losing(database: Database, tmp_path: Path) -> None:
    log = log_on(database, tmp_path, capacity=100, group_rows=10)
    database.gate.clear()  # the database hangs: neither an answer nor an error
    log.put(make_rows(10))
    eventually(lambda: log.queued == 10)
    log.put(make_rows(90, 10))
    with pytest.raises(PredictionLogFull, match="queue is full"):
        log.put(make_rows(11, 100))
    database.gate.set()
    assert log.flush(60)
    assert len(database.rows) == 100
    log.stop()


def test_a_database_that_hangs_at_the_stop_costs_nothing(database: Database, tmp_path: Path) -> None:
    log = log_on(database, tmp_path, group_rows=10)
    database.gate.clear()
    log.put(make_rows(50))
    eventually(lambda: log.queued == 50)
    log.stop(timeout=0.1)
    after = log_on(Database(), tmp_path)
    assert after.accepted == 50
    after.stop()
    database.gate.set()


def test_a_disk_that_is_full_too_keeps_the_rows_in_memory(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def full(self: PredictionSpool, rows: Sequence[PredictionRow]) -> None:
        tried.set()
        raise OSError(28, "No space left on device")

    log = log_on(database, tmp_path)
    database.away = True
    with monkeypatch.context() as patch:
        patch.setattr(PredictionSpool, "append", full)
        log.put(make_rows(30))
        eventually(tried.is_set)
        database.away = False
        assert log.flush(60)
    log.stop()
    assert len(database.rows) == 30


def test_many_threads_lose_nothing(database: Database, tmp_path: Path) -> None:
    log = log_on(database, tmp_path, segment_rows=100)

    def send(start: int) -> None:
        for number in range(start, start + 200):
            log.put(make_rows(1, number))

    threads = [threading.Thread(target=send, args=(start,)) for start in range(0, 1600, 200)]
    for thread in threads:
        thread.start()
    for away in (True, False, True, False):
        database.away = away
        time.sleep(0.03)
    for thread in threads:
        thread.join()
    assert log.flush(60)
    log.stop()
    assert len(database.rows) == log.written == 1600
