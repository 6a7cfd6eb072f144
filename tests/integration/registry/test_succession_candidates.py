"""How a candidate ends, on a real store and a real MLflow: promoted, rejected, or by a person's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from evergreen.model.judging.verdict import Check, Verdict
from evergreen.registry import ledger
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.candidates import (
    Candidate,
    Settlement,
    name_challenger,
    read_settlement,
    record_answer,
    settle_candidate,
)
from evergreen.registry.succession.rollback import roll_back
from evergreen.registry.succession.trial import end_trial
from evergreen.registry.versions import read_version
from evergreen.store.connection.database import get_engine
from evergreen.store.records.model_trial import insert_trial
from evergreen.usecase import WithoutVerdict
from support.champions import promote, read_actions, read_champion_version
from support.serving_world import World, register_models
from support.trials import build_trial


def judge(champion_version: int | None, *, passed: bool = True) -> Verdict:
    result = "passed" if passed else "failed"
    return Verdict("roc_auc", champion_version, (Check("beats champion", result, 0.8, 0.7, "by 0.1"),))


@pytest.fixture
def candidate(line_up: World, tmp_path: Path) -> Candidate:
    """A challenger that was compared with the champion."""
    second = line_up.versions[1]
    [version] = register_models(line_up.settings, line_up.use_case, tmp_path / "candidate", [1])
    name_challenger(line_up.settings, "parcel", version)
    return Candidate("parcel", version, f"training-{version}", f"run-{version}", second, judge(second))


def settle(
    made: World,
    candidate: Candidate,
    *,
    needs_approval: bool = False,
    needs_trial: bool = False,
    without_verdict: WithoutVerdict = "promote",
) -> Settlement:
    database = get_engine(made.settings)
    with lock_use_case(database, "parcel"):
        return settle_candidate(
            made.settings,
            database,
            candidate,
            needs_approval=needs_approval,
            needs_trial=needs_trial,
            without_verdict=without_verdict,
        )


def answer(made: World, candidate: Candidate, approved: bool, actor: str = "ada") -> ledger.Entry:
    database = get_engine(made.settings)
    with lock_use_case(database, "parcel"):
        return record_answer(database, candidate, approved=approved, actor=actor, reason="my reasons")


def read_aliases(made: World) -> dict[str, int]:
    client = MlflowClient(made.settings.mlflow_tracking_uri, made.settings.mlflow_tracking_uri)
    return {name: int(version) for name, version in client.get_registered_model("parcel").aliases.items()}


def with_verdict(candidate: Candidate, verdict: Verdict) -> Candidate:
    return Candidate(
        candidate.use_case_name,
        candidate.version,
        candidate.training_run_id,
        candidate.mlflow_run_id,
        candidate.champion_version,
        verdict,
    )


def test_a_candidate_that_passed_is_promoted_once(line_up: World, candidate: Candidate) -> None:
    assert read_aliases(line_up)["challenger"] == candidate.version
    first, again = settle(line_up, candidate), settle(line_up, candidate)
    assert first == again == Settlement("promoted", "passed: by 0.1")
    assert read_aliases(line_up) == {"champion": candidate.version}
    assert read_actions(line_up) == ["promote"] * 3
    line = ledger.read_entries(get_engine(line_up.settings), "parcel")[0]
    assert (line.from_version, line.to_version, line.actor) == (
        line_up.versions[1],
        candidate.version,
        "gate",
    )
    assert line.verdict == candidate.verdict
    tags = read_version(line_up.settings, "parcel", candidate.version).tags
    assert (tags["evergreen.outcome"], tags["evergreen.outcome_because"]) == ("promoted", "passed: by 0.1")
    assert read_settlement(get_engine(line_up.settings), candidate, "promoted") == first


def test_a_candidate_that_failed_is_rejected(line_up: World, candidate: Candidate) -> None:
    failed = with_verdict(candidate, judge(candidate.champion_version, passed=False))
    assert settle(line_up, failed) == Settlement("rejected", "rejected: by 0.1")
    assert read_aliases(line_up) == {"champion": line_up.versions[1]}
    assert read_settlement(get_engine(line_up.settings), failed, "rejected").reason == "rejected: by 0.1"


def test_a_champion_that_could_not_be_compared_is_still_the_champion_of_the_evaluation(
    line_up: World, candidate: Candidate
) -> None:
    assert settle(line_up, with_verdict(candidate, judge(None))).outcome == "promoted"
    assert ledger.read_entries(get_engine(line_up.settings), "parcel")[0].from_version == line_up.versions[1]


def test_a_verdict_does_not_hold_against_another_champion(line_up: World, candidate: Candidate) -> None:
    first, second = line_up.versions
    promote(line_up, first, second)
    settlement = settle(line_up, candidate)
    assert settlement.outcome == "rejected"
    assert f"compared with champion v{second}, and meanwhile v{first} became champion" in settlement.reason
    assert read_aliases(line_up) == {"champion": first}


def test_a_candidate_that_was_champion_in_between_stays_promoted(
    line_up: World, candidate: Candidate
) -> None:
    settlement = settle(line_up, candidate)
    promote(line_up, line_up.versions[0], candidate.version)
    assert settle(line_up, candidate) == settlement
    assert read_champion_version(line_up) == line_up.versions[0]


def test_a_promotion_that_was_rolled_back_is_not_repeated(line_up: World, candidate: Candidate) -> None:
    settle(line_up, candidate)
    database = get_engine(line_up.settings)
    with lock_use_case(database, "parcel"):
        roll_back(line_up.settings, database, line_up.use_case, None, actor="ann", reason="complaints")
    assert settle(line_up, candidate).outcome == "promoted"
    assert read_champion_version(line_up) == line_up.versions[1]


def test_a_person_is_waited_for_and_the_first_answer_stands(line_up: World, candidate: Candidate) -> None:
    assert settle(line_up, candidate, needs_approval=True).outcome == "waiting"
    assert read_aliases(line_up) == {"champion": line_up.versions[1], "challenger": candidate.version}
    first = answer(line_up, candidate, approved=False)
    assert (first.action, first.from_version) == ("deny", line_up.versions[1])
    assert answer(line_up, candidate, approved=True, actor="bob") == first
    denial = Settlement("denied", "denied by ada: my reasons")
    assert settle(line_up, candidate, needs_approval=True) == denial
    assert read_settlement(get_engine(line_up.settings), candidate, "denied") == denial
    assert read_aliases(line_up) == {"champion": line_up.versions[1]}


def test_who_approved_stands_in_the_ledger(line_up: World, candidate: Candidate) -> None:
    answer(line_up, candidate, approved=True)
    assert settle(line_up, candidate, needs_approval=True).outcome == "promoted"
    line = ledger.read_entries(get_engine(line_up.settings), "parcel")[0]
    assert (line.action, line.actor, line.to_version) == ("promote", "ada", candidate.version)
    assert read_champion_version(line_up) == candidate.version


@pytest.mark.parametrize(
    ("outcome", "without_verdict", "ending"),
    [
        ("passed", "reject", "promoted"),
        ("failed", "promote", "rejected"),
        ("no_verdict", "promote", "promoted"),
        ("no_verdict", "reject", "rejected"),
        ("stopped", "promote", "rejected"),
    ],
)
def test_a_candidate_waits_for_its_trial_which_decides_or_leaves_it_to_the_gate(
    line_up: World, candidate: Candidate, outcome: Any, without_verdict: Any, ending: str
) -> None:
    database, champion = get_engine(line_up.settings), read_champion_version(line_up)
    assert settle(line_up, candidate, needs_trial=True).on_trial
    trial = build_trial(
        id=f"trial-{candidate.version}",
        champion_version=champion,
        challenger_version=candidate.version,
        challenger_run_id=candidate.mlflow_run_id,
    )
    insert_trial(database, trial)
    waiting = settle(line_up, candidate, needs_trial=True)
    assert (waiting.outcome, waiting.on_trial) == ("waiting", True)
    assert read_champion_version(line_up) == champion
    for reason in ("as it was", "the first end stands"):
        ended = end_trial(line_up.settings, database, trial, outcome=outcome, reason=reason, actor="me")
        assert (ended.outcome, ended.reason, ended.ended_by) == (outcome, "as it was", "me")
    settlement = settle(line_up, candidate, needs_trial=True, without_verdict=without_verdict)
    assert settlement.outcome == ending
    assert settle(line_up, candidate, needs_trial=True, without_verdict=without_verdict) == settlement
    assert read_settlement(database, candidate, ending) == settlement
    if outcome == "no_verdict" and ending == "promoted":
        assert settlement.reason == (
            "passed: by 0.1; WARNING: its trial ended without a verdict,"
            " so that of the gate counts: as it was"
        )
    assert read_champion_version(line_up) == (candidate.version if ending == "promoted" else champion)
    if ending == "rejected":
        assert settlement.reason == f"its trial ended, {outcome.replace('_', ' ')}: as it was"
        entry = ledger.find_entry(database, "parcel", "reject", to_version=candidate.version)
        assert entry is not None
        assert entry.actor == "trial"
