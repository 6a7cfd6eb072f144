"""What people see of decisions and alerts, and that texts from data are never markup."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, RenderableType

from evergreen.cli.tables.monitoring_tables import (
    render_alerts,
    render_decision,
    render_decisions,
    render_test_message,
)
from evergreen.loop.monitoring.decisions import DecisionEntry
from evergreen.monitoring.evidence.retrains import RetrainOutcome
from evergreen.monitoring.governor.decide import decide
from evergreen.monitoring.governor.inputs import DriftEvidence, GovernorInputs, QualityPoint, RealisedEvidence
from evergreen.store.records.checks.alert import AlertRecord
from evergreen.store.records.checks.decision import Decision, DecisionCheck
from evergreen.training.data.training_window import TrainingWindow
from evergreen.usecase import RetrainPolicy

NOW = datetime(2026, 7, 12, 8, tzinfo=UTC)
POINT = QualityPoint(NOW, NOW, 50, 0.81, 0.4)
INPUTS = GovernorInputs(
    as_of=NOW,
    champion=3,
    drift=DriftEvidence("drift", "[red]3 of 6 features drifted", 600, 2, NOW),
    realised=RealisedEvidence("accuracy", False, POINT, (POINT, POINT)),
)
ANSWER = decide(RetrainPolicy(), INPUTS)
YES = Decision(
    *("d1", "toy", NOW, ANSWER.retrain, ANSWER.reason, "check-1", NOW, ANSWER.trigger, INPUTS.to_json()),
    checks=tuple(DecisionCheck(**vars(check)) for check in ANSWER.checks),
    window=ANSWER.window.to_json() if ANSWER.window else None,
)
WINDOW: dict[str, Any] = {
    "name": "the last 30 days",
    "start": "2026-06-12T00:00:00+00:00",
    "trials": [
        {"name": "all", "start": None, "rows": 900, "loss": 0.5, "remark": ""},
        {"name": "since the drift began", "start": None, "rows": 3, "loss": None, "remark": "too few"},
    ],
}
CHOSEN_WINDOW = TrainingWindow.from_json(WINDOW)


def show(renderable: RenderableType) -> str:
    console = Console(width=220)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_decisions_are_a_table_with_what_became_of_them() -> None:
    assert ANSWER.retrain, ANSWER.reason
    no = replace(YES, retrain=False, reason="no, because the cooldown is 3 d", trigger="drift", window=None)
    entries = [DecisionEntry(no, None), DecisionEntry(YES, RetrainOutcome("rejected", 4, "worse"))]
    lines = show(render_decisions("toy", entries)).splitlines()
    assert lines[1].split() == [*("2026-07-12", "08:00:00", "no", "drift", "the", "cooldown", "is", "3", "d")]
    assert "yes      drift    rejected v4  [red]3 of 6 features drifted" in lines[2]
    assert "No decision of toy is on record" in show(render_decisions("toy", []))


def test_one_decision_is_shown_with_every_check_and_input() -> None:
    entry = DecisionEntry(YES, RetrainOutcome("rejected", 4, "it was worse"), CHOSEN_WINDOW)
    text = show(render_decision(entry))
    assert "rejected v4: it was worse" in text
    assert "the last 30 days (since 2026-06-12); losses tried: all 0.5000 on 900 rows" in text
    assert "since the drift began: too few" in text
    for check in ANSWER.checks:
        assert check.name in text
    assert "2 checks" in text
    old = DecisionEntry(replace(YES, inputs=None, checks=None, window=None, trigger=None), None)
    assert "its checks are not on record" in show(render_decision(old))


def test_a_decision_for_scripts_has_all_of_it() -> None:
    document = DecisionEntry(YES, RetrainOutcome("running", None, "it began"), CHOSEN_WINDOW).to_json()
    assert document["outcome"] == {"outcome": "running", "version": None, "reason": "it began"}
    assert document["training_window"] == WINDOW
    assert GovernorInputs.from_json(document["inputs"]) == INPUTS
    assert [check["name"] for check in document["checks"]] == [check.name for check in ANSWER.checks]


def test_alerts_are_shown_with_what_each_target_said() -> None:
    record = AlertRecord(
        *(
            "a",
            "toy",
            "drift",
            "v3",
            "error",
            "Evergreen, toy: drift (v3)",
            "[bold]moved",
            NOW,
            NOW,
            "pending",
        ),
        results={"1 (json)": "sent", "2 (slack)": "no answer after 8 s"},
    )
    text = show(render_alerts([record]))
    assert "[bold]moved" in text
    assert "1 (json): sent; 2 (slack): no answer after 8 s" in text
    assert "pending" in text
    assert "Nobody was told anything yet" in show(render_alerts([]))
    tested = show(render_test_message({"1 (json)": "sent", "2 (mailtos)": "[x] refused"}))
    assert "[x] refused" in tested
