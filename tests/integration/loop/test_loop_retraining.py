"""From a check to a retraining and back: decisions with inputs, what became of them, windows, backoff,
alerts."""

from __future__ import annotations

import io
import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from pydantic import SecretStr
from rich.console import Console, RenderableType
from sqlalchemy import Engine

from evergreen.cli.tables.monitoring_tables import render_alerts, render_decision, render_decisions
from evergreen.errors import SettingsError, StoreError
from evergreen.loop import monitor, train
from evergreen.loop.deployment import promotion
from evergreen.loop.monitoring import decisions, retraining
from evergreen.monitoring.evidence.collect import collect_governor_inputs
from evergreen.monitoring.governor.inputs import GovernorInputs
from evergreen.registry import ledger
from evergreen.registry.champion_history import find_promotion_time
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.records.checks.alert import list_alerts
from evergreen.store.records.checks.decision import (
    Decision,
    compute_decision_id,
    find_decision,
    list_decisions,
    lock_decisions,
    save_decision,
)
from evergreen.store.records.ingest_run import find_last_load
from evergreen.store.records.training_run import find_training_run
from evergreen.usecase import UseCase
from support.alert_receiver import Receiver, receiving
from support.toy_training import client_of, declare

JULY = datetime(2026, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def build_id(at: datetime) -> str:
    """A UUIDv7 (RFC 9562) of that millisecond."""
    noise = (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return str(uuid.UUID(int=(int(at.timestamp() * 1000) << 80) | (0x7 << 76) | noise))


def log_moved_requests(settings: Settings, use_case: UseCase, frame: pd.DataFrame, at: datetime) -> None:
    rows = [
        PredictionRow.from_json(
            {name: None if value != value else value for name, value in row.items()}
            | {"prediction_id": build_id(at), "model_version": 1, "channel": "online"}
            | {"prediction": "no", "probability": 0.8, "probabilities": {"no": 0.8, "yes": 0.2}}
        )
        for row in frame.drop(columns="event_time").to_dict("records")
    ]
    insert_predictions(get_engine(settings), use_case, rows)


def show(renderable: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def retrain_as_decided(settings: Settings, as_of: datetime) -> dict[str, object]:
    """What the DAG's tasks do after the governor's yes."""
    decided = retraining.decide_training(settings, "toy", as_of, "new data")
    prepared = train.prepare_training_set(settings, "toy", as_of, decided["reason"], decided["decision"])
    run = prepared["training_run"]
    for step in (train.tune_model, train.evaluate_candidate, train.apply_gate, train.register_candidate):
        step(settings, run)
    return {**promotion.promote_candidate(settings, run), "trigger": decided["trigger"]}


@pytest.mark.slow
def test_a_rejected_retraining_is_told_and_backs_off(
    toy_store: Settings,
    toy_use_case: UseCase,
    toy_frames: Callable[..., dict[str, pd.DataFrame]],
    receiver: Receiver,
) -> None:
    settings = toy_store.model_copy(update={"alert_urls": SecretStr(receiver.build_url("S3CRET"))})
    engine = get_engine(settings)
    first = train.run_train(settings, "toy", JULY, "first model")
    assert first["promoted"]
    [by_hand] = list_decisions(engine, "toy")
    assert (by_hand.retrain, by_hand.trigger) == (True, "manual")
    assert by_hand.reason == "yes, because a person asked for it: first model"
    run = find_training_run(engine, "toy", JULY)
    assert run is not None
    # A person's training has the declared rows, and its reason alone.
    assert (run.reason, run.trigger_name, run.training_window) == ("first model", "manual", None)

    promoted = find_promotion_time(engine, "toy", 1)
    assert promoted is not None
    checked = promoted + timedelta(minutes=2)
    log_moved_requests(settings, toy_use_case, toy_frames(200, seed=5, shift=2.0)["facts"], checked)
    outcome = monitor.run_monitor(settings, "toy", checked)
    assert outcome["retrain"], outcome["reason"]
    assert "Evergreen, toy: drift (v1)" in outcome["alerts"]
    decision = find_decision(engine, "toy", checked)
    assert decision is not None
    assert decision.inputs is not None
    assert decision.checks is not None
    inputs = GovernorInputs.from_json(decision.inputs)
    assert (inputs.champion, inputs.trained_at, inputs.promoted_at) == (1, JULY, promoted)
    assert inputs.drift is not None
    assert (inputs.drift.severity, inputs.drift.breaches, inputs.drift.rows) == ("drift", 1, 200)
    assert inputs.labels.new == 0
    checks = {check.name: check.result for check in decision.checks}
    assert (checks["drift"], checks["manual"], checks["backoff"]) == ("fired", "idle", "passed")
    # Nothing is measured or told twice.
    assert monitor.run_monitor(settings, "toy", checked) == outcome
    assert len([body for body in receiver.bodies if "drift" in body["title"]]) == 1

    declare(settings, "gate=replace(USE_CASE.gate, margin=0.5)")
    rejected = retrain_as_decided(settings, checked)
    assert (rejected["promoted"], rejected["trigger"]) == (False, "drift")
    run = find_training_run(engine, "toy", checked)
    assert run is not None
    assert run.training_window is not None
    assert run.dataset_query is not None
    assert (run.trigger_name, run.reason) == ("drift", decision.cause[:255])
    assert run.training_window["start"] == run.dataset_query["since"]
    assert len(run.training_window["trials"]) > 1
    line = next(each for each in ledger.read_entries(engine, "toy") if each.action == "reject")
    report = f"evergreen report toy --as-of {checked.isoformat()}"
    assert line.reason.endswith(f"(trained because of drift: {run.reason}); its check: {report}")
    tags = client_of(settings).get_run(run.mlflow_run_id).data.tags
    assert tags["evergreen.trigger"] == "drift"
    assert tags["evergreen.training_window"].startswith(run.training_window["name"])
    told = promotion.describe_rejection(settings, run.id)
    assert (told["rejected"], told["after_trouble"]) == (True, True)
    assert "v2 was rejected, and the champion stays: " in told["reason"]
    assert promotion.describe_rejection(settings, first["training_run"])["rejected"] is False
    [alert] = [body for body in receiver.bodies if "rejected" in body["title"]]
    assert alert["title"] == "Evergreen, toy: candidate rejected (v2)"
    promotion.promote_candidate(settings, run.id)
    assert len([body for body in receiver.bodies if "rejected" in body["title"]]) == 1

    again = checked + timedelta(minutes=2)
    log_moved_requests(settings, toy_use_case, toy_frames(200, seed=6, shift=2.0)["facts"], again)
    second = monitor.run_monitor(settings, "toy", again)
    assert second["retrain"] is False
    assert second["reason"].startswith("no, because the last candidate was rejected, 2 min ago, and the")
    entries = decisions.read_decisions(settings, "toy", last=10, since=None)
    assert [(e.decision.retrain, e.outcome and e.outcome.outcome) for e in entries] == [
        (False, None),
        (True, "rejected"),
        (True, "promoted"),
    ]
    table = show(render_decisions("toy", entries))
    assert "rejected v2" in table
    assert "manual" in table
    shown = show(render_decision(decisions.find_decision_entry(settings, "toy", checked.isoformat()[:19])))
    for text in ("trained on", "losses tried", "fired", "backoff", "trained because of drift"):
        assert text in shown
    assert "S3CRET" not in show(render_alerts(list_alerts(engine, "toy")))


def test_schedule_new_data_and_people_go_through_the_same_decision(
    toy_store: Settings, toy_use_case: UseCase
) -> None:
    engine = get_engine(toy_store)
    ticked = retraining.decide_training(toy_store, "toy", JULY, "schedule")
    assert (ticked["retrain"], ticked["trigger"]) == (True, "schedule")
    assert retraining.decide_training(toy_store, "toy", JULY, "schedule") == ticked
    news = retraining.decide_training(toy_store, "toy", JULY + DAY, "new data")
    assert news["retrain"] is False
    assert news["reason"].startswith("no, because ")
    by_hand = retraining.decide_training(toy_store, "toy", JULY + DAY, "manual", "please")
    assert (by_hand["retrain"], by_hand["trigger"], by_hand["reason"]) == (True, "manual", "please")
    assert [each.trigger for each in list_decisions(engine, "toy")] == ["manual", "", "schedule"]
    declare(toy_store, "retrain=replace(USE_CASE.retrain, on_new_data=True)")
    allowed = retraining.decide_training(toy_store, "toy", JULY + 2 * DAY, "new data")
    assert (allowed["retrain"], allowed["trigger"]) == (True, "new data")


def test_a_training_sees_decisions_of_later_moments(toy_store: Settings) -> None:
    engine, later = get_engine(toy_store), JULY + timedelta(minutes=5)
    now = datetime.now(UTC)
    yes = Decision(compute_decision_id("toy", later), "toy", later, True, "yes, because of drift", None, now)
    save_decision(engine, yes)
    late = retraining.decide_training(toy_store, "toy", JULY, "schedule")
    assert late["retrain"] is False
    assert late["reason"].startswith("no, because a retraining was decided after that moment")
    assert retraining.decide_training(toy_store, "toy", JULY, "schedule") == late
    # A person overrides it, and what the governor decided stands.
    assert retraining.decide_training(toy_store, "toy", JULY, "manual")["retrain"]
    assert retraining.decide_training(toy_store, "toy", later, "schedule")["decision"] == yes.id


def test_a_yes_of_the_governor_that_came_before_the_lock_stands(
    toy_store: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    yes = Decision(compute_decision_id("toy", JULY), "toy", JULY, True, "yes, because of drift", None, JULY)

    @contextmanager
    def lock_after_governor(engine: Engine, use_case_name: str) -> Iterator[None]:
        save_decision(engine, yes)
        with lock_decisions(engine, use_case_name):
            yield

    monkeypatch.setattr(retraining, "lock_decisions", lock_after_governor)
    assert retraining.decide_training(toy_store, "toy", JULY, "schedule")["decision"] == yes.id
    assert list_decisions(get_engine(toy_store), "toy") == [yes]


def test_new_rows_that_a_no_left_out_are_a_reason_at_the_next_decision(
    toy_store: Settings, toy_use_case: UseCase
) -> None:
    engine = get_engine(toy_store)
    load = find_last_load(engine, toy_use_case, datetime.now(UTC))
    assert load is not None

    def sees_new_rows(at: datetime) -> bool:
        return collect_governor_inputs(engine, toy_use_case, 0, at, now=at).new_rows

    def answer(at: datetime, retrain: bool) -> None:
        words = ("yes" if retrain else "no") + ", because of a test"
        decision_id = compute_decision_id("toy", at)
        save_decision(engine, Decision(decision_id, "toy", at, retrain, words, None, at))

    assert sees_new_rows(load.as_of + DAY)
    answer(load.as_of + DAY, retrain=False)
    assert sees_new_rows(load.as_of + 2 * DAY)
    answer(load.as_of + 2 * DAY, retrain=True)
    assert not sees_new_rows(load.as_of + 3 * DAY)


def test_a_budget_holds_a_schedule_back_and_not_a_person(toy_store: Settings) -> None:
    declare(toy_store, "retrain=replace(USE_CASE.retrain, weekly_budget=1)")
    assert retraining.decide_training(toy_store, "toy", JULY, "schedule")["retrain"]
    held = retraining.decide_training(toy_store, "toy", JULY + DAY, "schedule")
    assert held["retrain"] is False
    assert "the budget is 1" in held["reason"]
    assert retraining.decide_training(toy_store, "toy", JULY + DAY, "manual")["retrain"]
    with pytest.raises(SettingsError, match="in the future"):
        retraining.decide_training(toy_store, "toy", datetime.now(UTC) + DAY)


def test_decisions_of_before_are_shown_and_unknown_ones_named(toy_store: Settings) -> None:
    engine = get_engine(toy_store)
    old = Decision(
        id=compute_decision_id("toy", JULY),
        use_case="toy",
        as_of=JULY,
        retrain=True,
        reason="yes, because 3 of 6 features drifted",
        drift_report_id=None,
        created_at=JULY,
    )
    assert save_decision(engine, old) == old
    [entry] = decisions.read_decisions(toy_store, "toy", last=5, since=JULY)
    assert entry.outcome is not None
    assert (entry.outcome.outcome, entry.outcome.reason) == ("unknown", "no training was begun")
    assert "its checks are not on record" in show(render_decision(entry))
    assert decisions.read_decisions(toy_store, "toy", last=5, since=JULY + DAY) == []
    assert decisions.find_decision_entry(toy_store, "toy", old.id[:8]).decision == old
    for wanted in ("2031-01-01", "zzzz", old.id[:3], ""):
        with pytest.raises(StoreError, match="toy has no decision"):
            decisions.find_decision_entry(toy_store, "toy", wanted)
    assert "No decision of toy is on record" in show(render_decisions("toy", []))
