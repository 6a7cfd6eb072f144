"""Whole runs of the DAGs monitor and train in a real Airflow, with the verbs replaced: states, notes,
assets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).resolve().parents[2] / "dags"

# Airflow's own `dag.test()` runs every task in one process, on a fresh SQLite database.
RUNS = """
import json, sys, types
sys.path.insert(0, sys.argv[1])
from airflow.utils.db import initdb
initdb()
from airflow import settings
from airflow.models.asset import AssetEvent
from airflow.sdk.definitions._internal.contextmanager import DagContext
from evergreen.errors import ValidationFailed

answers, asked, notes = {}, [], []

def stub(module, *functions):
    made = types.ModuleType(f"evergreen.loop.{module}")
    for name in functions:
        def call(settings, *args, name=name, **kwargs):
            asked.append([name, *map(str, args), *map(str, kwargs.values())])
            answer = answers.get(name, {})
            if isinstance(answer, Exception):
                raise answer
            return answer
        setattr(made, name, call)
    sys.modules[made.__name__] = made

stub("demo_lock", "is_demo_running")
stub("monitor", "measure_drift", "measure_quality", "decide_retraining")
stub("monitoring.health", "measure_health")
stub("monitoring.alerts", "tell_people")
stub("monitoring.check_report", "publish_report")
stub("monitoring.retraining", "decide_training")
stub(
    "train",
    *("prepare_training_set", "run_search_share", "tune_model", "evaluate_candidate"),
    *("apply_gate", "register_candidate"),
)
stub("deployment.promotion", "promote_candidate", "describe_rejection")
import run_notes
run_notes.add_run_note = lambda context, text: notes.append(text)
for file in ("monitor", "train"):
    DagContext.current_autoregister_module_name = file
    __import__(file)
DagContext.current_autoregister_module_name = None
dags = {dag.dag_id: dag for dag, _ in DagContext.autoregistered_dags}

def read_events(session):
    return [event.extra for event in session.query(AssetEvent).order_by(AssetEvent.id)]

def run(dag_id, conf=None, **said):
    answers.clear()
    answers.update(said)
    asked.clear()
    notes.clear()
    session = settings.Session()
    before = len(read_events(session))
    made = dags[dag_id].test(run_conf=conf)
    tasks = made.get_task_instances(session=session)
    return {
        "state": str(made.state),
        "tasks": {task.task_id: [str(task.state), task.try_number] for task in tasks},
        "events": read_events(session)[before:],
        "notes": list(notes),
        "asked": list(asked),
    }

