"""Errors that name servers, databases or folders are worded for callers; the log has their own words."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from evergreen.errors import EvergreenError, InvalidRequest, PredictionLogFull, StoreUnreachable
from evergreen.serving.http import public_errors
from evergreen.serving.http.error_bodies import build_fault_response
from evergreen.serving.http.public_errors import ThrottledLog
from evergreen.serving.models.slot import ModelSlot
from evergreen.serving.predictions.record import SegmentSchema
from evergreen.serving.predictions.spool import Spool
from evergreen.settings import Settings
from evergreen.store.connection.database import dispose_engines, get_engine


@pytest.fixture(autouse=True)
def _fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_errors, "_log", ThrottledLog())


def raise_from_store(folder: Path) -> None:
    settings = Settings(
        home=folder, mariadb_socket=folder / "secret.sock", mariadb_database="secret_database"
    )
    try:
        get_engine(settings).connect()
    finally:
        dispose_engines(settings)


def raise_from_spool(folder: Path) -> None:
    spool = Spool(folder / "secret", SegmentSchema(1, "parcel", (), (), ()), limit_bytes=1)
    spool.append([b"x"], 1)


def raise_from_slot(_: Path) -> None:
    slot = ModelSlot(lambda: None, lambda _: None, poll_seconds=1)  # type: ignore[arg-type, return-value]
    slot.trouble = "MLflow at http://secret:5000 does not answer"
    slot.require()


@pytest.mark.parametrize("fail", [raise_from_store, raise_from_spool, raise_from_slot])
def test_an_answer_names_no_server_and_no_folder_and_the_log_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fail: object
) -> None:
    assert callable(fail)
    with caplog.at_level(logging.WARNING):
        with pytest.raises(EvergreenError) as raised:
            fail(tmp_path)
        response = build_fault_response("/predict", raised.value)
    assert response.status_code == 503
    body = bytes(response.body).decode()
    assert "secret" not in body
    assert "EVERGREEN_" not in body
    assert "secret" in caplog.text


def test_what_is_the_callers_own_matter_is_told_in_its_own_words() -> None:
    response = build_fault_response("/predict", InvalidRequest("weight: too heavy", hint="send less"))
    assert b"weight: too heavy" in bytes(response.body)


def test_an_outage_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(50):
        build_fault_response("/predict", StoreUnreachable("MariaDB is away", hint=""))
        build_fault_response("/predict", PredictionLogFull("the disk is full", hint=""))
    assert len(caplog.records) == 2
