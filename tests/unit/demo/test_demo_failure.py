"""A failed tour ends with the failing part's own words, the command that explains them and the address."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from evergreen.demo import run as demo_run
from evergreen.demo import tour as plot
from evergreen.demo.report import TourOutcome
from evergreen.demo.stages import FailureContext, Stage, Tour
from evergreen.demo.tour import TourContext
from evergreen.errors import (
    AnotherDemo,
    EvergreenError,
    OrchestratorError,
    ServiceUnreachable,
    StageNotVerified,
)
from evergreen.monitoring.governor.inputs import GovernorInputs, LabelCounts
from evergreen.registry.champion import Champion
from evergreen.settings import Settings
from evergreen.stack.airflow_runs import DagRun
from evergreen.usecases import load_use_case

RUN = "http://airflow/dags/credit_score__train/runs/r1"
CARD = "http://mlflow/#/experiments/1/runs/abc/artifacts/model_card.html"
REJECTED = "rejected: accuracy 0.8207 does not beat the linear baseline's 0.8360"
NOW = datetime(2026, 11, 29, tzinfo=UTC)


class FakeAirflow:
    """An Airflow whose runs end as told, and whose tasks return what they are told to."""

    def __init__(self, xcoms: dict[str, Any] | None = None, failure: str = "", task: str = "") -> None:
        self.xcoms, self.failure, self.task = xcoms or {}, failure, task

    def trigger(self, dag_id: str, conf: Any) -> str:
        return "r1"

    def wait_for_asset_run(self, dag_id: str, after: Any, timeout: float) -> str:
        return "r1"

    def wait(self, dag_id: str, run_id: str, **_: Any) -> None:
        if self.failure:
            raise OrchestratorError(self.failure, hint=f"see it in Airflow: {self.run_url(dag_id, run_id)}")

    def task_error(self, dag_id: str, run_id: str) -> str:
        return self.task

    def run_url(self, dag_id: str, run_id: str) -> str:
        return f"http://airflow/dags/{dag_id}/runs/{run_id}"

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        return self.xcoms[task_id]


def ending(error: EvergreenError) -> list[str]:
    """The last lines that a person reads."""
    return str(error).splitlines()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, service_urls={"credit_score": "http://127.0.0.1:1"})


def guide(settings: Settings, airflow: FakeAirflow) -> TourContext:
    given: Any = airflow
    tour = Tour(Console(file=io.StringIO(), width=200))
    return TourContext(settings, load_use_case("credit_score", settings), tour, given)


def test_a_rejected_candidate_ends_with_the_verdict_and_how_to_read_it(settings: Settings) -> None:
    register = {"version": 1, "passed": False, "summary": REJECTED, "card": CARD}
    made = guide(settings, FakeAirflow({"register": register}))
    with pytest.raises(StageNotVerified, match="stage 'train' is not verified") as caught:
        plot._train_first(made, NOW)
    assert ending(caught.value)[1:] == [
        f"v1 {REJECTED}",
        "Hint: explained by: evergreen gate explain credit_score 1",
        f"to be seen at: {CARD}",
    ]


def test_a_retraining_that_leaves_the_old_champion_ends_so_too(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = {"version": 2, "passed": False, "summary": REJECTED, "card": ""}
    made = guide(settings, FakeAirflow({"register": register}))
    first = Champion(1, "run", NOW)
    monkeypatch.setattr(TourContext, "champion", lambda *_: first)
    with pytest.raises(StageNotVerified, match="a new champion that passed the gate") as caught:
        plot._retrain(made, first, as_of=NOW)
    assert ending(caught.value)[1:] == [
        f"v2 {REJECTED}",
        "Hint: explained by: evergreen gate explain credit_score 2",
        f"to be seen at: {RUN}",
    ]


def test_a_failed_task_ends_with_its_own_error(settings: Settings) -> None:
    airflow = FakeAirflow(failure="credit_score__ingest failed in run r1", task="validate: age is negative")
    made = guide(settings, airflow)
    with pytest.raises(OrchestratorError) as caught, made.tour.stage("history") as stage:
        made.run_dag(stage, "ingest", NOW)
    assert ending(caught.value) == [
        "credit_score__ingest failed in run r1",
        "validate: age is negative",
        "Hint: explained by: evergreen ingest-runs credit_score",
        "see it in Airflow: http://airflow/dags/credit_score__ingest/runs/r1",
    ]


def test_a_false_alarm_says_what_the_monitor_saw(settings: Settings) -> None:
    decision = {"retrain": True, "reason": "yes, because 5 of 26 features drifted"}
    made = guide(settings, FakeAirflow({"governor": decision}))
    with pytest.raises(StageNotVerified) as caught:
        plot._monitor_quiet(made)
    words, command, address = ending(caught.value)[1:]
    assert words == f"monitor: {decision['reason']}"
    # As of the same moment it finds what was decided then.
    assert command.startswith("Hint: explained by: evergreen run monitor credit_score --as-of 2")
    assert address == "to be seen at: http://airflow/dags/credit_score__monitor/runs/r1"


def test_found_drift_is_told_with_the_governors_inputs_and_the_address_of_the_report(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = {"retrain": True, "reason": "yes, because 5 of 26 features drifted", "decision": "d1"}
    report = {"address": "http://mlflow/#/experiments/2/runs/abc/artifacts/report.html", "command": "none"}
    inputs = GovernorInputs(NOW, champion=1, trained_at=NOW, labels=LabelCounts(known=7_500, new=1_500))
    record = SimpleNamespace(inputs=inputs.to_json())
    monkeypatch.setattr(plot, "get_decision", lambda _, decision_id: {"d1": record}[decision_id])
    taken = guide(settings, FakeAirflow({"governor": decision, "report": report}))
    plot._monitor_drift(taken, NOW)
    known = "champion v1 trained as of 2026-11-29; 7,500 labels, 1,500 of them new; 0 earlier retrains"
    assert taken.tour.as_json()[0]["what"] == (
        f"{decision['reason']}; known: {known}; report: {report['address']}"
    )
    assert (taken.governor_inputs, taken.check_report) == (known, report["address"])
    narrow = io.StringIO()
    outcome = TourOutcome(check_report=taken.check_report, governor_inputs=taken.governor_inputs)
    demo_run._show_check_report(Console(file=narrow, width=30), outcome)
    demo_run._show_check_report(Console(file=narrow, width=30), TourOutcome())
    assert narrow.getvalue() == f"The check that found the drift: {report['address']}\n"
    # Where MLflow does not have the page, the command that shows it stands there.
    command = {"address": "", "command": "evergreen report credit_score"}
    taken = guide(settings, FakeAirflow({"governor": decision, "report": command}))
    plot._monitor_drift(taken, NOW)
    assert taken.check_report == "evergreen report credit_score"


def test_a_failed_training_is_repeated_as_of_its_moment(settings: Settings) -> None:
    made = guide(settings, FakeAirflow(failure="credit_score__train failed in run r1", task="tune: 3 rows"))
    with pytest.raises(OrchestratorError) as caught:
        plot._retrain(made, Champion(1, "run", NOW), as_of=NOW)
    assert ending(caught.value)[1:3] == [
        "tune: 3 rows",
        f"Hint: explained by: evergreen run train credit_score --as-of {NOW.isoformat()}",
    ]


def test_a_service_that_is_away_ends_with_its_trouble(settings: Settings) -> None:
    state = {
        "id": "x",
        "processes": [
            {"name": "mlflow", "state": "ready"},
            {"name": "service-credit_score", "state": "back-off", "detail": "no memory", "log": "logs/s.log"},
        ],
    }
    (settings.home / "stack.json").write_text(json.dumps(state))
    made = guide(settings, FakeAirflow())
    with pytest.raises(ServiceUnreachable) as caught, made.tour.stage("predictions") as stage:
        made.predict(stage, [{"age": 30}])
    message, hint = caught.value.message.splitlines(), caught.value.hint.splitlines()
    assert message[-1] == "service-credit_score is back-off: no memory (log: logs/s.log)"
    assert hint == [
        "see `evergreen status`: a service runs for each use case that has a champion",
        "to be seen at: http://127.0.0.1:1",
    ]


def test_nothing_is_said_twice() -> None:
    stage = Stage("train", started=0.0, trace=FailureContext("too few rows", "evergreen status", RUN))
    error = OrchestratorError("failed: too few rows", hint=f"evergreen status, or {RUN}")
    stage.explain(error)
    assert ending(error) == ["failed: too few rows", f"Hint: evergreen status, or {RUN}"]


def test_where_nothing_is_known_the_logs_are_named() -> None:
    error = StageNotVerified("stage 'train' is not verified")
    Stage("train", started=0.0).explain(error)
    assert ".evergreen/logs/" in error.hint


def test_a_demo_waits_for_an_ingest_that_the_schedule_began(monkeypatch: pytest.MonkeyPatch) -> None:
    states = [["running", "queued"], ["running", "success"], ["success", "queued"]]
    waited: list[str] = []

    class Airflow:
        def wait_for_dag(self, dag_id: str, timeout: float) -> None:
            waited.append(dag_id)

        def runs(self, dag_id: str) -> list[DagRun]:
            present = states.pop(0) if len(states) > 1 else states[0]
            return [DagRun(f"r{i}", state, "scheduled", "", None) for i, state in enumerate(present)]

    tour = Tour(Console(file=io.StringIO(), width=200))
    use_case = load_use_case("credit_score", Settings())
    with tour.running(), tour.stage("a clean start") as stage:
        plot.wait_for_ingests(Airflow(), use_case, stage)  # type: ignore[arg-type]
    assert (waited, len(states)) == (["credit_score__ingest"], 1)
    states[0] = ["running"]
    monkeypatch.setattr(plot, "RUN_SECONDS", 0.0)
    again = Tour(Console(file=io.StringIO(), width=200))
    with (
        pytest.raises(StageNotVerified, match="no run of credit_score__ingest under way"),
        again.running(),
        again.stage("a clean start") as stage,
    ):
        plot.wait_for_ingests(Airflow(), use_case, stage)  # type: ignore[arg-type]


def test_a_demo_that_is_refused_for_another_one_leaves_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AnotherDemo("another demo of titanic is under way", hint="wait")

    report = tmp_path / "demo.json"
    report.write_text("the other demo's")
    monkeypatch.setattr(demo_run, "hold_demo_lock", refuse)
    monkeypatch.setattr(demo_run, "check_source", lambda *_: None)
    monkeypatch.setattr(demo_run, "refuse_outdated_service", lambda *_: None)
    console = Console(file=io.StringIO())
    with pytest.raises(AnotherDemo):
        demo_run.run_demo(tmp_path, "titanic", "", console=console, now=NOW, bring_up=False)
    assert report.read_text() == "the other demo's"
