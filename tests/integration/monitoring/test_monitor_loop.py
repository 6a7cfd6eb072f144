"""Drift, quality and the governor on a real store, with the predictions of a real champion."""

from __future__ import annotations

import json
import secrets
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from evergreen.errors import NoChampion
from evergreen.loop import monitor, train
from evergreen.monitoring.evidence.collect import collect_governor_inputs
from evergreen.monitoring.evidence.retrains import find_retrain_under_way
from evergreen.registry import champion_history
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.predictions.refused import RefusedCount, insert_refused_counts
from evergreen.store.records.checks.decision import describe_latest_decision
from evergreen.store.records.checks.drift_summary import describe_latest_drift
from evergreen.store.records.checks.quality_metric import read_quality_metrics
from evergreen.store.records.training_run import start_training_run, update_training_run
from support.outcomes import record_outcome

TRAINED_AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def served(toy_store, toy_use_case, toy_frames):
    """A champion, and a function that logs `count` predictions of it at a moment, inputs moved by `shift`."""
    train.run_train(toy_store, "toy", TRAINED_AS_OF)
    seeds = iter(range(100, 200))

    def log(count, at, shift=0.0, version=1, channel="online"):
        facts = toy_frames(count, seed=next(seeds), shift=shift)["facts"].drop(columns="event_time")
        ids = [str(_id_at(at)) for _ in range(count)]
        documents = [
            {name: None if value != value else value for name, value in row.items()}
            | {
                "_on_demand": _compute_on_demand(row),
                "prediction_id": prediction_id,
                "predicted_at": at,
                "model_version": version,
                "channel": channel,
                "prediction": "no",
                "probability": 0.8,
                "probabilities": {"no": 0.8, "yes": 0.2},
            }
            for row, prediction_id in zip(facts.to_dict("records"), ids, strict=True)
        ]
        rows = [PredictionRow.from_json(document) for document in documents]
        assert insert_predictions(get_engine(toy_store), toy_use_case, rows) == count
        return ids

    return log


@pytest.fixture
def start(toy_store, served):
    """When the champion was promoted."""
    at = champion_history.find_promotion_time(get_engine(toy_store), "toy", 1)
    assert at is not None
    return at


def _compute_on_demand(row):
    """What a service logs beside the inputs."""
    share = row["spend"] / max(row["visits"], 1.0)
    return {"spend_per_visit": None if share != share else share}


def _id_at(at):
    """A UUIDv7 (RFC 9562) of that millisecond."""
    milliseconds = int(at.timestamp() * 1000)
    noise = (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | noise)


def minutes(count):
    return timedelta(minutes=count)


def test_usual_requests_bring_no_drift_and_a_recorded_no(toy_store, served, start):
    served(200, start + minutes(1))
    outcome = monitor.run_monitor(toy_store, "toy", start + minutes(2))
    assert outcome["drift"]["drifted"] is False
    assert outcome["retrain"] is False
    assert outcome["reason"].startswith("no, because 0 of 6 features drifted (largest PSI 0.0")
    assert json.loads(json.dumps(outcome)) == outcome
    decision = describe_latest_decision(get_engine(toy_store), "toy")
    assert decision is not None
    assert decision.to_json() == {
        "as_of": start + minutes(2),
        "retrain": False,
        "reason": outcome["reason"],
    }


def test_moved_requests_bring_drift_and_a_yes(toy_store, served, start):
    served(200, start + minutes(1), shift=2.0)
    outcome = monitor.run_monitor(toy_store, "toy", start + minutes(2))
    assert outcome["retrain"] is True
    assert outcome["reason"].startswith("yes, because 3 of 6 features drifted (largest PSI ")
    latest = describe_latest_drift(get_engine(toy_store), "toy")
    assert latest is not None
    assert latest.drifted is True
    assert latest.features_drifted == 3
    assert latest.predictions == 200
    assert {"visits", "spend"} <= set(latest.largest_psi)
    assert latest.quality is not None
    assert latest.quality.labelled == 0


