"""The DAG files parse light, wire all verbs for every use case, and isolate a broken one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evergreen.errors import AnotherDemo
from evergreen.loop.demo_lock import hold_demo_lock, is_demo_running
from evergreen.settings import Settings
from support.parcel_case import SOURCE

DAGS = Path(__file__).resolve().parents[2] / "dags"
VERBS = {"ingest", "train", "deploy", "monitor", "score", "upkeep"}

# Each file is parsed in a process of its own, as Airflow's DAG processor does it; Airflow itself is loaded
# first, because the processor has it loaded already.
PARSE = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
import airflow.sdk, airflow.sdk.exceptions
from airflow.sdk.definitions._internal.contextmanager import DagContext
DagContext.current_autoregister_module_name = sys.argv[2]
before = set(sys.modules)
try:
    module, error = importlib.import_module(sys.argv[2]), ""
except Exception as failure:
    module, error = None, f"{type(failure).__name__}: {failure}"
dags = {d.dag_id: [t.task_id for t in d.topological_sort()] for d, _ in DagContext.autoregistered_dags}
loaded = sorted({m.partition(".")[0] for m in set(sys.modules) - before})
print(json.dumps({"error": error, "loaded": loaded, "dags": dags}))
"""


def run(code: str, *arguments: str, tmp_path: Path, more: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What the code prints as JSON, in a process whose Airflow and Evergreen live in the temporary folder."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "EVERGREEN_HOME": str(tmp_path / "home"),
        **(more or {}),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def parse(file: str, tmp_path: Path, use_cases: Path | None = None) -> dict[str, Any]:
    folders = {"EVERGREEN_USE_CASES": str(use_cases or tmp_path / "none")}
    return run(PARSE, str(DAGS), file, tmp_path=tmp_path, more=folders)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_dag_file_parses_light_and_wires_every_use_case(verb: str, tmp_path: Path) -> None:
    parsed = parse(verb, tmp_path)
    assert parsed["error"] == ""
    assert set(parsed["dags"]) == {f"credit_score__{verb}", f"titanic__{verb}"}
    assert not {"pandas", "catboost", "mlflow", "bentoml"} & set(parsed["loaded"])


def test_the_tasks_stand_in_the_order_of_the_loop(tmp_path: Path) -> None:
    tasks = {verb: parse(verb, tmp_path)["dags"][f"titanic__{verb}"] for verb in VERBS}
    assert tasks["ingest"] == ["extract", "validate", "load"]
    assert tasks["train"] == [
        *("decide", "training_set", "search", "tune", "evaluate", "gate", "register", "promote"),
        "report_rejection",
    ]
    assert tasks["deploy"] == ["healthy", "serving_champion", "probe", "finalize"]
    assert sorted(tasks["monitor"]) == [
        *("alerts", "drift", "governor", "health", "quality", "report", "retrain")
    ]
    order = tasks["monitor"].index
    assert order("drift") < order("quality") < order("governor") < min(order("retrain"), order("alerts"))
    assert order("drift") < order("health") < order("alerts") < order("report")
    assert tasks["score"] == ["partitions", "score_partition"]
    assert tasks["upkeep"] == ["tables"]


def test_a_declared_trial_comes_before_the_champion_is_checked(tmp_path: Path) -> None:
    folder = tmp_path / "usecases" / "parcel"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(
        f"{SOURCE}\nfrom dataclasses import replace\nfrom evergreen.usecase import Trial\n"
        "USE_CASE = replace(USE_CASE, trial=Trial())\n"
    )
    assert parse("deploy", tmp_path, tmp_path / "usecases")["dags"]["parcel__deploy"] == [
        *("healthy", "start_trial", "trial_over", "settle", "serving_champion", "probe", "finalize"),
    ]


def test_a_broken_use_case_is_an_import_error_of_its_own(tmp_path: Path) -> None:
    broken = tmp_path / "usecases" / "broken"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("nonsense\n")
    assert set(parse("train", tmp_path, tmp_path / "usecases")["dags"]) == {
        "credit_score__train",
        "titanic__train",
    }
    error = parse("declarations", tmp_path, tmp_path / "usecases")["error"]
    assert "broken/__init__.py:1: NameError" in error


CONTEXTS = """
import json, sys, types
from datetime import datetime, timezone
sys.path.insert(0, sys.argv[1])
import wiring
from airflow.sdk.api.datamodels._generated import DagRunType

def event(**extra):
    return types.SimpleNamespace(extra=extra)

def context(as_of=None, events=(), logical_date=None, run_type=DagRunType.MANUAL):
    run = types.SimpleNamespace(
        logical_date=logical_date,
        run_after=datetime(2026, 5, 4, 3, tzinfo=timezone.utc),
        run_type=run_type,
    )
    return {
        "params": {"as_of": as_of, "reason": "manual"},
        "triggering_asset_events": {"asset": list(events)},
        "dag_run": run,
    }

tick = datetime(2026, 5, 4, tzinfo=timezone.utc)
drift = event(as_of="2026-05-01T00:00:00+00:00", cause="drift", decision="d1")
news = event(as_of="2026-05-02T00:00:00+00:00")
cases = {
    "form": context(as_of="2026-01-02T03:04:05", events=[drift], logical_date=tick),
    "form with an offset": context(as_of="2026-01-02T03:00:00+02:00"),
    "events": context(events=[drift, news], logical_date=tick),
    "news": context(events=[news]),
    "schedule": context(logical_date=tick, run_type=DagRunType.SCHEDULED),
    "request": context(),
}

def facts(c):
    decided = wiring.decision_moment(c)
    return [wiring.moment(c).isoformat(), decided and decided.isoformat(), wiring.training_cause(c)]

print(json.dumps({name: facts(c) for name, c in cases.items()}))
"""


SCHEDULED = """
import json, sys, types
from datetime import datetime, timezone
sys.path.insert(0, sys.argv[1])
import wiring
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.exceptions import AirflowSkipException
from evergreen.loop import demo_lock
from evergreen.settings import load_settings

def outcome(run_type):
    tick = datetime(2026, 5, 4, tzinfo=timezone.utc)
    run = types.SimpleNamespace(logical_date=tick, run_after=tick, run_type=run_type)
    context = {"params": {"as_of": None}, "triggering_asset_events": {}, "dag_run": run}
    try:
        return wiring.begin(types.SimpleNamespace(name="toy"), context).isoformat()
    except AirflowSkipException as skip:
        return str(skip)

# The very type that a task's context has.
kinds = (DagRunType.SCHEDULED, DagRunType.MANUAL, DagRunType.ASSET_TRIGGERED)
with demo_lock.hold_demo_lock(load_settings(), "toy"):
    during = [outcome(kind) for kind in kinds]
with demo_lock.hold_demo_lock(load_settings(), "other"):
    print(json.dumps({"during": during, "after": [outcome(kind) for kind in kinds]}))
"""


def test_a_scheduled_run_is_left_out_while_a_demo_of_its_use_case_is_under_way(
    tmp_path: Path, settings: Settings
) -> None:
    assert settings.mariadb_password is not None
    found = run(
        SCHEDULED,
        str(DAGS),
        tmp_path=tmp_path,
        more={
            "EVERGREEN_MARIADB_SOCKET": str(settings.mariadb_socket),
            "EVERGREEN_MARIADB_USER": settings.mariadb_user,
            "EVERGREEN_MARIADB_PASSWORD": settings.mariadb_password.get_secret_value(),
            "EVERGREEN_MARIADB_DATABASE": settings.mariadb_database,
        },
    )
    tick = "2026-05-04T00:00:00+00:00"
    assert found["during"] == ["a demo of toy is under way: this scheduled run is left out", tick, tick]
    assert found["after"] == [tick, tick, tick]


def test_two_demos_of_one_use_case_do_not_run_at_once(settings: Settings) -> None:
    with hold_demo_lock(settings, "toy"):
        with (
            pytest.raises(AnotherDemo, match="another demo of toy is under way"),
            hold_demo_lock(settings, "toy"),
        ):
            pass
        with hold_demo_lock(settings, "other"):
            pass
    assert not is_demo_running(settings, "toy")


def test_the_moment_and_the_cause_of_a_run_do_not_depend_on_the_machines_zone(tmp_path: Path) -> None:
    found = run(CONTEXTS, str(DAGS), tmp_path=tmp_path, more={"TZ": "America/New_York"})
    decided = "2026-05-01T00:00:00+00:00"
    assert found == {
        "form": ["2026-01-02T03:04:05+00:00", None, "new data"],
        "form with an offset": ["2026-01-02T01:00:00+00:00", None, "manual"],
        "events": ["2026-05-02T00:00:00+00:00", decided, "new data"],
        "news": ["2026-05-02T00:00:00+00:00", None, "new data"],
        "schedule": ["2026-05-04T00:00:00+00:00", None, "schedule"],
        "request": ["2026-05-04T03:00:00+00:00", None, "manual"],
    }


FORM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import approval
from jinja2 import Environment

def check(name, **more):
    return {"name": name, "reason": f"because of {name}", **more}

class Task:
    def __init__(self, checks):
        self.said = {"register": {"summary": "passed with 1 warning: odd", "version": 3, "card": ""}}
        self.said["gate"] = {"checks": checks}

    def xcom_pull(self, task_ids):
        return self.said[task_ids]

now = [
    check("size", result="passed", passed=True),
    check("beats linear", result="warning", passed=True),
    check("latency", result="failed", passed=False),
]
before = [check("size", passed=True), check("latency", passed=False)]
body = Environment().from_string(approval._BODY)
print(json.dumps([body.render(ti=Task(checks)).splitlines() for checks in (now, before)]))
"""


def test_the_form_of_an_approval_tells_warnings_apart(tmp_path: Path) -> None:
    now, before = run(FORM, str(DAGS), tmp_path=tmp_path)  # type: ignore[misc]
    assert "**passed with 1 warning: odd**" in now
    head = now.index("|---|---|---|")
    assert now[head + 1 : head + 4] == [
        "| size | passed | because of size |",
        "| beats linear | **WARNING** | because of beats linear |",
        "| latency | **FAILED** | because of latency |",
    ]
    head = before.index("|---|---|---|")
    assert before[head + 1 : head + 3] == [
        "| size | passed | because of size |",
        "| latency | **FAILED** | because of latency |",
    ]


NOTES = """
import json, sys, types
sys.path.insert(0, sys.argv[1])
import logging
import run_notes
from evergreen.errors import OrchestratorUnreachable
from evergreen.stack import airflow_api

logged, noted = [], []
logging.getLogger("run_notes").addHandler(
    types.SimpleNamespace(level=0, handle=lambda record: logged.append(record.getMessage()))
)

class Api:
    def __init__(self, settings):
        pass

    def add_note(self, *note):
        if "away" in note:
            raise OrchestratorUnreachable("Airflow does not answer", hint="")
        noted.append(note)

    def close(self):
        noted.append("closed")

airflow_api.AirflowApi = Api
context = {"dag_run": types.SimpleNamespace(dag_id="toy__train", run_id="r1")}
run_notes.add_run_note(context, "passed")
run_notes.add_run_note(context, "away")
print(json.dumps({"noted": noted, "logged": logged}))
"""


def test_a_note_that_cannot_be_written_fails_no_task(tmp_path: Path) -> None:
    told = run(NOTES, str(DAGS), tmp_path=tmp_path)
    assert told["noted"] == [["toy__train", "r1", "passed"], "closed", "closed"]
    assert told["logged"] == ["the run has no note of this: Airflow does not answer"]
