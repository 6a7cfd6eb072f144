"""The client of Airflow's REST API, on recorded answers; the real Airflow answers in tests/e2e."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from evergreen.errors import OrchestratorError, OrchestratorUnreachable
from evergreen.settings import Settings
from evergreen.stack import airflow_api
from evergreen.stack.airflow_api import AirflowApi


class Recorded:
    """An Airflow of canned answers by method and path; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.password = "right"

    def on(self, route: str, *answers: tuple[int, Any]) -> Recorded:
        """Answers in turn, the last one for good."""
        self.answers[route] = list(answers)
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.path
        if path == "/auth/token":
            if json.loads(request.content)["password"] != self.password:
                return httpx.Response(401, json={"detail": "Invalid credentials"})
            return httpx.Response(201, json={"access_token": f"token-{len(self.asked)}"})
        known = self.answers.get(f"{request.method} {path.removeprefix('/api/v2/')}")
        if known is None:
            return httpx.Response(404, json={"detail": "not found"})
        status, body = known.pop(0) if len(known) > 1 else known[0]
        if isinstance(body, Exception):
            raise body
        return httpx.Response(status, json=body)

    def api(self, password: str = "right") -> AirflowApi:
        settings = Settings(airflow_url="http://airflow", airflow_password=SecretStr(password))
        return AirflowApi(settings, transport=httpx.MockTransport(self))

    def bodies(self, route: str) -> list[Any]:
        return [
            json.loads(r.content)
            for r in self.asked
            if f"{r.method} {r.url.path.removeprefix('/api/v2/')}" == route
        ]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "_POLL_SECONDS", 0.0)


def task(task_id: str, state: str | None, map_index: int = -1, try_number: int = 1) -> dict[str, Any]:
    return {"task_id": task_id, "state": state, "map_index": map_index, "try_number": try_number}


def tasks(*found: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"task_instances": list(found), "total_entries": len(found)}


RUN = "dags/toy__train/dagRuns/r1"


def test_trigger_sends_conf_and_date_and_returns_the_run() -> None:
    airflow = Recorded().on("GET dags/toy__train", (200, {"is_stale": False}))
    airflow.on("POST dags/toy__train/dagRuns", (200, {"dag_run_id": "r1"}))
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert airflow.api().trigger("toy__train", {"as_of": "x"}, logical_date=moment) == "r1"
    assert airflow.bodies("POST dags/toy__train/dagRuns") == [
        {"conf": {"as_of": "x"}, "logical_date": "2026-01-02T00:00:00+00:00"}
    ]
    assert airflow.asked[-1].headers["Authorization"].startswith("Bearer token-")


def test_triggering_a_run_that_exists_means_that_run() -> None:
    airflow = Recorded().on("GET dags/toy__train", (200, {}))
    airflow.on("POST dags/toy__train/dagRuns", (409, {"detail": "exists"})).on(f"GET {RUN}", (200, {}))
    assert airflow.api().trigger("toy__train", run_id="r1") == "r1"


def test_a_dag_that_is_not_parsed_yet_is_waited_for() -> None:
    airflow = Recorded().on("GET dags/toy__train", (404, {"detail": "no"}), (200, {"is_stale": False}))
    airflow.api().wait_for_dag("toy__train", timeout=60)


def test_an_unknown_dag_comes_with_the_import_errors() -> None:
    airflow = Recorded().on(
        "GET importErrors",
        (200, {"import_errors": [{"filename": "train.py", "stack_trace": "Traceback\nNameError: boom"}]}),
    )
    with pytest.raises(
        OrchestratorError, match=r"knows no DAG toy__trian\ntrain.py: Traceback\nNameError: boom"
    ):
        airflow.api().trigger("toy__trian", parsed_within=0)


def test_wait_tells_each_change_and_returns_on_success() -> None:
    airflow = Recorded().on(f"GET {RUN}", (200, {"state": "running"}), (200, {"state": "running"}))
    airflow.answers[f"GET {RUN}"] += [(200, {"state": "success"})]
    airflow.on(
        f"GET {RUN}/taskInstances",
        tasks(task("tune", None)),
        tasks(task("tune", None)),
        tasks(task("tune", "success"), task("part", "success", map_index=2)),
    )
    said: list[Any] = []
    airflow.api().wait("toy__train", "r1", 60, on_progress=lambda states: said.append(dict(states)))
    assert said == [{"tune": None}, {"tune": "success", "part[2]": "success"}]


