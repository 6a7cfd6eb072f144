"""SIGKILL of every process of the service: what was answered is in MariaDB, once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from evergreen.errors import ServingError
from evergreen.stack.processes import warden
from evergreen.store.connection.database import get_engine
from evergreen.store.tables.declared import build_prediction_table
from support.serving_world import Service, World, running
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("first_champion")

KILLS = 3


def kill_all(service: Service) -> None:
    """SIGKILL to the service and all below it, as the kernel sends it when memory is short."""
    warden.signal_processes({service.process.pid, *warden.find_descendants(service.process.pid)}, 9)
    service.process.wait(30)


def send_until(stop: threading.Event, service: Service, world: World, seed: int, answered: list[str]) -> None:
    """Send single predictions and small batches until the service has gone; note each id that was
    answered.
    """
    rows = world.rows(50, seed)
    with service.client(timeout=10) as client:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                if number % 10 == 0:
                    answers = client.predict_batch(rows[:7])
                else:
                    answers = [client.predict(rows[number % 50])]
            except ServingError:
                return
            answered.extend(answer["prediction_id"] for answer in answers)


def read_ids(world: World) -> Counter[str]:
    table = build_prediction_table(world.use_case)
    with get_engine(world.settings).connect() as connection:
        return Counter(connection.execute(table.select()).scalars())


def test_every_answered_prediction_is_logged_once(made: World, tmp_path: Path) -> None:
    answered: list[str] = []
    draw = random.Random(7)
    for number in range(KILLS):
        with running(made, tmp_path / f"run{number}") as service:
            stop = threading.Event()
            threads = [
                threading.Thread(target=send_until, args=(stop, service, made, seed, answered))
                for seed in range(4)
            ]
            for thread in threads:
                thread.start()
            time.sleep(draw.uniform(0.3, 1.5))
            kill_all(service)
            stop.set()
            for thread in threads:
                thread.join()
    assert len(answered) > 50 * KILLS
    with running(made, tmp_path / "last") as service:
        eventually(lambda: set(answered) <= set(read_ids(made)), 60)
        eventually(service.drained)
        ids = read_ids(made)
        assert {ids[each] for each in answered} == {1}
        # Its shipper took over what the killed ones had left, and nothing else is on disk.
        folders = list((made.settings.home / "predictions").glob("parcel-*/"))
        assert len(folders) == 1
        assert not (made.settings.home / "predictions" / "spoilt").exists()
