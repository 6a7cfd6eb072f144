"""A person's approval through Airflow itself: a search in two mapped tasks, a question, yes and no."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import toy_rows
from evergreen.registry import ledger
from evergreen.registry.champion import read_champion
from evergreen.settings import Settings, load_settings
from evergreen.stack import lifecycle
from evergreen.stack.airflow_api import AirflowApi
from evergreen.store.connection.database import dispose_engines, get_engine
from support import toy_declaration
from support.own_ports import reserve_ports

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

ANSWER_SECONDS = 180.0
AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def stack() -> Iterator[Settings]:
    """A stack of its own whose toy wants approval and searches with two workers, its rows ingested.

    Its gate warns of the linear baseline, which nothing beats by so much.
    """
    # Not under pytest's tmp_path: its name is too long for a Unix socket.
    home = Path(tempfile.mkdtemp(prefix="evergreen-e2e-"))
    folder = home / "usecases" / "toy"
    folder.mkdir(parents=True)
    toy_rows(600).to_csv(home / "toy.csv", index=False)
    declared = Path(toy_declaration.__file__).read_text(encoding="utf-8")
    declared = declared.replace("tuning=Tuning(trials=2,", "tuning=Tuning(trials=4, workers=2,")
    declared = declared.replace("    retrain=RetrainPolicy(),", '    approval="manual",')
    declared = declared.replace("baseline_margin=-0.05", 'baseline_margin=0.4, warn=("beats linear",)')
    (folder / "__init__.py").write_text(declared.replace('"toy.csv"', repr(str(home / "toy.csv"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lifecycle, "START_SECONDS", 300.0)
        for name in [name for name in os.environ if name.startswith(("EVERGREEN_", "AIRFLOW"))]:
            patch.delenv(name)
        patch.setenv("EVERGREEN_USE_CASES", str(home / "usecases"))
        reserve_ports(home, "toy")
        try:
            lifecycle.start_stack(home)
            settings = load_settings(home)
            airflow = AirflowApi(settings)
            run = airflow.trigger("toy__ingest", {"as_of": AS_OF.isoformat()})
            airflow.wait("toy__ingest", run, timeout=ANSWER_SECONDS)
            yield settings
            dispose_engines(settings)
        finally:
            lifecycle.stop_stack(home)
            shutil.rmtree(home)


def asked(airflow: AirflowApi, as_of: datetime) -> str:
    """Train as of that moment, until the question is put; the run's id."""
    run = airflow.trigger("toy__train", {"as_of": as_of.isoformat()})
    deadline = time.monotonic() + ANSWER_SECONDS
    while airflow.task_states("toy__train", run).get("approve") != "awaiting_input":
        assert airflow.run_state("toy__train", run) in ("queued", "running"), airflow.task_states(
            "toy__train", run
        )
        assert time.monotonic() < deadline, airflow.task_states("toy__train", run)
        time.sleep(0.5)
    # No person answers in the second in which they are asked. On SQLite, which locks no rows, Airflow once
    # parked the task again after an answer that came at once.
    time.sleep(3.0)
    return run


def signed_in(settings: Settings) -> dict[str, str]:
    """The headers of somebody who signed in to Airflow."""
    secret = settings.airflow_password.get_secret_value()
    body = {"username": settings.airflow_user, "password": secret}
    token = httpx.post(f"{settings.airflow_url}/auth/token", json=body).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def search_spans(settings: Settings, run: str) -> list[tuple[str, str]]:
    """When each mapped search began and ended, as ISO texts of one form."""
    url = f"{settings.airflow_url}/api/v2/dags/toy__train/dagRuns/{run}/taskInstances"
    tasks = httpx.get(url, headers=signed_in(settings)).json()["task_instances"]
    return [(t["start_date"], t["end_date"]) for t in tasks if t["task_id"] == "search"]


def answer(settings: Settings, run: str, option: str, comment: str) -> dict[str, Any]:
    """Answer as Airflow's page does, and return what was asked."""
    url, headers = settings.airflow_url, signed_in(settings)
    question = f"{url}/api/v2/dags/toy__train/dagRuns/{run}/taskInstances/approve/-1/hitlDetails"
    put = httpx.get(question, headers=headers)
    body = {"chosen_options": [option], "params_input": {"comment": comment}}
    said = httpx.patch(question, headers=headers, json=body)
    assert said.status_code == 200, said.text
    found: dict[str, Any] = put.json()
    return found


def test_a_version_goes_live_when_approved_and_stays_out_when_denied(stack: Settings) -> None:
    airflow = AirflowApi(stack)
    first = asked(airflow, AS_OF)
    states = airflow.task_states("toy__train", first)
    assert states["search[0]"] == states["search[1]"] == "success"
    assert airflow.xcom("toy__train", first, "tune")["trials"] == 4
    spans = search_spans(stack, first)
    assert max(began for began, _ in spans) < min(ended for _, ended in spans), "side by side"
    assert read_champion(stack, "toy") is None
    put = answer(stack, first, "Approve", "card read")
    assert put["subject"] == "Toy: let version 1 in?"
    assert "model_card.html" in put["body"]
    warning = "does not beat the linear baseline's"
    assert warning in put["body"]
    assert "| beats linear | **WARNING** |" in put["body"]
    [noted] = airflow.runs("toy__train")
    assert noted.note == airflow.xcom("toy__train", first, "gate")["summary"]
    assert noted.note.startswith("passed with 1 warning: roc_auc")
    airflow.wait("toy__train", first, timeout=ANSWER_SECONDS)
    found = read_champion(stack, "toy")
    assert found is not None
    assert found.version == 1

    second = asked(airflow, AS_OF + timedelta(days=1))
    answer(stack, second, "Deny", "once is enough")
    airflow.wait("toy__train", second, timeout=ANSWER_SECONDS)
    assert airflow.task_states("toy__train", second)["promote"] == "skipped"
    still = read_champion(stack, "toy")
    assert still is not None
    assert still.version == 1
    lines = list(reversed(ledger.read_entries(get_engine(stack), "toy")))
    assert [(line.action, line.to_version, line.actor) for line in lines] == [
        ("approve", 1, "airflow: admin"),
        ("promote", 1, "airflow: admin"),
        ("deny", 2, "airflow: admin"),
    ]
    assert [line.reason for line in lines if line.action != "promote"] == ["card read", "once is enough"]