def test_a_failed_run_names_the_task_and_shows_its_log() -> None:
    airflow = Recorded().on(f"GET {RUN}", (200, {"state": "failed"}))
    airflow.on(
        f"GET {RUN}/taskInstances",
        tasks(task("tune", "failed", try_number=2), task("gate", "upstream_failed")),
    )
    log = {
        "content": [
            {"event": "::group::Pre"},
            {"event": "fitting"},
            {
                "event": "Task failed with exception",
                "error_detail": [
                    {
                        "exc_type": "NotEnoughData",
                        "exc_value": "3 rows\nHint: ingest more",
                        "frames": [{"filename": "tune.py", "lineno": 9, "name": "fit"}],
                    }
                ],
            },
        ]
    }
    airflow.on(f"GET {RUN}/taskInstances/tune/logs/2", (200, log))
    with pytest.raises(OrchestratorError) as caught:
        airflow.api().wait("toy__train", "r1", 60)
    assert "task tune failed" in caught.value.message
    assert "NotEnoughData: 3 rows" in caught.value.message
    assert "::group::" not in caught.value.message
    assert "http://airflow/dags/toy__train/runs/r1" in caught.value.hint
    assert airflow.api().task_error("toy__train", "r1") == "tune: 3 rows\ningest more"


def test_a_run_without_a_failed_task_has_no_error_to_tell() -> None:
    airflow = Recorded().on(f"GET {RUN}/taskInstances", tasks(task("tune", "success")))
    assert airflow.api().task_error("toy__train", "r1") == ""


def test_a_run_that_takes_too_long_says_where_it_stands() -> None:
    airflow = Recorded().on(f"GET {RUN}", (200, {"state": "queued"})).on(f"GET {RUN}/taskInstances", tasks())
    airflow.on("GET dags/toy__train", (200, {"is_paused": True}))
    with pytest.raises(OrchestratorError, match="still queued after 0 s") as caught:
        airflow.api().wait("toy__train", "r1", 0)
    assert "is paused" in caught.value.hint


def test_a_restart_of_airflow_is_waited_out() -> None:
    away = httpx.ConnectError("connection refused")
    airflow = Recorded().on(f"GET {RUN}", (0, away), (0, away), (200, {"state": "success"}))
    airflow.on(f"GET {RUN}/taskInstances", tasks())
    airflow.api().wait("toy__train", "r1", 60)


def test_the_run_that_an_asset_started_is_found_among_older_ones() -> None:
    def run(run_id: str, kind: str, hour: int) -> dict[str, Any]:
        moment = f"2026-01-01T{hour:02}:00:00Z"
        return {"dag_run_id": run_id, "run_type": kind, "queued_at": moment, "run_after": moment}

    old, manual = run("old", "asset_triggered", 1), run("manual", "manual", 5)
    new = run("new", "asset_triggered", 4)
    airflow = Recorded().on(
        "GET dags/toy__deploy/dagRuns",
        (200, {"dag_runs": [manual, old]}),
        (200, {"dag_runs": [manual, new, old]}),
    )
    after = datetime(2026, 1, 1, 3, tzinfo=UTC)
    assert airflow.api().wait_for_asset_run("toy__deploy", after, timeout=60) == "new"
    with pytest.raises(OrchestratorError, match="no asset has started"):
        airflow.api().wait_for_asset_run("toy__deploy", datetime(2026, 1, 2, tzinfo=UTC), timeout=0)


def test_an_expired_token_is_renewed_once() -> None:
    airflow = Recorded().on(f"GET {RUN}", (401, {"detail": "expired"}), (200, {"state": "running"}))
    assert airflow.api().run_state("toy__train", "r1") == "running"
    assert sum(r.url.path == "/auth/token" for r in airflow.asked) == 2


def test_a_wrong_password_and_a_silent_airflow_are_told_apart() -> None:
    with pytest.raises(OrchestratorError, match="refuses the user 'admin'"):
        Recorded().api(password="wrong").run_state("a", "b")
    airflow = Recorded().on(f"GET {RUN}", (0, httpx.ConnectError("refused")))
    with pytest.raises(OrchestratorUnreachable, match="does not answer at http://airflow"):
        airflow.api().run_state("toy__train", "r1")


