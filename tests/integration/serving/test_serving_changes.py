"""The real service while things change around it: a new champion, an outage of MariaDB, a stop."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from evergreen.errors import ServingError
from evergreen.serving.predictions.segments import (
    FINISHED_SUFFIX,
    OPEN_SUFFIX,
    TAKEN_SUFFIX,
    list_segments,
)
from support.serving_world import Service, World, running
from support.steady_load import predict_probabilities, send_steadily
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("first_champion")


def test_a_new_champion_is_swapped_in_under_load_without_a_failed_request(
    made: World, service: Service
) -> None:
    service.settle(made.versions[0])
    eventually(service.drained)
    before = made.logged()
    rows = made.rows(40, seed=33)
    expected = {version: predict_probabilities(made, version, rows) for version in made.versions}
    with send_steadily(service, rows, expected) as load:
        eventually(lambda: load.answers[made.versions[0]] > 50)
        made.promote(made.versions[1])
        eventually(lambda: load.answers[made.versions[1]] > 50)
    assert load.faults == []
    assert set(load.answers) == set(made.versions)
    eventually(lambda: made.logged() >= before + load.answers.total())
    assert made.logged() == before + load.answers.total()


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
            folders = made.settings.home.glob("predictions/parcel-*")
            suffixes = (FINISHED_SUFFIX, TAKEN_SUFFIX, OPEN_SUFFIX)
            # Another service of this home may deliver them as soon as MariaDB is back.
            assert any(list_segments(folder, suffix) for folder in folders for suffix in suffixes)
        finally:
            made.database.start()
    with running(made, tmp_path / "third"):
        eventually(lambda: made.logged() == before + 720)
    assert made.logged() == before + 720
