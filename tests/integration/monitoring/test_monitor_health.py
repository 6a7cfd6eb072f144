"""The health of a real store: skew against what MariaDB held then, freshness, outcomes, and rows that are
kept."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa
from uuid_utils import uuid7

from evergreen.loop.monitoring import health
from evergreen.loop.monitoring.health import read_service_counts
from evergreen.monitoring.health.measure import measure_health
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.history.held_rows import find_newest_held_row, read_held_rows
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.records.checks.drift import DriftReport
from evergreen.store.records.checks.health import (
    HealthFinding,
    HealthReport,
    find_previous_health_report,
    read_health_report,
    save_health_report,
)
from evergreen.usecase import UseCase
from support.alert_receiver import receiving
from support.outcomes import record_outcome
from support.toy_loads import load

JULY = datetime(2026, 7, 1, tzinfo=UTC)


def log_predictions(
    settings: Settings, use_case: UseCase, rows: pd.DataFrame, **changes: object
) -> list[str]:
    """Predictions of now from these rows of the store, with some of their values changed."""
    documents = []
    for row in rows.drop(columns="event_time").to_dict("records"):
        values = {name: None if value != value else value for name, value in row.items()}
        values |= {"prediction_id": str(uuid7()), "model_version": 1, "channel": "online"}
        documents.append({**values, "prediction": "no", "probability": 0.8, **changes})
    predictions = [PredictionRow.from_json(document) for document in documents]
    insert_predictions(get_engine(settings), use_case, predictions)
    return [each.prediction_id for each in predictions]


def build_report() -> DriftReport:
    """A check of what was predicted in the last hour."""
    now = datetime.now(UTC) + timedelta(seconds=1)
    return DriftReport("r1", "toy", now, 1, now - timedelta(hours=1), now, 60, False, "fine")


def find(report: HealthReport, what: str) -> list[HealthFinding]:
    return [finding for finding in report.findings if finding.what == what]


@pytest.fixture
def newest(toy_frames: Callable[..., dict[str, pd.DataFrame]]) -> pd.DataFrame:
    """The newest row of each client of `toy_store`."""
    return toy_frames(600)["facts"].sort_values("event_time").groupby("client_id", as_index=False).tail(1)


def test_vectors_of_the_store_have_no_skew_and_others_do(
    toy_store: Settings, toy_use_case: UseCase, newest: pd.DataFrame
) -> None:
    engine = get_engine(toy_store)
    log_predictions(toy_store, toy_use_case, newest.head(60))
    health = measure_health(engine, toy_use_case, build_report(), None, datetime.now(UTC))
    [skew] = find(health, "skew")
    assert (skew.severity, skew.value) == ("ok", 0.0)
    log_predictions(toy_store, toy_use_case, newest.head(20), age=121)
    log_predictions(toy_store, toy_use_case, newest.head(5).assign(client_id=999_999))
    health = measure_health(engine, toy_use_case, build_report(), None, datetime.now(UTC))
    [skew] = find(health, "skew")
    assert (skew.subject, skew.severity, skew.value) == ("age", "warning", 0.25)
    assert "age differs from the store in 20 of 80 predictions (121 instead of " in skew.sentence


def test_a_later_load_does_not_make_earlier_predictions_differ(
    toy_store: Settings, toy_use_case: UseCase, newest: pd.DataFrame
) -> None:
    engine, view = get_engine(toy_store), toy_use_case.views[0]
    log_predictions(toy_store, toy_use_case, newest.head(30))
    before = datetime.now(UTC)
    later = newest.head(30).assign(age=77.0, event_time=newest["event_time"].max() + timedelta(days=1))
    load(engine, toy_use_case, JULY + timedelta(days=1), {"facts": later})
    health = measure_health(engine, toy_use_case, build_report(), None, datetime.now(UTC))
    assert [finding.severity for finding in find(health, "skew")] == ["ok"]
    key = (int(newest["client_id"].iloc[0]),)
    rows = read_held_rows(engine, toy_use_case, view, [key])[key]
    old, new = find_newest_held_row(rows, before), find_newest_held_row(rows, datetime.now(UTC))
    assert old is not None
    assert new is not None
    assert (old.values["age"] == newest["age"].iloc[0], new.values["age"]) == (True, 77)
    assert find_newest_held_row(rows, JULY) is None  # the rows were loaded by this test


def test_outcomes_and_clocks_are_looked_at(
    toy_store: Settings, toy_use_case: UseCase, newest: pd.DataFrame
) -> None:
    engine, now = get_engine(toy_store), datetime.now(UTC)
    first, second, _ = log_predictions(toy_store, toy_use_case, newest.head(3))
    for actual in ("no", "yes"):
        record_outcome(engine, toy_use_case, first, actual, now)
    for actual in ("no", "no"):
        record_outcome(engine, toy_use_case, second, actual, now)
    record_outcome(engine, toy_use_case, str(uuid7()), "no", now - timedelta(hours=2))
    health = measure_health(engine, toy_use_case, build_report(), None, now - timedelta(minutes=6))
    assert {f.subject: (f.severity, f.value) for f in find(health, "outcomes")} == {
        "orphans": ("warning", 1.0),
        "contradictions": ("warning", 1.0),
    }
    [clock] = find(health, "clock")
    assert (clock.severity, clock.value) == ("error", 3.0)
    assert [f.severity for f in find(health, "service")] == ["unknown"]


def test_a_use_case_without_rows_is_no_silent_ok(database: sa.Engine, toy_use_case: UseCase) -> None:
    health = measure_health(database, toy_use_case, build_report(), None, datetime.now(UTC))
    assert health.severity == "error"
    assert {f.subject: f.sentence for f in find(health, "freshness")} == {
        "facts": "facts has no rows",
        "leaves": "leaves has no rows",
        "": "nothing was ever loaded",
    }
    assert [f.severity for f in find(health, "skew")] == ["unknown"]


def test_a_topic_that_fails_is_unknown_with_its_reason(
    toy_store: Settings, toy_use_case: UseCase, newest: pd.DataFrame
) -> None:
    log_predictions(toy_store, toy_use_case, newest.head(3))
    history = toy_use_case.history_table(toy_use_case.views[0])
    with get_engine(toy_store).begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {history} RENAME COLUMN mood TO temper")
    health = measure_health(get_engine(toy_store), toy_use_case, build_report(), None, datetime.now(UTC))
    [skew] = find(health, "skew")
    assert skew.severity == "unknown"
    assert skew.sentence.startswith("could not be looked at: ")


def test_findings_are_rows_that_are_written_once(database: sa.Engine) -> None:
    finding = HealthFinding("freshness", "facts", "warning", "older than it should be", 10.5, 5.0)
    other = HealthFinding("service", "requests", "ok", "some", 5.0, counters={"answered": 5})
    report = HealthReport("toy", JULY, (finding, other))
    assert read_health_report(database, "r1") is None
    assert save_health_report(database, "r1", report) == report
    changed = replace(report, findings=(other,))
    assert save_health_report(database, "r1", changed) == report
    assert read_health_report(database, "r1") == report
    later, requests = JULY + timedelta(days=2), ("service", "requests")
    silent = HealthFinding("service", "", "warning", "the service tells nothing")
    save_health_report(database, "r2", HealthReport("toy", JULY + timedelta(days=1), (silent,)))
    assert find_previous_health_report(database, "toy", later, *requests) == report
    assert find_previous_health_report(database, "toy", JULY, *requests) is None
    assert find_previous_health_report(database, "other", later, *requests) is None


def test_a_service_that_does_not_answer_is_told_and_raises_nothing(settings: Settings) -> None:
    assert read_service_counts(settings, "toy") is None
    with receiving() as receiver:
        address = f"http://127.0.0.1:{receiver.port}"
        known = settings.model_copy(update={"service_urls": {"toy": address}})
        counts = read_service_counts(known, "toy")
        assert counts is not None
        assert counts.trouble == "/metrics answers 501"  # it only takes POST
    counts = read_service_counts(known, "toy")
    assert counts is not None
    assert counts.trouble == f"it does not answer at {address} (ConnectError)"
    wrong = settings.model_copy(update={"service_urls": {"toy": "nonsense"}})
    counts = read_service_counts(wrong, "toy")
    assert counts is not None
    assert counts.trouble


def test_a_service_whose_page_has_no_end_is_left_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trickle(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b"# a comment\n" * 10)
                    time.sleep(0.01)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trickle)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        known = settings.model_copy(update={"service_urls": {"toy": address}})
        monkeypatch.setattr(health, "_PAGE_SECONDS", 0.2)
        counts = read_service_counts(known, "toy")
        assert counts is not None
        assert counts.trouble == "its page of metrics takes longer than 0.2 s"
        monkeypatch.setattr(health, "_PAGE_SECONDS", 60.0)
        monkeypatch.setattr(health, "_LONGEST_PAGE", 500)
        counts = read_service_counts(known, "toy")
        assert counts is not None
        assert counts.trouble == "its page of metrics is longer than 500 bytes"
    finally:
        server.shutdown()
        server.server_close()
