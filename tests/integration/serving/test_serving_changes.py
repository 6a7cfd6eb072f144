"""The real service while things change around it: a new champion, an outage of MariaDB, a stop."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from evergreen.errors import ServingError
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import predict_rows
from evergreen.registry.models import load_model
from support.serving_world import Service, World, running
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("first_champion")


def test_a_new_champion_is_swapped_in_under_load_without_a_failed_request(
    made: World, service: Service
) -> None:
    service.settle(made.versions[0])
    eventually(service.drained)
    before = made.logged()
    rows = made.rows(40, seed=33)
    expected = {}
    for version in made.versions:
        outcome = predict_rows(
            made.use_case,
            load_model(made.settings, made.use_case, version),
            build_columns_from_rows(made.use_case, rows),
        )
        expected[version] = outcome.probability.tolist()
    stop = threading.Event()
    versions: Counter[int] = Counter()
    faults: list[str] = []
    lock = threading.Lock()

    def send(start: int) -> None:
        with service.client() as client:
            number = start
            while not stop.is_set():
                number = (number + 1) % len(rows)
                try:
                    answer = client.predict(rows[number])
                except ServingError as error:
                    with lock:
                        faults.append(str(error))
                    continue
                version = answer["model_version"]
                right = expected[version][number]
                with lock:
                    versions[version] += 1
                    if abs(answer["probability"] - right) > 1e-12:
                        faults.append(f"v{version} answered {answer['probability']} instead of {right}")

    threads = [threading.Thread(target=send, args=(start,)) for start in range(0, 40, 10)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: versions[made.versions[0]] > 50)
        made.promote(made.versions[1])
        eventually(lambda: versions[made.versions[1]] > 50)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert faults == []
    assert set(versions) == set(made.versions)
    eventually(lambda: made.logged() >= before + versions.total())
    assert made.logged() == before + versions.total()


def test_predictions_survive_an_absence_of_mariadb(made: World, service: Service) -> None:
    eventually(service.drained)
    before = made.logged()
    made.database.stop()
    try:
        with service.client() as client:
            answers = [client.predict(r) for r in made.rows(30, seed=41)]
            answers += client.predict_batch(made.rows(200, seed=42))
            eventually(lambda: client.metadata()["log"]["trouble"] != "")
            assert client.metadata()["log"]["spooled"] == 230
            with pytest.raises(ServingError, match="does not answer"):
                client.predict_by_key({"parcel_id": 1})
            assert client.feedback(answers[0]["prediction_id"], "yes")["recorded"] is True
            assert client.ready()
    finally:
        made.database.start()
    eventually(service.drained)
    assert made.logged() == before + 230
    with service.client() as client:
        log = client.metadata()["log"]
    assert (log["refused"], log["dropped"], log["spoilt"], log["trouble"]) == (0, 0, 0, "")
    assert log["accepted"] + log["adopted"] == log["written"]


def accepts_connections(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as connection:
        return connection.connect_ex((address.hostname, address.port)) == 0


def test_a_graceful_stop_drains_the_log_also_without_mariadb(made: World, tmp_path: Path) -> None:
    before = made.logged()
    with running(made, tmp_path / "first") as service:
        with service.client() as client:
            client.predict_batch(made.rows(400, seed=51))
            for sent in made.rows(20, seed=52):
                client.predict(sent)
        service.stop()
    assert made.logged() == before + 420
    with running(made, tmp_path / "second") as service:
        made.database.stop()
        try:
            with service.client() as client:
                client.predict_batch(made.rows(300, seed=53))
            service.process.terminate()
            # Not kept waiting for the drain: nobody would answer.
            eventually(lambda: not accepts_connections(service.url), 10)
            assert service.process.poll() is None
            service.stop()
        finally:
            made.database.start()
    assert made.logged() == before + 420
    with running(made, tmp_path / "third"):
        eventually(lambda: made.logged() == before + 720)
    assert made.logged() == before + 720