def test_a_retraining_that_has_not_begun_or_waits_keeps_out_another(toy_store, toy_use_case, served, start):
    served(200, start + minutes(1), shift=2.0)
    assert monitor.run_monitor(toy_store, "toy", start + minutes(2))["retrain"] is True
    served(200, start + minutes(3), shift=2.0)
    second = monitor.run_monitor(toy_store, "toy", start + minutes(4))
    assert second["retrain"] is False
    assert second["reason"].startswith("no, because a retraining has been under way since ")
    # An earlier moment that is checked late sees it too.
    served(200, start + timedelta(seconds=20), shift=2.0)
    assert monitor.run_monitor(toy_store, "toy", start + timedelta(seconds=50))["retrain"] is False

    engine, hour = get_engine(toy_store), timedelta(hours=1)
    now = datetime.now(UTC) + 9 * hour
    assert find_retrain_under_way(engine, toy_use_case, now) is None
    run = start_training_run(engine, "toy", start + minutes(2), "drift", trigger="drift")
    update_training_run(engine, run.id, status="waiting", model_version=2, metrics={"champion_version": 1})
    assert find_retrain_under_way(engine, toy_use_case, now) is not None
    # No promotion, rejection or denial of it is ever written.
    assert find_retrain_under_way(engine, toy_use_case, now + 300 * 24 * hour) is None
    update_training_run(engine, run.id, metrics={"champion_version": 3})
    assert find_retrain_under_way(engine, toy_use_case, now) is None
    update_training_run(engine, run.id, metrics={"champion_version": 1}, status="rejected")
    assert find_retrain_under_way(engine, toy_use_case, now) is None


def test_decisions_of_one_use_case_are_made_one_after_the_other(toy_store, served, start, monkeypatch):
    served(200, start + minutes(1), shift=2.0)
    served(200, start + minutes(3), shift=2.0)
    checks = [start + minutes(2), start + minutes(4)]
    for at in checks:
        assert monitor.measure_drift(toy_store, "toy", at)["severity"] == "drift"
    both_know = threading.Barrier(2)

    def collect(*args, **kwargs):
        inputs = collect_governor_inputs(*args, **kwargs)
        with suppress(threading.BrokenBarrierError):
            both_know.wait(2)
        return inputs

    monkeypatch.setattr(monitor, "collect_governor_inputs", collect)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda at: monitor.decide_retraining(toy_store, "toy", at), checks))
    assert sorted(answer["retrain"] for answer in answers) == [False, True]


def test_refused_rows_and_orphans_are_told_and_decide_nothing(toy_store, toy_use_case, served, start):
    database = get_engine(toy_store)
    served(200, start + minutes(1))
    count = RefusedCount(str(uuid.uuid4()), "age", "less_than_equal", 50, start, start + minutes(1), "here")
    late = replace(count, count_id=str(uuid.uuid4()), window_end=start + minutes(9))
    insert_refused_counts(database, toy_use_case, [count, late])
    early = start - timedelta(hours=2)
    record_outcome(database, toy_use_case, str(_id_at(early)), "no", early)
    record_outcome(database, toy_use_case, str(_id_at(start)), "no", start)  # its prediction may still come
    outcome = monitor.run_monitor(toy_store, "toy", start + minutes(2))
    assert outcome["drift"]["refused"] == [
        {"field": "age", "kind": "less_than_equal", "rows": 50, "share": 0.2, "severity": "drift"}
    ]
    assert outcome["drift"]["severity"] == "warning"
    assert "20.0% refused for age (less_than_equal)" in outcome["drift"]["warnings"]
    told = "; rows refused meanwhile: 50 for age (less_than_equal, 20.0%)"
    assert outcome["reason"].startswith("no, because 0 of 6 features drifted")
    assert outcome["reason"].endswith(told)
    assert outcome["quality"]["orphans"] == 1
    assert outcome["quality"]["reason"].endswith("an id names a prediction that the log does not have")
    latest = describe_latest_drift(database, "toy")
    assert latest is not None
    assert latest.to_json()["refused"] == outcome["drift"]["refused"]
    assert monitor.run_monitor(toy_store, "toy", start + minutes(2)) == outcome


def test_a_rerun_finds_what_was_written_even_if_more_has_come_in(toy_store, served, start):
    served(200, start + minutes(1))
    first = monitor.run_monitor(toy_store, "toy", start + minutes(2))
    served(300, start + minutes(1), shift=3.0)
    assert monitor.run_monitor(toy_store, "toy", start + minutes(2)) == first
    with get_engine(toy_store).connect() as connection:
        # The first training was a decision too, a person's.
        for table, rows in (("drift_report", 1), ("retrain_decision", 2)):
            assert connection.execute(sa.text(f"SELECT COUNT(*) FROM {table}")).scalar() == rows


