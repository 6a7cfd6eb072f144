"""SIGKILL of every process of the service: what was answered is in MariaDB, once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from evergreen.errors import ServingError
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.model.reference_profile import (
    SlicedProfiles,
    arrange_profiles,
    build_reference_profile,
    save_reference_profile,
)
from evergreen.monitoring.counts.recount import recount_hours
from evergreen.stack.processes import warden
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.counts import read_hourly_counts
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


@pytest.fixture(scope="module", autouse=True)
def profiles(made: World) -> SlicedProfiles:
    """The reference profile of every version, before anything is logged."""
    columns = add_on_demand_columns(
        made.use_case, build_columns_from_rows(made.use_case, made.rows(200, seed=99))
    )
    answers = np.array(["no", "yes"] * 100, dtype=object)
    built = build_reference_profile(made.use_case, columns, answers)
    for version in made.versions:
        save_reference_profile(get_engine(made.settings), made.use_case.name, version, built)
    return arrange_profiles(built)


def assert_counted(world: World, profiles: SlicedProfiles) -> None:
    """The counts that were kept are those of the log, of every version and hour."""
    database = get_engine(world.settings)
    now = datetime.now(UTC)
    hours = (now - timedelta(days=1), now + timedelta(hours=1))
    rows = 0
    for version in world.versions:
        kept = read_hourly_counts(database, world.use_case.name, version, *hours)
        with database.connect() as connection:
            anew = recount_hours(connection, world.use_case, version, profiles, *hours)
        assert kept.hours == anew.hours
        assert kept.counted.tolist() == kept.rows.tolist() == anew.rows.tolist()
        for feature, bins in anew.counts.get("", {}).items():
            if anew.hours:
                assert kept.counts[""][feature].tolist() == bins.tolist()
        rows += int(kept.rows.sum())
    assert rows == len(read_ids(world)) > 0


def test_every_answered_prediction_is_logged_once(
    made: World, profiles: SlicedProfiles, tmp_path: Path
) -> None:
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
        assert_counted(made, profiles)