def test_all_pages_of_a_large_run_are_read() -> None:
    first = {"task_instances": [task("p", "success", map_index=n) for n in range(100)], "total_entries": 130}
    rest = {
        "task_instances": [task("p", "success", map_index=n) for n in range(100, 130)],
        "total_entries": 130,
    }
    airflow = Recorded().on(f"GET {RUN}/taskInstances", (200, first), (200, rest))
    assert len(airflow.api().task_states("toy__train", "r1")) == 130


@pytest.mark.parametrize(
    ("standing", "text", "note"),
    [
        (None, "passed", "passed"),
        ("", "passed", "passed"),
        ("for Ada", "passed", "for Ada\n\npassed"),
        (None, "x" * 1000, "x" * 1000),
        (None, "x" * 1001, "x" * 999 + "…"),
        ("y" * 990, "x" * 8, "y" * 990 + "\n\n" + "x" * 8),
        ("y" * 990, "x" * 9, "y" * 990 + "\n\n" + "x" * 7 + "…"),
    ],
)
def test_a_note_is_added_behind_what_the_runs_note_says(standing: str | None, text: str, note: str) -> None:
    airflow = Recorded().on(f"GET {RUN}", (200, {"note": standing})).on(f"PATCH {RUN}", (200, {}))
    airflow.api().add_note("toy__train", "r1", text)
    assert airflow.bodies(f"PATCH {RUN}") == [{"note": note}]


@pytest.mark.parametrize("standing", ["passed", "for Ada\n\npassed", "y" * 998])
def test_a_note_that_is_there_or_has_no_room_is_not_added(standing: str) -> None:
    airflow = Recorded().on(f"GET {RUN}", (200, {"note": standing}))
    airflow.api().add_note("toy__train", "r1", "passed")
    assert airflow.bodies(f"PATCH {RUN}") == []


def test_a_note_that_airflow_refuses_is_an_error() -> None:
    airflow = Recorded().on(f"GET {RUN}", (200, {"note": None})).on(f"PATCH {RUN}", (403, {"detail": "no"}))
    with pytest.raises(OrchestratorError, match=r"refused a note on toy__train \(403\): no"):
        airflow.api().add_note("toy__train", "r1", "passed")


def test_a_page_instead_of_an_answer_is_an_error_of_the_orchestrator() -> None:
    """A proxy in front of Airflow may answer everything with its sign-in page, and 200."""
    page = httpx.MockTransport(lambda request: httpx.Response(200, text="<html>sign in</html>"))
    airflow = AirflowApi(Settings(airflow_url="http://airflow"), transport=page)
    with pytest.raises(OrchestratorError, match="signing in: what answers at http://airflow/auth/token"):
        airflow.add_note("toy__train", "r1", "passed")


def test_the_moments_of_scheduled_runs_are_read_from_every_page() -> None:
    def run(day: int, **values: str | None) -> dict[str, Any]:
        moment = datetime(2026, 6, day, tzinfo=UTC).isoformat()
        return {"run_type": "scheduled", "logical_date": moment, "run_after": moment, **values}

    by_hand = run(3, run_type="manual", logical_date=None)
    pages = [[run(1), run(2)], [by_hand, run(4, logical_date=None)]]
    airflow = Recorded().on(
        "GET dags/toy__ingest/dagRuns", *((200, {"dag_runs": page, "total_entries": 4}) for page in pages)
    )
    moments = airflow.api().list_scheduled_moments("toy__ingest")
    assert moments == {datetime(2026, 6, day, tzinfo=UTC) for day in (1, 2, 4)}
    queries = [request.url.params for request in airflow.asked if request.method == "GET"]
    assert [(query["run_type"], query["offset"]) for query in queries] == [
        ("scheduled", "0"),
        ("scheduled", "2"),
    ]


def test_dags_with_runs_that_have_not_ended_are_found_by_the_beginning_of_their_ids() -> None:
    queued = {"dag_runs": [{"dag_id": "toy__train"}, {"dag_id": "toys__train"}], "total_entries": 2}
    running = {"dag_runs": [{"dag_id": "toy__ingest"}, {"dag_id": "toy__train"}], "total_entries": 2}
    airflow = Recorded().on("GET dags/~/dagRuns", (200, queued), (200, running))
    assert airflow.api().list_active_dags("toy__") == {"toy__ingest", "toy__train"}
    queries = [request.url.params for request in airflow.asked if request.method == "GET"]
    assert [query["state"] for query in queries] == ["queued", "running"]