def test_too_few_predictions_are_no_verdict_and_are_carried_on(toy_store, served, start):
    served(60, start + minutes(1), shift=2.0)
    first = monitor.run_monitor(toy_store, "toy", start + minutes(2))
    assert first["drift"]["drifted"] is None
    assert first["reason"].startswith("no, because there is no verdict: 60 of 100 predictions since ")
    served(60, start + minutes(3), shift=2.0)
    second = monitor.run_monitor(toy_store, "toy", start + minutes(4))
    assert second["drift"]["predictions"] == 120
    assert second["retrain"] is True


def test_a_verdict_closes_its_window(toy_store, served, start):
    served(200, start + minutes(1), shift=2.0)
    assert monitor.measure_drift(toy_store, "toy", start + minutes(2))["drifted"] is True
    served(150, start + minutes(3))
    after = monitor.measure_drift(toy_store, "toy", start + minutes(4))
    assert (after["predictions"], after["drifted"]) == (150, False)


def test_the_window_holds_neither_old_rows_nor_former_champions_nor_checks(mariadb, toy_store, served, start):
    served(120, start - minutes(1), shift=2.0)
    served(120, start + minutes(1), shift=2.0, channel="canary")
    served(120, start + minutes(1), shift=2.0, channel="batch")
    outcome = monitor.measure_drift(toy_store, "toy", start + minutes(2))
    assert (outcome["predictions"], outcome["drifted"]) == (0, None)
    served(120, start + minutes(1))
    _move_promotion(mariadb, toy_store, start - timedelta(days=30))
    served(120, start - timedelta(days=8))
    late = monitor.measure_drift(toy_store, "toy", start)
    assert late["predictions"] == 120  # drift.window is seven days


def test_known_labels_tell_the_quality(toy_store, toy_use_case, served, start):
    ids = served(150, start + minutes(1))
    for number, prediction_id in enumerate(ids[:40]):
        actual = "no" if number < 30 else "yes"
        record_outcome(get_engine(toy_store), toy_use_case, prediction_id, actual, start + minutes(2))
    outcome = monitor.measure_quality(toy_store, "toy", start + minutes(3))
    assert (outcome["predictions"], outcome["labelled"]) == (150, 40)
    assert outcome["accuracy"] == pytest.approx(0.75)
    # The champion's training has kept its error profile, so that there is an estimate as well.
    told, estimated = outcome["reason"].split("; ")
    assert told == "accuracy 0.7500 on 40 labelled predictions"
    assert estimated.startswith("estimated without outcomes: accuracy 0.8")
    assert estimated.endswith("trust not yet known")
    rows = read_quality_metrics(get_engine(toy_store), "toy", slice_name=None)
    assert {(row.kind, row.metric, row.rows) for row in rows} == {
        ("realised", "accuracy", 40),
        ("estimated", "accuracy", 150),
        ("estimated", "roc_auc", 150),
        ("realised", "roc_auc", 40),
    }
    assert {(row.day, row.model_version, row.slice_name) for row in rows} == {(start.date(), 1, "")}
    assert outcome["prediction_psi"] > 0.25  # it said "no" to everybody, which it did not on the hold-out


def test_monitoring_needs_a_champion(toy_store, served, start):
    with pytest.raises(NoChampion):
        monitor.run_monitor(
            toy_store.model_copy(update={"mlflow_tracking_uri": _other(toy_store)}), "toy", start
        )


def test_a_champion_without_a_profile_gets_no_verdict_and_the_reason(toy_store, served, start):
    """Such as a version that somebody registered by hand: the check, its decision and its report go on."""
    database = get_engine(toy_store)
    with database.begin() as connection:
        connection.execute(sa.text("DELETE FROM reference_profile"))
    served(40, start + minutes(1))
    outcome = monitor.run_monitor(toy_store, "toy", start + minutes(2))
    assert (outcome["drift"]["drifted"], outcome["drift"]["predictions"]) == (None, 40)
    assert "version 1 has no reference profile to compare 40 predictions with" in outcome["drift"]["reason"]
    assert "evergreen train toy" in outcome["drift"]["reason"]
    assert outcome["retrain"] is False
    assert "no reference profile" in outcome["reason"]
    assert describe_latest_drift(database, "toy").drifted is None
    assert describe_latest_decision(database, "toy").retrain is False


def _other(settings):
    return settings.mlflow_tracking_uri.replace("mlflow.db", "other.db")


def _move_promotion(mariadb, settings, at):
    """As if the champion had been promoted then."""
    moment = f"{at.replace(tzinfo=None):%Y-%m-%d %H:%M:%S.%f}"
    mariadb.administer(f"UPDATE {settings.mariadb_database}_ledger.promotion SET at = '{moment}'")
