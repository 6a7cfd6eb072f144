"""Which server a person means by a name, and what is said when there is nothing to restart."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from evergreen.errors import StackError, StackNotRunning, UseCaseError
from evergreen.registry.vacancy import Vacancy
from evergreen.serving.standing import ServiceStatus
from evergreen.settings import Settings
from evergreen.stack import restart as restarting
from evergreen.stack.overview import PresentChampion, ReadFailure, ReportPlace, UseCaseOverview
from evergreen.stack.processes.stack_state import ProcessState, StackState
from evergreen.stack.restart import Restart, ServiceRestart, find_server, restart_named_server
from evergreen.stack.service_view import render_overviews, render_restart
from evergreen.store.predictions.prediction_log import PredictionCounts
from evergreen.store.records.checks.drift_summary import DriftSummary
from evergreen.store.records.summary import StoreSummary, TableSummary

STATE = StackState(
    id="stack",
    processes=[
        ProcessState("mariadb", one_off=False),
        ProcessState("store-tables", one_off=True),
        ProcessState("mlflow"),
        ProcessState("airflow-scheduler"),
        ProcessState("service-credit_score"),
    ],
)
SETTINGS = Settings(
    service_urls={"credit_score": "http://127.0.0.1:3000", "titanic": "http://127.0.0.1:3001"}
)


@pytest.mark.parametrize(
    ("typed", "process"),
    [
        ("credit_score", "service-credit_score"),
        ("service-credit_score", "service-credit_score"),
        ("mlflow", "mlflow"),
    ],
)
def test_a_use_case_or_a_process_is_meant(typed: str, process: str) -> None:
    assert find_server(STATE, SETTINGS, typed).name == process


@pytest.mark.parametrize(
    ("typed", "message", "hint"),
    [
        ("credit_scores", "no server 'credit_scores'", "did you mean 'credit_score'? It has"),
        ("airflow-schedule", "no server", "did you mean 'airflow-scheduler'?"),
        ("xyz", "no server 'xyz'", "airflow-scheduler, credit_score, mariadb, mlflow"),
        ("store-tables", "no server 'store-tables'", "It has"),
        ("titanic", "the service of titanic does not run", "evergreen train titanic"),
        ("mariadb", "every other server works on it", "evergreen down, then evergreen up"),
    ],
)
def test_what_cannot_be_restarted_is_told_with_what_can(typed: str, message: str, hint: str) -> None:
    with pytest.raises(StackError) as caught:
        find_server(STATE, SETTINGS, typed)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_without_a_stack_the_hint_names_up_and_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_SERVICE_URLS", '{"credit_score": "http://service-credit-score:3000"}')
    with pytest.raises(StackNotRunning, match="no stack runs in") as caught:
        restart_named_server(tmp_path, "credit_score")
    assert "evergreen up" in caught.value.hint
    assert "docker compose restart service-credit-score" in caught.value.hint


def test_a_service_whose_declaration_is_broken_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "usecases" / "credit_scorer"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("import json\nUSE_CASE = nonsense\n")
    monkeypatch.setenv("EVERGREEN_USE_CASES", str(tmp_path / "usecases"))
    state = StackState(id="s", processes=[ProcessState("service-credit_scorer")])
    monkeypatch.setattr(restarting, "_read_running_stack", lambda *_: state)
    monkeypatch.setattr(restarting, "restart_process", lambda *_, **__: pytest.fail("it was ended"))
    with pytest.raises(UseCaseError, match=r"credit_scorer/__init__\.py:2"):
        restart_named_server(tmp_path, "credit_scorer")


def test_the_command_without_a_stack_exits_with_words(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "evergreen.cli", "restart", "mlflow"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == StackNotRunning.exit_code
    assert "no stack runs in" in ended.stderr


def shown(what: object) -> str:
    console = Console(width=300)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_status_shows_a_service_that_lags_and_a_champion_that_is_gone() -> None:
    standing = ServiceStatus("shop", "http://shop", 1, None, "a1b2c3d4", "d4e5f678", "")
    overview = UseCaseOverview("Shop", champion=Vacancy("shop", 1, None, False), standing=standing)
    assert not overview.is_healthy
    lines = [" ".join(line.split()) for line in shown(render_overviews({"shop": overview})).splitlines()]
    summary = "serves v1; holds an older declaration (a1b2c3d, now d4e5f67): evergreen restart shop"
    assert f"service {summary}" in lines
    assert (
        "champion nobody is champion in MLflow any more (v1 was); the service still answers with v1:"
        " evergreen rollback shop" in lines
    )


def test_status_shows_what_there_is_of_a_use_case_and_why_a_part_cannot_be_read() -> None:
    moment = datetime(2026, 7, 1, 8, 30, tzinfo=UTC)
    overview = UseCaseOverview(
        "Shop",
        "http://shop",
        champion=PresentChampion(3, moment, "run"),
        standing=ReadFailure("the service is silent"),
        store=StoreSummary({"orders": TableSummary(1500, moment, 700)}, TableSummary(0, None), None),
        drift=DriftSummary(moment, 3, False, "no drift", 1200, moment, 0, 26, {}, None),
        report=ReportPlace(moment, "none", "http://mlflow/report.html"),
        predictions=PredictionCounts(1200, {"3": 1200}, {"online": 1200}, moment),
    )
    lines = [" ".join(line.split()) for line in shown(render_overviews({"shop": overview})).splitlines()]
    assert lines == [
        "",
        "shop: Shop",
        "store orders: 1,500 rows, newest 2026-07-01 08:30:00; labels: 0 rows",
        "champion v3 since 2026-07-01 08:30:00",
        "service the service is silent",
        "drift v3: no drift (as of 2026-07-01 08:30:00)",
        "decision none yet",
        "report http://mlflow/report.html (as of 2026-07-01 08:30:00)",
        "predictions 1,200, 1,200 by v3",
    ]
    document = json.loads(json.dumps(overview.to_json()))
    assert document["champion"] == {"version": 3, "since": moment.isoformat(), "run_id": "run"}
    assert document["standing"] == {"error": "the service is silent"}
    assert document["drift"]["as_of"] == moment.isoformat()
    assert document["decision"] is None
    assert document["report"]["address"] == "http://mlflow/report.html"
    assert overview.is_healthy


def test_status_shows_how_to_see_a_report_that_mlflow_does_not_have() -> None:
    place = ReportPlace(datetime(2026, 7, 1, 8, 30, tzinfo=UTC), "drift", "")
    text = shown(render_overviews({"shop": UseCaseOverview("Shop", report=place)}))
    assert "evergreen report shop (as of 2026-07-01 08:30:00)" in text


def test_a_restart_tells_what_the_service_serves_now() -> None:
    standing = ServiceStatus("shop", "http://shop", 3, 3, "d4e5f6789", "d4e5f6789", "")
    restarted = ServiceRestart("service-shop", 7, "http://shop", 4.21, "shop", standing)
    assert shown(render_restart(restarted)).splitlines() == [
        "service-shop is up again after 4.2 s",
        "It serves v3; its declaration is d4e5f67.",
    ]
    document = restarted.to_json()
    assert list(document) == ["name", "pid", "url", "seconds", "use_case", "standing"]
    assert document["standing"]["summary"] == "serves v3"
    assert list(Restart("mlflow", 7, "", 1.0).to_json()) == ["name", "pid", "url", "seconds"]
