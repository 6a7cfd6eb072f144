"""Airflow over its REST API (v2): trigger DAGs, wait for their runs, read states, logs and XComs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from evergreen.errors import OrchestratorError, OrchestratorUnreachable
from evergreen.settings import Settings

TaskProgress = Callable[[Mapping[str, str | None]], None]

_POLL_SECONDS = 0.5
_RETRY_SECONDS = 1.0
_RESTART_SECONDS = 60.0
_LOG_LINES = 20
_PAGE = 100
# What Airflow takes as a note, in characters, and what stands between two texts in one.
_NOTE_LENGTH = 1000
_PARAGRAPH = "\n\n"


class AirflowApi:
    """A client for the Airflow that the settings name. It logs in when first needed and again when told to.

    Every method raises OrchestratorError when Airflow does not answer, refuses, or does not know the name.
    """

    def __init__(self, settings: Settings, *, transport: httpx.BaseTransport | None = None) -> None:
        self._settings = settings
        self._url = settings.airflow_url.rstrip("/")
        # No proxy: Airflow is on this machine or in this cluster.
        self._client = httpx.Client(timeout=30.0, trust_env=False, transport=transport)
        self._token = ""
        self._lock = threading.Lock()

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        logical_date: datetime | None = None,
        run_id: str | None = None,
        *,
        parsed_within: float = 60.0,
    ) -> str:
        """Start a run; its id. With a `run_id` that exists already, that run is meant and none is started.

        `logical_date` (aware) may occur once per DAG; None, as for most runs by hand, any number of times.
        A DAG that Airflow has not parsed yet, as after a fresh start, is waited for `parsed_within` seconds.
        """
        self.wait_for_dag(dag_id, timeout=parsed_within)
        body: dict[str, Any] = {
            "conf": dict(conf or {}),
            "logical_date": logical_date.isoformat() if logical_date else None,
        }
        if run_id is not None:
            body["dag_run_id"] = run_id
        response = self._send("POST", f"dags/{_quote_path_segment(dag_id)}/dagRuns", json=body)
        if response.status_code == 409 and run_id is not None:
            known = self._send(
                "GET", f"dags/{_quote_path_segment(dag_id)}/dagRuns/{_quote_path_segment(run_id)}"
            )
            if known.status_code == 200:
                return run_id
        return str(self._checked(response, f"triggering {dag_id}")["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """queued, running, success or failed."""
        return str(
            self._get(f"dags/{_quote_path_segment(dag_id)}/dagRuns/{_quote_path_segment(run_id)}")["state"]
        )

    def runs(self, dag_id: str, limit: int = 10) -> list[dict[str, Any]]:
        """The newest runs first, as Airflow describes them (dag_run_id, state, run_type, conf, ...)."""
        found = self._get(f"dags/{_quote_path_segment(dag_id)}/dagRuns", order_by="-run_after", limit=limit)
        return list(found["dag_runs"])

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """The state of each task by id, in the order they ran; a mapped one as `task[index]`."""
        return {_format_task_label(task): task["state"] for task in self._tasks(dag_id, run_id)}

    def wait(
        self,
        dag_id: str,
        run_id: str,
        timeout: float,
        on_progress: TaskProgress | None = None,
    ) -> None:
        """Return when the run has succeeded; `on_progress` gets the task states whenever they changed.

        Raises OrchestratorError when it fails, with the last log lines of the task that failed, or when it
        has not ended after `timeout` seconds. A restart of the API server meanwhile is waited out.
        """
        deadline = time.monotonic() + timeout
        answered = time.monotonic()
        shown: dict[str, str | None] | None = None
        while True:
            try:
                state = self.run_state(dag_id, run_id)
                tasks = self.task_states(dag_id, run_id)
                answered = time.monotonic()
            except OrchestratorUnreachable:
                if time.monotonic() - answered > _RESTART_SECONDS:
                    raise
                time.sleep(_RETRY_SECONDS)
                continue
            if on_progress and tasks != shown:
                on_progress(tasks)
            shown = tasks
            if state == "success":
                return
            if state == "failed":
                raise OrchestratorError(
                    f"{dag_id} failed in run {run_id}{self._why(dag_id, run_id)}",
                    hint=f"see it in Airflow: {self.run_url(dag_id, run_id)}",
                )
            if time.monotonic() > deadline:
                raise OrchestratorError(
                    f"{dag_id} is still {state} after {timeout:.0f} s: {_describe_tasks(tasks)}",
                    hint=self._why_waiting(dag_id, run_id),
                )
            time.sleep(_POLL_SECONDS)

    def wait_for_dag(self, dag_id: str, timeout: float) -> None:
        """Return when Airflow knows the DAG. Raises OrchestratorError, with its import errors, if not."""
        deadline = time.monotonic() + timeout
        while True:
            response = self._send("GET", f"dags/{_quote_path_segment(dag_id)}")
            if response.status_code == 200 and not response.json().get("is_stale"):
                return
            if response.status_code not in (200, 404):
                self._checked(response, f"looking for {dag_id}")
            if time.monotonic() > deadline:
                errors = self._get("importErrors", limit=3)["import_errors"]
                stacks = "".join(
                    f"\n{e['filename']}: {_take_last_lines(e['stack_trace'], 5)}" for e in errors
                )
                raise OrchestratorError(
                    f"Airflow knows no DAG {dag_id}{stacks}",
                    hint="a DAG is <use case>__<verb>: see evergreen use-cases"
                    if not stacks
                    else "mend the DAG file or the use case that it names",
                )
            time.sleep(_RETRY_SECONDS)

    def wait_for_asset_run(self, dag_id: str, after: datetime | None, timeout: float) -> str:
        """The id of the run that an asset event started after that moment (aware); waits for it to appear."""
        deadline = time.monotonic() + timeout
        while True:
            for run in self.runs(dag_id):
                if run["run_type"] == "asset_triggered" and (after is None or _parse_queue_time(run) > after):
                    return str(run["dag_run_id"])
            if time.monotonic() > deadline:
                since = f" since {after.isoformat(timespec='seconds')}" if after else ""
                raise OrchestratorError(
                    f"no asset has started {dag_id}{since} within {timeout:.0f} s",
                    hint=f"see the asset's events in Airflow: {self._url}/assets",
                )
            time.sleep(_POLL_SECONDS)

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1, map_index: int = -1) -> str:
        """The log of one attempt of a task, a line per event, exceptions at their place."""
        lines: list[str] = []
        for entry in self._log(dag_id, run_id, task_id, attempt, map_index):
            if isinstance(entry, str):
                lines.append(entry)
                continue
            lines.append(str(entry.get("event", "")))
            for error in entry.get("error_detail") or []:
                frames = error.get("frames") or []
                lines += [f"  {f['filename']}:{f['lineno']} in {f['name']}" for f in frames[-3:]]
                lines.append(f"{error['exc_type']}: {error['exc_value']}")
        return "\n".join(lines)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task returned (or pushed under `key`), as JSON."""
        run = f"dags/{_quote_path_segment(dag_id)}/dagRuns/{_quote_path_segment(run_id)}"
        return self._get(
            f"{run}/taskInstances/{_quote_path_segment(task_id)}/xcomEntries/{_quote_path_segment(key)}"
        )["value"]

    def add_note(self, dag_id: str, run_id: str, text: str) -> None:
        """Add a text to a run's note as a paragraph, shortened to what Airflow takes.

        What the note says already stays, whoever wrote it; a text that it has is not added again.
        """
        run = f"dags/{_quote_path_segment(dag_id)}/dagRuns/{_quote_path_segment(run_id)}"
        standing = self._get(run).get("note") or ""
        text = _shorten_text(text, _NOTE_LENGTH)
        room = _NOTE_LENGTH - len(standing) - len(_PARAGRAPH)
        if text in standing or room < 1:
            return
        note = f"{standing}{_PARAGRAPH}{_shorten_text(text, room)}" if standing else text
        self._checked(self._send("PATCH", run, json={"note": note}), f"a note on {dag_id}")

    def task_error(self, dag_id: str, run_id: str) -> str:
        """What the run's first failed task said in its last attempt, as "task: its own message" with its hint
        on the next line; empty where none failed or its log does not tell."""
        failed = self._failed(dag_id, run_id)
        if not failed:
            return ""
        errors = [
            str(detail["exc_value"])
            for entry in self._log(dag_id, run_id, *_identify_last_attempt(failed[0]))
            if isinstance(entry, dict)
            for detail in (entry.get("error_detail") or [])[:1]
        ]
        return f"{_format_task_label(failed[0])}: {errors[-1]}".replace("\nHint: ", "\n") if errors else ""

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Where people see a run in Airflow."""
        return f"{self._url}/dags/{dag_id}/runs/{quote(run_id)}"

    def close(self) -> None:
        self._client.close()

    def _tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self._get(
                f"dags/{_quote_path_segment(dag_id)}/dagRuns/{_quote_path_segment(run_id)}/taskInstances",
                order_by="start_date",
                limit=_PAGE,
                offset=len(found),
            )
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def _why(self, dag_id: str, run_id: str) -> str:
        """The failed tasks and the end of the first one's log."""
        failed = self._failed(dag_id, run_id)
        if not failed:
            return ""
        first = failed[0]
        try:
            log = self.task_log(dag_id, run_id, *_identify_last_attempt(first))
        except OrchestratorError as error:
            log = error.message
        return (
            f": task {', '.join(map(_format_task_label, failed))} failed\n{_take_last_lines(log, _LOG_LINES)}"
        )

    def _log(self, dag_id: str, run_id: str, task_id: str, attempt: int, map_index: int) -> list[Any]:
        """One attempt's log as Airflow has it: lines, or events with their fields."""
        body = self._get(
            f"dags/{_quote_path_segment(dag_id)}/dagRuns/{_quote_path_segment(run_id)}/taskInstances/{_quote_path_segment(task_id)}/logs/{attempt}",
            map_index=map_index,
        )
        return list(body["content"])

    def _failed(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return [task for task in self._tasks(dag_id, run_id) if task["state"] == "failed"]

    def _why_waiting(self, dag_id: str, run_id: str) -> str:
        paused = self._get(f"dags/{_quote_path_segment(dag_id)}").get("is_paused")
        if paused:
            return f"{dag_id} is paused: unpause it in Airflow"
        return f"see it in Airflow: {self.run_url(dag_id, run_id)}"

    def _get(self, path: str, **params: Any) -> dict[str, Any]:
        return self._checked(self._send("GET", path, params=params), f"reading {path}")

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        if not self._token:
            self._log_in()
        response = self._request(method, f"/api/v2/{path}", **options)
        if response.status_code == 401:  # the token has expired, or Airflow has new keys
            self._log_in()
            response = self._request(method, f"/api/v2/{path}", **options)
        return response

    def _log_in(self) -> None:
        with self._lock:
            response = self._request(
                "POST",
                "/auth/token",
                json={
                    "username": self._settings.airflow_user,
                    "password": self._settings.airflow_password.get_secret_value(),
                },
            )
            if response.status_code not in (200, 201):
                raise OrchestratorError(
                    f"Airflow at {self._url} refuses the user {self._settings.airflow_user!r}",
                    hint="set EVERGREEN_AIRFLOW_USER and EVERGREEN_AIRFLOW_PASSWORD to this Airflow's",
                )
            self._token = str(_parse_json(response, "signing in")["access_token"])

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        headers["Accept"] = "application/json"
        try:
            return self._client.request(method, self._url + path, headers=headers, **options)
        except httpx.HTTPError as error:
            raise OrchestratorUnreachable(
                f"Airflow does not answer at {self._url}: {error}",
                hint="is the stack up? evergreen status shows it, evergreen up starts it",
            ) from None

    def _checked(self, response: httpx.Response, doing: str) -> dict[str, Any]:
        if response.is_success:
            return _parse_json(response, doing)
        try:
            reason = response.json().get("detail", response.text)
        except ValueError:
            reason = response.text
        raise OrchestratorError(
            f"Airflow refused {doing} ({response.status_code}): {str(reason)[:500]}",
            hint="see evergreen status and Airflow's own pages for what it knows",
        )


def _parse_json(response: httpx.Response, doing: str) -> dict[str, Any]:
    """The body of an answer. Raises OrchestratorError for what is no JSON, such as a proxy's sign-in page."""
    try:
        body: dict[str, Any] = response.json()
    except ValueError:
        raise OrchestratorError(
            f"{doing}: what answers at {response.url} is not Airflow's REST API",
            hint="set EVERGREEN_AIRFLOW_URL to Airflow's API server itself",
        ) from None
    return body


def _quote_path_segment(text: str) -> str:
    return quote(text, safe="")


def _format_task_label(task: Mapping[str, Any]) -> str:
    return str(task["task_id"]) if task["map_index"] < 0 else f"{task['task_id']}[{task['map_index']}]"


def _identify_last_attempt(task: Mapping[str, Any]) -> tuple[str, int, int]:
    """What names the log of a task's last attempt: task, attempt, map index."""
    return task["task_id"], max(task["try_number"], 1), task["map_index"]


def _parse_queue_time(run: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(run["queued_at"] or run["run_after"])


def _describe_tasks(tasks: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {state or 'not started'}" for name, state in tasks.items()) or "no task yet"


def _take_last_lines(text: str, lines: int) -> str:
    kept = [line for line in text.splitlines() if not line.startswith(("::group::", "::endgroup::"))]
    return "\n".join(line[:400] for line in kept[-lines:])


def _shorten_text(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
