"""Outcomes that are learned long after the answer, and monitors of moments that do not fit."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import SettingsError
from evergreen.ingest.loading.load import load_parts as load_frames
from evergreen.loop import monitor, train
from evergreen.monitoring.quality.labelled_rows import LabelledSelection, select_labelled_rows
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.records.checks import drift
from evergreen.store.records.ingest_run import start_ingest
from support.outcomes import record_outcome

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def answered(database, toy_use_case):
    """A function that logs one answer of version 1 for a client at a moment, and returns its id."""

    def log(client, at, prediction="no", version=1, channel="online"):
        milliseconds = int(at.timestamp() * 1000)
        noise = (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
        made = str(uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | noise))
        row = PredictionRow(made, version, channel, {"client_id": client}, prediction)
        assert insert_predictions(database, toy_use_case, [row]) == 1
        return made

    return log


@pytest.fixture
def learned(database, toy_use_case):
    """A function that ingests, as of a moment, the label of a client at an event time."""

    def load(as_of, *labels):
        frame = pd.DataFrame(labels, columns=["client_id", "event_time", "leaves"])
        frame = frame.astype({"event_time": "datetime64[us, UTC]", "leaves": object})
        run = start_ingest(database, toy_use_case, as_of)
        load_frames(database, toy_use_case, run.id, {"label": frame})

    return load


@pytest.fixture
def pairs(database, toy_use_case):
    """(prediction, actual) of what was learned in the seven days before a moment, sorted."""

    def read(as_of, version=1):
        selection = LabelledSelection(as_of, as_of - toy_use_case.drift.window, version=version)
        labelled = select_labelled_rows(toy_use_case, selection, ["prediction"])
        with database.connect() as connection:
            return sorted(tuple(row) for row in connection.execute(sa.select(labelled)))

    return read


def test_feedback_counts_when_it_arrives_however_old_the_answer_is(database, toy_use_case, answered, pairs):
    old = answered(1, NOW - 40 * DAY)
    record_outcome(database, toy_use_case, old, "yes", NOW - DAY)
    known_before = answered(2, NOW - 40 * DAY)
    record_outcome(database, toy_use_case, known_before, "no", NOW - 8 * DAY)
    known_after = answered(3, NOW - 2 * DAY)
    record_outcome(database, toy_use_case, known_after, "no", NOW + timedelta(hours=1))
    assert pairs(NOW) == [("no", "yes")]
    assert pairs(NOW, version=2) == []


def test_an_ingested_label_judges_the_answers_given_before_it_was_known(answered, learned, pairs):
    # The toy's labels are known seven days after their event.
    event = NOW - 8 * DAY
    answered(1, event - timedelta(seconds=1))  # not yet true
    answered(1, event, "yes")
    answered(1, event + 6 * DAY, "no")
    answered(1, event + 7 * DAY)  # known by then
    answered(2, event)  # another client
    answered(1, event, channel="canary")
    learned(NOW - DAY, (1, event, "yes"))
    assert pairs(NOW) == [("no", "yes"), ("yes", "yes")]
    assert pairs(NOW - timedelta(days=1, seconds=1)) == []  # not ingested then
    assert pairs(NOW + 7 * DAY) == []  # learned too long ago


def test_feedback_goes_before_a_label_and_the_newest_label_before_others(
    database, toy_use_case, answered, learned, pairs
):
    event = NOW - 10 * DAY
    told = answered(1, event, "no")
    record_outcome(database, toy_use_case, told, "no", NOW - DAY)
    answered(2, event + 2 * DAY, "no")
    learned(NOW - DAY, (1, event, "yes"), (2, event, "no"), (2, event + DAY, "yes"))
    assert pairs(NOW) == [("no", "no"), ("no", "yes")]


def test_a_corrected_label_is_judged_as_it_was_corrected(answered, learned, pairs):
    event = NOW - 9 * DAY
    answered(1, event)
    learned(NOW - 2 * DAY, (1, event, "yes"))
    learned(NOW - DAY, (1, event, "no"))
    assert pairs(NOW) == [("no", "no")]


def test_a_moment_before_the_champion_has_an_empty_window_and_an_honest_reason(toy_store):
    train.run_train(toy_store, "toy", datetime(2026, 7, 1, tzinfo=UTC))
    early = datetime(2026, 7, 2, tzinfo=UTC)
    outcome = monitor.run_monitor(toy_store, "toy", early)
    assert outcome["reason"].startswith("no, because there is no verdict: 0 of 100 predictions")
    made = drift.find_report(get_engine(toy_store), "toy", early)
    assert made is not None
    assert made.window_start == made.window_end == early


def test_quality_through_the_verb(toy_store, toy_use_case):
    train.run_train(toy_store, "toy", datetime(2026, 7, 1, tzinfo=UTC))
    database, now = get_engine(toy_store), datetime.now(UTC)
    milliseconds = int((now - 40 * DAY).timestamp() * 1000)
    old = str(uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (0b10 << 62)))
    row = PredictionRow(old, 1, "online", {}, "no")
    insert_predictions(database, toy_use_case, [row])
    record_outcome(database, toy_use_case, old, "no", now - DAY)
    found = monitor.measure_quality(toy_store, "toy", now)
    assert (found["predictions"], found["labelled"], found["accuracy"]) == (0, 1, 1.0)


def test_a_moment_in_the_future_is_refused_and_leaves_nothing(toy_store):
    for verb in (monitor.measure_drift, monitor.measure_quality, monitor.decide_retraining):
        with pytest.raises(SettingsError, match="in the future"):
            verb(toy_store, "toy", datetime(2062, 1, 1, tzinfo=UTC))
    with get_engine(toy_store).connect() as connection:
        assert connection.execute(sa.text("SELECT COUNT(*) FROM drift_report")).scalar() == 0
