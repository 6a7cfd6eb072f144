"""The whole loop through Airflow itself, as a stranger runs it: `evergreen demo`, and what people do next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from evergreen.settings import load_settings
from evergreen.stack.airflow_api import AirflowApi
from evergreen.stack.processes import process_table
from evergreen.stack.status import read_stack_status
from support.listening import listening
from support.own_ports import reserve_ports

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]


def evergreen(home: Path, *arguments: str, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("EVERGREEN_", "AIRFLOW"))}
    return subprocess.run(
        [sys.executable, "-m", "evergreen.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "EVERGREEN_HOME": str(home)},
        timeout=timeout,
        cwd=home.parent,
    )


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process whose environment or command line names this stack's home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("EVERGREEN_HOME") == str(home) or str(home) in " ".join(
                process.cmdline()
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home whose stack is down again afterwards, whatever happened."""
    with tempfile.TemporaryDirectory(prefix="evergreen-e2e-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        reserve_ports(home, "credit_score", "titanic", "wine", "ship")
        yield home
        evergreen(home, "down", timeout=120)
        assert not [process.cmdline() for process in processes_of(home)]


@pytest.fixture(scope="module")
def report(home: Path) -> dict[str, Any]:
    """The credit_score demo, taken once; every test below looks at what it left running."""
    done = evergreen(home, "demo", "credit_score")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    loaded: dict[str, Any] = json.loads((home / "demo.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def status(home: Path, report: dict[str, Any]) -> dict[str, Any]:
    done = evergreen(home, "status", "--json")
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def test_every_stage_is_verified_and_the_counts_reconcile(report: dict[str, Any]) -> None:
    assert report["verified"] is True
    assert report["sent"] == report["logged"] == 6000
    assert report["champion_version"] == 2
    assert all(stage["seconds"] >= 0 and stage["what"] for stage in report["stages"])


def test_the_simulated_days_are_counted_back_from_the_tour(report: dict[str, Any]) -> None:
    days = {name: datetime.fromisoformat(moment) for name, moment in report["simulated"].items()}
    assert (days["now"] - days["recession_from"]).days == 126
    assert datetime.now(UTC) - days["now"] < timedelta(days=1)


def test_the_retrained_model_is_better_on_the_drifted_period(report: dict[str, Any]) -> None:
    assert report["v2_accuracy_after_drift"] > report["v1_accuracy_after_drift"] + 0.02


def test_status_tells_the_state_of_every_part(status: dict[str, Any]) -> None:
    names = {process["name"] for process in status["processes"]}
    assert {"mariadb", "mlflow", "service-credit_score"} <= names
    assert any("scheduler" in name for name in names)
    credit = status["use_cases"]["credit_score"]
    assert credit["champion"]["version"] == 2
    assert credit["champion"]["since"]
    assert credit["predictions"]["by_channel"]["online"] == 6000
    assert credit["decision"]["retrain"] is True
    assert credit["drift"]["drifted"] is True
    assert all(view["rows"] > 0 for view in credit["store"]["views"].values())
    assert credit["store"]["label"]["rows"] > 0
    assert status["use_cases"]["titanic"]["champion"] is None


def test_a_stack_with_a_service_listens_on_nothing_but_its_announced_ports(
    home: Path, report: dict[str, Any]
) -> None:
    """No other TCP or UDP port, on whatever address, and no Unix socket that anybody reaches."""
    status = read_stack_status(home)
    announced = {process.name: process.port for process in status.processes if process.port}
    services = {name for name in announced if name.startswith("service-")}
    assert set(announced) - services == {"mariadb", "mlflow", "airflow-api-server"}
    assert announced["service-credit_score"] == urlsplit(report["service"]).port
    pids = process_table.find_stack_processes(process_table.compute_stack_id(home))
    assert listening({status.supervisor_pid, *pids}) == {
        f"tcp 127.0.0.1:{port}" for port in announced.values()
    }


def test_no_run_of_the_demo_is_taken_for_the_schedules(home: Path, report: dict[str, Any]) -> None:
    """Over midnight there may be a run of the schedule beside them."""
    airflow = AirflowApi(load_settings(home))
    moments = airflow.list_scheduled_moments("credit_score__ingest")
    airflow.close()
    assert all((moment.hour, moment.minute) == (0, 0) for moment in moments)


def test_a_client_gets_an_answer_by_key_and_a_clear_refusal(report: dict[str, Any]) -> None:
    url, key = report["service"], report["example_key"]
    answer = httpx.post(f"{url}/predict_by_key", json={"data": key}, timeout=30).json()
    assert answer["model_version"] == 2
    assert answer["customer_id"] == key["customer_id"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-6)
    refused = httpx.post(f"{url}/predict", json={"data": {"age": -1}}, timeout=30)
    assert refused.status_code in (400, 422)
    assert "age" in refused.text


def test_a_verb_runs_without_airflow_and_twice_with_the_same_result(
    home: Path, report: dict[str, Any]
) -> None:
    # Long before there was a champion, on whatever day this runs.
    command = ("run", "monitor", "credit_score", "--as-of", report["simulated"]["begins"], "--json")
    first = json.loads(evergreen(home, *command).stdout)
    again = json.loads(evergreen(home, *command).stdout)
    assert first == again
    assert first["retrain"] is False


def test_airflows_own_command_line_sees_every_dag(home: Path, report: dict[str, Any]) -> None:
    done = evergreen(home, "airflow", "dags", "list", "--output", "json")
    assert done.returncode == 0, done.stderr
    listed = {dag["dag_id"] for dag in json.loads(done.stdout[done.stdout.index("[{") :])}
    verbs = ("ingest", "train", "deploy", "monitor", "score", "upkeep")
    assert listed == {f"{name}__{verb}" for name in ("credit_score", "titanic") for verb in verbs}


def test_titanic_goes_from_a_file_to_a_submission(
    home: Path, report: dict[str, Any], titanic_csv: Path, titanic_test_csv: Path, tmp_path: Path
) -> None:
    done = evergreen(home, "demo", "titanic", "--csv", str(titanic_csv))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    submission = tmp_path / "submission.csv"
    done = evergreen(
        home,
        *("score", "titanic", "--input", str(titanic_test_csv), "--output", str(submission)),
        *("--columns", "PassengerId=passenger_id,Survived=prediction"),
    )
    assert done.returncode == 0, done.stderr
    lines = submission.read_text().splitlines()
    assert lines[0] == "PassengerId,Survived"
    assert len(lines) == 419
    assert {line.split(",")[1] for line in lines[1:]} == {"0", "1"}


@pytest.mark.parametrize(
    ("name", "file", "options", "problem"),
    [
        ("wine", "wine/winequality-red.csv", ("--target", "quality"), "regression"),
        ("ship", "titanic/train.csv", ("--key", "PassengerId", "--target", "Survived"), "binary"),
    ],
)
def test_a_table_of_ones_own_goes_through_the_whole_loop_unedited(
    home: Path, report: dict[str, Any], name: str, file: str, options: tuple[str, ...], problem: str
) -> None:
    table = SHARED_DATA / file
    if not table.exists():
        pytest.skip(f"the public table is not there: {table}")
    # The stack is up already: the new use case joins it while it runs.
    done = evergreen(home, "new", name, "--from", str(table), *options, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["problem"] == problem
    done = evergreen(home, "demo", name)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    taken = json.loads((home / "demo.json").read_text())
    assert taken["verified"] is True
    assert taken["sent"] == taken["logged"] == 2000
    answer = httpx.post(f"{taken['service']}/predict_by_key", json={"data": taken["example_key"]}, timeout=30)
    assert ("probabilities" in answer.json()) is (problem != "regression")
    done = evergreen(home, "profile", name, "--json")
    assert done.returncode == 0, done.stderr
    assert "Target by group" in Path(json.loads(done.stdout)["page"]).read_text(encoding="utf-8")
