"""Airflow over its REST API (v2): trigger DAGs, wait for their runs, read states, logs and XComs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from evergreen.errors import OrchestratorError, OrchestratorUnreachable
from evergreen.settings import Settings
from evergreen.stack.airflow_runs import DagRun, LogEntry, TaskInstance, describe_tasks
from evergreen.stack.airflow_session import AirflowSession
from evergreen.waiting import wait_until

TaskProgress = Callable[[Mapping[str, str | None]], None]

_POLL_SECONDS = 0.5
# How long Airflow may be away while a run is waited for.
_RESTART_SECONDS = 60.0
_LOG_LINES = 20
_PAGE = 100
# The most characters that Airflow takes as a note, and what separates two texts in one.
_NOTE_LENGTH = 1000
_PARAGRAPH = "\n\n"


class AirflowApi:
    """A client for the Airflow that the settings name.

    Every method raises OrchestratorError when Airflow does not answer, refuses, or does not know the name.
    """

    def __init__(self, settings: Settings, *, transport: httpx.BaseTransport | None = None) -> None:
        self._session = AirflowSession(settings, transport=transport)

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, str | int | float | bool | None] | None = None,
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
        body = {
            "conf": dict(conf or {}),
            "logical_date": logical_date.isoformat() if logical_date else None,
            **({"dag_run_id": run_id} if run_id is not None else {}),
        }
        response = self._session.send("POST", f"dags/{_quote_path_segment(dag_id)}/dagRuns", json=body)
        if response.status_code == 409 and run_id is not None:
            existing = self._session.send("GET", _build_run_path(dag_id, run_id))
            if existing.status_code == 200:
                return run_id
        return str(self._session.parse_answer(response, f"triggering {dag_id}")["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """The state of a run: queued, running, success or failed."""
        return self._read_run(dag_id, run_id).state

    def runs(self, dag_id: str, limit: int = 10) -> list[DagRun]:
        """The newest runs, the newest first."""
        page = self._session.get_json(
            f"dags/{_quote_path_segment(dag_id)}/dagRuns", order_by="-run_after", limit=limit
        )
        return [DagRun.from_json(each) for each in page["dag_runs"]]

    def list_active_dags(self, prefix: str) -> set[str]:
        """The DAGs whose ids begin with `prefix` that have a run which is queued or running."""
        return {
            str(document["dag_id"])
            for state in ("queued", "running")
            for document in self._read_pages("dags/~/dagRuns", "dag_runs", state=state, order_by="id")
            if str(document["dag_id"]).startswith(prefix)
        }

    def list_scheduled_moments(self, dag_id: str) -> set[datetime]:
        """The moments (aware) as of which the runs work that the DAG's schedule has started, and neither a
        person nor an asset."""
        documents = self._read_pages(
            f"dags/{_quote_path_segment(dag_id)}/dagRuns", "dag_runs", run_type="scheduled", order_by="id"
        )
        runs = [DagRun.from_json(document) for document in documents]
        return {run.moment for run in runs if run.run_type == "scheduled" and run.moment is not None}

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """The state of each task by id, in the order they ran; a mapped one as `task[index]`."""
        return {task.label: task.state for task in self._read_tasks(dag_id, run_id)}

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
        answered_at = time.monotonic()
        state = "unknown"
        tasks: dict[str, str | None] | None = None

        def has_ended() -> bool:
            """Whether the run has ended; reads its state and reports changes of its tasks."""
            nonlocal answered_at, state, tasks
            try:
                state = self.run_state(dag_id, run_id)
                present_tasks = self.task_states(dag_id, run_id)
            except OrchestratorUnreachable:
                if time.monotonic() - answered_at > _RESTART_SECONDS:
                    raise
                return False
            answered_at = time.monotonic()
            if on_progress and present_tasks != tasks:
                on_progress(present_tasks)
            tasks = present_tasks
            return state in ("success", "failed")

        has_run_ended = wait_until(has_ended, timeout, poll_seconds=_POLL_SECONDS)
        if state == "failed":
            raise OrchestratorError(
                f"{dag_id} failed in run {run_id}{self._describe_failure(dag_id, run_id)}",
                hint=f"see it in Airflow: {self.run_url(dag_id, run_id)}",
            )
        if not has_run_ended:
            raise OrchestratorError(
                f"{dag_id} is still {state} after {timeout:.0f} s: {describe_tasks(tasks or {})}",
                hint=self._describe_wait(dag_id, run_id),
            )

    def wait_for_dag(self, dag_id: str, timeout: float) -> None:
        """Return when Airflow knows the DAG. Raises OrchestratorError, with its import errors, if not."""

        def is_parsed() -> bool:
            """Whether Airflow has parsed the DAG."""
            response = self._session.send("GET", f"dags/{_quote_path_segment(dag_id)}")
            if response.status_code not in (200, 404):
                self._session.parse_answer(response, f"looking for {dag_id}")
            return response.status_code == 200 and not response.json().get("is_stale")

        if wait_until(is_parsed, timeout, poll_seconds=_POLL_SECONDS):
            return
        errors = self._session.get_json("importErrors", limit=3)["import_errors"]
        stacks = "".join(f"\n{e['filename']}: {_take_last_lines(e['stack_trace'], 5)}" for e in errors)
        raise OrchestratorError(
            f"Airflow knows no DAG {dag_id}{stacks}",
            hint="a DAG is <use case>__<verb>: see evergreen use-cases"
            if not stacks
            else "mend the DAG file or the use case that it names",
        )

    def wait_for_asset_run(self, dag_id: str, after: datetime | None, timeout: float) -> str:
        """The id of the run that an asset event started after that moment (aware); waits for it to appear."""

        def find_run() -> str:
            """The id of the newest such run, "" for none yet."""
            for run in self.runs(dag_id):
                is_later = after is None or (run.queued_at is not None and run.queued_at > after)
                if run.run_type == "asset_triggered" and is_later:
                    return run.run_id
            return ""

        run_id = wait_until(find_run, timeout, poll_seconds=_POLL_SECONDS)
        if not run_id:
            since = f" since {after.isoformat(timespec='seconds')}" if after else ""
            raise OrchestratorError(
                f"no asset has started {dag_id}{since} within {timeout:.0f} s",
                hint=f"see the asset's events in Airflow: {self._session.url}/assets",
            )
        return run_id

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1, map_index: int = -1) -> str:
        """The log of one attempt of a task, a line per event, exceptions at their place."""
        entries = self._read_log(dag_id, run_id, task_id, attempt, map_index)
        return "\n".join(line for entry in entries for line in entry.list_lines())

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task returned (or pushed under `key`), as JSON."""
        task = f"{_build_run_path(dag_id, run_id)}/taskInstances/{_quote_path_segment(task_id)}"
        return self._session.get_json(f"{task}/xcomEntries/{_quote_path_segment(key)}")["value"]

    def add_note(self, dag_id: str, run_id: str, text: str) -> None:
        """Add a text to a run's note as a paragraph, shortened to what Airflow takes.

        What the note says already stays, whoever wrote it; a text that it has is not added again.
        """
        former = self._read_run(dag_id, run_id).note
        text = _shorten_text(text, _NOTE_LENGTH)
        room = _NOTE_LENGTH - len(former) - len(_PARAGRAPH)
        if text in former or room < 1:
            return
        note = f"{former}{_PARAGRAPH}{_shorten_text(text, room)}" if former else text
        response = self._session.send("PATCH", _build_run_path(dag_id, run_id), json={"note": note})
        self._session.parse_answer(response, f"a note on {dag_id}")

    def task_error(self, dag_id: str, run_id: str) -> str:
        """What the run's first failed task said in its last attempt, as "task: its own message" with its hint
        on the next line; empty where none failed or its log does not tell."""
        failures = self._read_failed_tasks(dag_id, run_id)
        if not failures:
            return ""
        task = failures[0]
        entries = self._read_log(dag_id, run_id, task.task_id, task.last_attempt, task.map_index)
        texts = [entry.errors[0].text for entry in entries if entry.errors]
        return f"{task.label}: {texts[-1]}".replace("\nHint: ", "\n") if texts else ""

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Where people see a run in Airflow."""
        return f"{self._session.url}/dags/{dag_id}/runs/{quote(run_id)}"

    def close(self) -> None:
        """Close the connections to Airflow."""
        self._session.close()

    def _read_run(self, dag_id: str, run_id: str) -> DagRun:
        return DagRun.from_json(self._session.get_json(_build_run_path(dag_id, run_id)))

    def _read_tasks(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Every task instance of a run."""
        path = f"{_build_run_path(dag_id, run_id)}/taskInstances"
        documents = self._read_pages(path, "task_instances", order_by="start_date")
        return [TaskInstance.from_json(document) for document in documents]

    def _read_pages(self, path: str, key: str, **query: str) -> list[Mapping[str, Any]]:
        """The whole list that Airflow answers with under `key`, from as many pages as there are."""
        documents: list[Mapping[str, Any]] = []
        while True:
            page = self._session.get_json(path, limit=_PAGE, offset=len(documents), **query)
            documents += page[key]
            if not page[key] or len(documents) >= page["total_entries"]:
                return documents

    def _read_failed_tasks(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        return [task for task in self._read_tasks(dag_id, run_id) if task.state == "failed"]

    def _read_log(
        self, dag_id: str, run_id: str, task_id: str, attempt: int, map_index: int
    ) -> list[LogEntry]:
        task = f"{_build_run_path(dag_id, run_id)}/taskInstances/{_quote_path_segment(task_id)}"
        document = self._session.get_json(f"{task}/logs/{attempt}", map_index=map_index)
        return [LogEntry.from_json(each) for each in document["content"]]

    def _describe_failure(self, dag_id: str, run_id: str) -> str:
        """The failed tasks and the end of the first one's log."""
        failures = self._read_failed_tasks(dag_id, run_id)
        if not failures:
            return ""
        first = failures[0]
        try:
            log = self.task_log(dag_id, run_id, first.task_id, first.last_attempt, first.map_index)
        except OrchestratorError as error:
            log = error.message
        labels = ", ".join(task.label for task in failures)
        return f": task {labels} failed\n{_take_last_lines(log, _LOG_LINES)}"

    def _describe_wait(self, dag_id: str, run_id: str) -> str:
        """What a person may do about a run that does not end."""
        if self._session.get_json(f"dags/{_quote_path_segment(dag_id)}").get("is_paused"):
            return f"{dag_id} is paused: unpause it in Airflow"
        return f"see it in Airflow: {self.run_url(dag_id, run_id)}"


def _build_run_path(dag_id: str, run_id: str) -> str:
    return f"dags/{_quote_path_segment(dag_id)}/dagRuns/{_quote_path_segment(run_id)}"


def _quote_path_segment(text: str) -> str:
    return quote(text, safe="")


def _take_last_lines(text: str, count: int) -> str:
    """The last lines of a log without Airflow's own marks, each 400 characters at most."""
    lines = [line for line in text.splitlines() if not line.startswith(("::group::", "::endgroup::"))]
    return "\n".join(line[:400] for line in lines[-count:])


def _shorten_text(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
