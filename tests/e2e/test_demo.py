"""The whole loop through Airflow itself, as a stranger runs it: `evergreen demo`, and what people do next."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from evergreen.settings import load_settings
from evergreen.stack.airflow_api import AirflowApi
from evergreen.stack.processes import process_table
from evergreen.stack.status import read_stack_status
from support.dump_program import require_dump_program
from support.listening import listening
from support.own_ports import reserve_ports
from support.waiting import eventually
from support.whole_stack import make_stack_home, run_evergreen

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with make_stack_home("credit_score", "titanic") as home:
        yield home


@pytest.fixture(scope="module")
def report(home: Path) -> dict[str, Any]:
    """The credit_score demo, taken once; every test below looks at what it left running."""
    done = run_evergreen(home, "demo", "credit_score")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    loaded: dict[str, Any] = json.loads((home / "demo.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def status(home: Path, report: dict[str, Any]) -> dict[str, Any]:
    done = run_evergreen(home, "status", "--json")
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


def test_the_check_that_found_drift_shows_what_it_knew_and_its_report(
    home: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    [stage] = [stage for stage in report["stages"] if stage["stage"] == "monitor finds drift"]
    assert stage["what"].startswith("yes, because ")
    inputs, address = report["governor_inputs"], report["check_report"]
    assert stage["what"].endswith(f"; known: {inputs}; report: {address}")
    for part in ("champion v1 trained as of ", "2,000 predictions, drift in ", " labels", "earlier retrain"):
        assert part in inputs, part
    # The address is that of a page of MLflow's, of the file `report.html` of the check's run.
    place = re.fullmatch(r"(http[^#]+)/#/experiments/\d+/runs/(\w+)/artifacts/(report\.html)", address)
    assert place is not None, address
    assert httpx.get(address, timeout=30).status_code == 200
    base, run, file = place.groups()
    page = httpx.get(f"{base}/get-artifact", params={"run_uuid": run, "path": file}, timeout=30)
    assert page.status_code == 200
    decided = json.loads(run_evergreen(home, "decisions", "credit_score", "--json").stdout)
    [yes] = [each for each in decided if each["retrain"] and each["reason"] in stage["what"]]
    assert yes["inputs"]["champion"] == 1
    assert yes["inputs"]["drift"]["severity"] == "drift"
    because = html.escape(yes["reason"].removeprefix("yes, because "))
    assert because in page.text
    # MariaDB has the same report, also where MLflow is away.
    kept = tmp_path / "report.html"
    done = run_evergreen(home, "report", "credit_score", "--as-of", yes["as_of"], "--output", str(kept))
    assert done.returncode == 0, done.stderr
    assert because in kept.read_text(encoding="utf-8")


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
    first = json.loads(run_evergreen(home, *command).stdout)
    again = json.loads(run_evergreen(home, *command).stdout)
    assert first == again
    assert first["retrain"] is False


def ask_for_facts(home: Path, url: str, key: dict[str, Any]) -> dict[str, Any]:
    """What a stack answers, has in its ledger, and reads again of its trainings."""

    def serves_version_2() -> bool:
        try:
            return bool(httpx.get(f"{url}/metadata", timeout=30).json().get("model_version") == 2)
        except httpx.HTTPError:
            return False

    eventually(serves_version_2, 300)
    answer = httpx.post(f"{url}/predict_by_key", json={"data": key}, timeout=30).json()
    runs = json.loads(run_evergreen(home, "dataset", "list", "credit_score", "--json").stdout)
    return {
        "answer": {name: value for name, value in answer.items() if name != "prediction_id"},
        "ledger": json.loads(run_evergreen(home, "ledger", "credit_score", "--json").stdout),
        "training sets": [
            json.loads(run_evergreen(home, "dataset", "reproduce", run["training_run"], "--json").stdout)
            for run in runs
        ],
    }


def test_a_backup_of_the_running_stack_is_the_same_stack_elsewhere(
    home: Path, report: dict[str, Any]
) -> None:
    require_dump_program()
    done = run_evergreen(home, "backup", "--json")
    assert done.returncode == 0, done.stderr
    backup = json.loads(done.stdout)["folder"]
    before = ask_for_facts(home, report["service"], report["example_key"])
    assert len(before["training sets"]) == 2
    assert all(each["same"] for each in before["training sets"])
    with make_stack_home() as restored:
        done = run_evergreen(restored, "restore", backup)
        assert done.returncode == 0, done.stderr
        reserve_ports(restored, "credit_score", "titanic")
        done = run_evergreen(restored, "up")
        assert done.returncode == 0, done.stderr
        url = load_settings(restored).service_urls["credit_score"]
        assert url != report["service"]
        assert ask_for_facts(restored, url, report["example_key"]) == before


def test_airflows_own_command_line_sees_every_dag(home: Path, report: dict[str, Any]) -> None:
    done = run_evergreen(home, "airflow", "dags", "list", "--output", "json")
    assert done.returncode == 0, done.stderr
    listed = {dag["dag_id"] for dag in json.loads(done.stdout[done.stdout.index("[{") :])}
    verbs = ("ingest", "train", "deploy", "monitor", "score", "upkeep")
    assert listed == {f"{name}__{verb}" for name in ("credit_score", "titanic") for verb in verbs}
