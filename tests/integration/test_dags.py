"""The DAG files parse light, wire all verbs for every use case, and isolate a broken one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evergreen.errors import AnotherDemo
from evergreen.loop.demo_lock import hold_demo_lock, is_demo_running
from evergreen.settings import Settings
from support.command_line import environment
from support.parcel_case import SOURCE

DAGS = Path(__file__).resolve().parents[2] / "dags"
VERBS = {"ingest", "train", "deploy", "monitor", "score", "upkeep"}

# Everything runs in processes of its own, forked from one that has loaded Airflow, as Airflow's DAG processor
# forks one for each file. Each order is a line; its answer is the exit status as of waitpid(2).
NURSERY = """
import json, os, sys
import airflow.sdk, airflow.sdk.exceptions
from airflow.sdk.api.datamodels import _generated
from airflow.sdk.definitions._internal import contextmanager

for line in sys.stdin:
    order = json.loads(line)
    pid = os.fork()
    if not pid:
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.environ.update(order["environment"])
        os.chdir(order["folder"])
        sys.argv = ["-c", *order["arguments"]]
        try:
            exec(compile(order["code"], "<code>", "exec"), {"__name__": "__main__"})
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    print(os.waitpid(pid, 0)[1], flush=True)
"""

PARSE = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
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


class Runner:
    """Runs code in processes whose Evergreen lives in a test's temporary folder."""

    def __init__(self, nursery: subprocess.Popen[str], tmp_path: Path) -> None:
        self._nursery = nursery
        self.tmp_path = tmp_path

    def run(self, code: str, *arguments: str, **more: str) -> Any:
        """What the code prints as JSON; `more` are environment variables."""
        stdout, stderr = self.tmp_path / "stdout", self.tmp_path / "stderr"
        order = {
            "code": code,
            "arguments": [str(DAGS), *arguments],
            "environment": {"EVERGREEN_HOME": str(self.tmp_path / "home"), **more},
            "folder": str(self.tmp_path),
            "stdout": str(stdout),
            "stderr": str(stderr),
        }
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(f"{json.dumps(order)}\n")
        self._nursery.stdin.flush()
        assert int(self._nursery.stdout.readline()) == 0, stderr.read_text()
        return json.loads(stdout.read_text().splitlines()[-1])

    def parse(self, file: str, use_cases: Path | None = None) -> dict[str, Any]:
        folders = {"EVERGREEN_USE_CASES": str(use_cases or self.tmp_path / "none")}
        parsed: dict[str, Any] = self.run(PARSE, file, **folders)
        return parsed


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    folder = tmp_path_factory.mktemp("nursery")
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "AIRFLOW_HOME": str(folder / "airflow")},
        cwd=folder,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def runner(nursery: subprocess.Popen[str], tmp_path: Path) -> Runner:
    return Runner(nursery, tmp_path)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_dag_file_parses_light_and_wires_every_use_case(verb: str, runner: Runner) -> None:
    parsed = runner.parse(verb)
    assert parsed["error"] == ""
    assert set(parsed["dags"]) == {f"credit_score__{verb}", f"titanic__{verb}"}
    assert not {"pandas", "catboost", "mlflow", "bentoml"} & set(parsed["loaded"])


def test_the_tasks_stand_in_the_order_of_the_loop(runner: Runner) -> None:
    tasks = {verb: runner.parse(verb)["dags"][f"titanic__{verb}"] for verb in VERBS}
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


def test_a_declared_trial_comes_before_the_champion_is_checked(runner: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "usecases" / "parcel"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(
        f"{SOURCE}\nfrom dataclasses import replace\nfrom evergreen.usecase import Trial\n"
        "USE_CASE = replace(USE_CASE, trial=Trial())\n"
    )
    assert runner.parse("deploy", tmp_path / "usecases")["dags"]["parcel__deploy"] == [
        *("healthy", "start_trial", "trial_over", "settle", "serving_champion", "probe", "finalize"),
    ]


def test_a_broken_use_case_is_an_import_error_of_its_own(runner: Runner, tmp_path: Path) -> None:
    broken = tmp_path / "usecases" / "broken"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("nonsense\n")
    assert set(runner.parse("train", tmp_path / "usecases")["dags"]) == {
        "credit_score__train",
        "titanic__train",
    }
    error = runner.parse("declarations", tmp_path / "usecases")["error"]
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
    runner: Runner, settings: Settings
) -> None:
    found = runner.run(SCHEDULED, **environment(settings))
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
    # A process of its own, which has that zone from its start on.
    ended = subprocess.run(
        [sys.executable, "-c", CONTEXTS, DAGS],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), "TZ": "America/New_York"},
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
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


def test_the_form_of_an_approval_tells_warnings_apart(runner: Runner) -> None:
    now, before = runner.run(FORM)
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


def test_a_note_that_cannot_be_written_fails_no_task(runner: Runner) -> None:
    told = runner.run(NOTES)
    assert told["noted"] == [["toy__train", "r1", "passed"], "closed", "closed"]
    assert told["logged"] == ["the run has no note of this: Airflow does not answer"]