yes = {
    "retrain": True,
    "reason": "yes, because drift",
    "trigger": "drift",
    "decision": "d1",
    "drift_report": "r1",
}
no = {**yes, "retrain": False, "reason": "no, because quiet", "trigger": ""}
drift = {"drift_report": "r1"}
page = {"address": "", "command": "evergreen report titanic"}
run_id = {"training_run": "t1", "passed": False, "summary": "rejected: worse"}
kept = {"promoted": False, "on_trial": False, "reason": "rejected: worse"}
rejected = {
    "rejected": True,
    "after_trouble": True,
    "reason": "v2 was rejected, and the champion stays",
}
training = {
    "decide_training": {**yes, "reason": "3 features drifted"},
    **dict.fromkeys(
        (
            *("prepare_training_set", "tune_model", "evaluate_candidate", "apply_gate"),
            "register_candidate",
        ),
        run_id,
    ),
}
found = {
    "quiet": run("titanic__monitor", measure_drift=drift, decide_retraining=no, publish_report=page),
    "drifted": run(
        "titanic__monitor",
        measure_drift=drift,
        decide_retraining=yes,
        publish_report={**page, "address": "http://mlflow/report.html"},
    ),
    "unhealthy": run(
        "titanic__monitor",
        measure_drift=drift,
        decide_retraining=yes,
        measure_health=ValidationFailed("broken"),
        publish_report=page,
    ),
    "rejected": run(
        "titanic__train", **training, promote_candidate=kept, describe_rejection=rejected
    ),
    "rejected by hand": run(
        "titanic__train",
        **training,
        promote_candidate=kept,
        describe_rejection={**rejected, "after_trouble": False},
    ),
    "promoted": run(
        "titanic__train",
        {"reason": "new model"},
        **training,
        promote_candidate={"promoted": True, "on_trial": False},
        describe_rejection={**rejected, "rejected": False, "after_trouble": False},
    ),
    "told no": run("titanic__train", decide_training={**no, "reason": "no, because of the budget"}),
}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("airflow")
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "EVERGREEN_HOME": str(folder / "home"),
        "EVERGREEN_USE_CASES": str(folder / "none"),
    }
    ended = subprocess.run(
        [sys.executable, "-c", RUNS, str(DAGS)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=folder,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def states(run: dict[str, Any]) -> dict[str, str]:
    return {task: state for task, (state, _) in run["tasks"].items()}


@pytest.mark.slow
def test_a_monitor_publishes_the_retrain_asset_only_after_a_yes(runs: dict[str, Any]) -> None:
    quiet, drifted = runs["quiet"], runs["drifted"]
    assert (quiet["state"], states(quiet)["retrain"], quiet["events"]) == ("success", "skipped", [])
    assert quiet["notes"] == ["retrain: no, because quiet", "report: evergreen report titanic"]
    assert (drifted["state"], states(drifted)["retrain"]) == ("success", "success")
    [event] = drifted["events"]
    moment = event.pop("as_of")
    assert event == {"cause": "drift", "reason": "yes, because drift", "decision": "d1", "check": "r1"}
    assert ["decide_retraining", "titanic", moment.replace("T", " ")] in drifted["asked"]
    assert drifted["notes"][-1] == "report: http://mlflow/report.html"
    # The report tells also what people were told.
    names = [call[0] for call in quiet["asked"]]
    assert names.index("decide_retraining") < names.index("tell_people") < names.index("publish_report")


@pytest.mark.slow
def test_broken_health_keeps_neither_the_retraining_nor_alerts_and_report(runs: dict[str, Any]) -> None:
    found = states(runs["unhealthy"])
    assert (found["health"], found["retrain"], found["alerts"]) == ("failed", "success", "success")
    assert found["report"] == "success"
    assert len(runs["unhealthy"]["events"]) == 1


@pytest.mark.slow
def test_a_rejection_after_drift_is_a_red_run_without_a_retry(runs: dict[str, Any]) -> None:
    run = runs["rejected"]
    assert (run["state"], states(run)["promote"], run["events"]) == ("failed", "skipped", [])
    assert run["tasks"]["report_rejection"] == ["failed", 1]
    assert "v2 was rejected, and the champion stays" in run["notes"]
    assert [call[0] for call in run["asked"]].count("describe_rejection") == 1
    assert set(states(run).values()) == {"success", "skipped", "failed"}


@pytest.mark.slow
def test_other_rejections_and_promotions_are_no_failures(runs: dict[str, Any]) -> None:
    by_hand, promoted = runs["rejected by hand"], runs["promoted"]
    assert (by_hand["state"], states(by_hand)["promote"], by_hand["events"]) == ("success", "skipped", [])
    assert (promoted["state"], set(states(promoted).values())) == ("success", {"success"})
    assert len(promoted["events"]) == 1
    [decided] = [call for call in promoted["asked"] if call[0] == "decide_training"]
    assert decided[-2:] == ["manual", "new model"]
    [prepared] = [call for call in promoted["asked"] if call[0] == "prepare_training_set"]
    assert prepared[-2:] == ["3 features drifted", "d1"]


@pytest.mark.slow
def test_a_training_that_is_told_no_is_skipped_with_the_reason(runs: dict[str, Any]) -> None:
    run = runs["told no"]
    assert set(states(run).values()) == {"skipped"}
    assert run["notes"] == ["train: no, because of the budget"]
    assert run["events"] == []
