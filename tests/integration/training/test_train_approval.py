"""A person's answer: nothing goes live before it, and it is in the ledger."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient

from evergreen.errors import TrainingError
from evergreen.loop import train
from evergreen.loop.approval import answer_approval, find_run_to_approve
from evergreen.loop.deployment import promotion
from evergreen.loop.explain import explain_verdict
from evergreen.registry import ledger
from evergreen.registry.champion import read_champion
from evergreen.store.connection.database import get_engine
from evergreen.store.records import training_run

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


def declare(settings, before, after):
    """Change the toy's own file, as its owner would."""
    path = Path(settings.use_cases) / "toy" / "__init__.py"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    sys.modules.pop("evergreen_usecases_toy", None)


@pytest.fixture(autouse=True)
def _fresh_declaration():
    sys.modules.pop("evergreen_usecases_toy", None)
    yield
    sys.modules.pop("evergreen_usecases_toy", None)


@pytest.fixture
def asked(toy_store):
    """Settings of a toy that wants a person's approval."""
    declare(toy_store, "    retrain=RetrainPolicy(),", '    retrain=RetrainPolicy(),\n    approval="manual",')
    return toy_store


def actions(settings):
    return [line.action for line in reversed(ledger.read_entries(get_engine(settings), "toy"))]


def aliases(settings):
    client = MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)
    return {alias: int(version) for alias, version in client.get_registered_model("toy").aliases.items()}


def test_a_version_that_passed_waits_as_challenger_and_goes_live_when_approved(asked):
    outcome = train.run_train(asked, "toy", AS_OF)
    assert (outcome["promoted"], outcome["waiting"]) == (False, True)
    assert read_champion(asked, "toy") is None
    assert aliases(asked) == {"challenger": 1}
    assert actions(asked) == []
    assert promotion.promote_candidate(asked, outcome["training_run"])["waiting"] is True, (
        "asking again changes nothing"
    )
    run = find_run_to_approve(asked, "toy")
    assert run == outcome["training_run"] == find_run_to_approve(asked, "toy", version=1)

    settled = answer_approval(asked, run, approved=True, actor="ada@desk", reason="card read")
    assert settled["promoted"] is True
    assert aliases(asked) == {"champion": 1}
    assert actions(asked) == ["approve", "promote"]
    approved, promoted = reversed(ledger.read_entries(get_engine(asked), "toy"))
    assert (approved.actor, approved.reason) == ("ada@desk", "card read")
    assert promoted.actor == "ada@desk"
    assert answer_approval(asked, run, approved=True, actor="ada@desk") == settled, (
        "the same answer again is no other"
    )
    assert actions(asked) == ["approve", "promote"]


def test_a_version_that_was_denied_stays_out_for_good(asked):
    run = train.run_train(asked, "toy", AS_OF)["training_run"]
    settled = answer_approval(asked, run, approved=False, actor="ada@desk", reason="looks odd")
    assert (settled["promoted"], settled["waiting"]) == (False, False)
    assert settled["reason"] == "denied by ada@desk: looks odd"
    assert aliases(asked) == {}
    assert training_run.get_training_run(get_engine(asked), run).status == "denied"
    assert answer_approval(asked, run, approved=True, actor="bob@desk")["promoted"] is False, (
        "the first answer stands"
    )
    assert actions(asked) == ["deny"]
    assert explain_verdict(asked, "toy", 1).to_json()["outcome"] == "denied"
    with pytest.raises(TrainingError, match="no version of toy waits"):
        find_run_to_approve(asked, "toy")


def test_a_kill_between_answer_and_promotion_is_completed(asked, monkeypatch):
    run = train.run_train(asked, "toy", AS_OF)["training_run"]

    class Killed(BaseException):
        pass

    def deadly(*_):
        raise Killed

    with monkeypatch.context() as fault:
        fault.setattr(promotion, "promote_candidate", deadly)
        with pytest.raises(Killed):
            answer_approval(asked, run, approved=True, actor="ada@desk")
    assert actions(asked) == ["approve"]
    assert promotion.promote_candidate(asked, run)["promoted"] is True
    assert actions(asked) == ["approve", "promote"]


def test_an_approval_does_not_hold_against_a_champion_who_came_meanwhile(asked):
    first = train.run_train(asked, "toy", AS_OF)["training_run"]
    second = train.run_train(asked, "toy", AS_OF + timedelta(hours=1))["training_run"]
    assert answer_approval(asked, second, approved=True, actor="ada@desk")["promoted"] is True
    late = answer_approval(asked, first, approved=True, actor="ada@desk")
    assert late["promoted"] is False
    assert "meanwhile v2 became champion" in late["reason"]
    assert actions(asked) == ["approve", "promote", "approve", "reject"]
    assert aliases(asked) == {"champion": 2}


def test_what_the_gate_rejected_is_not_a_question(asked):
    declare(
        asked,
        'Gate(metric="roc_auc", margin=-0.05, baseline_margin=-0.05)',
        'Gate(metric="roc_auc", baseline_margin=0.4, hard=("beats linear",))',
    )
    outcome = train.run_train(asked, "toy", AS_OF)
    assert (outcome["promoted"], outcome["waiting"], outcome["passed"]) == (False, False, False)
    assert actions(asked) == ["reject"]
    assert aliases(asked) == {}
    with pytest.raises(TrainingError, match="did not pass the gate: approval cannot let it in"):
        answer_approval(asked, outcome["training_run"], approved=True, actor="ada@desk")
    told = explain_verdict(asked, "toy", 1).to_json()
    assert told["outcome"] == "rejected"
    assert [check["name"] for check in told["checks"] if not check["passed"]] == ["beats linear"]


def test_a_use_case_that_asks_nobody_takes_no_answer(toy_store):
    run = train.prepare_training_set(toy_store, "toy", AS_OF)["training_run"]
    with pytest.raises(TrainingError, match="there is no version to approve yet"):
        answer_approval(toy_store, run, approved=True, actor="ada@desk")
    for step in (train.tune_model, train.evaluate_candidate, train.apply_gate, train.register_candidate):
        step(toy_store, run)
    with pytest.raises(TrainingError, match="toy needs no approval"):
        answer_approval(toy_store, run, approved=True, actor="ada@desk")
    with pytest.raises(TrainingError, match="no training of toy on record made version 7"):
        explain_verdict(toy_store, "toy", 7)
