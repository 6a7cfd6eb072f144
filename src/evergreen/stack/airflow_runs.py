"""What Airflow's REST API tells of runs, task instances and their logs, as typed rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG. `state` is queued, running, success or failed; `queued_at` is aware.

    `run_type` is scheduled, manual, backfill or asset_triggered. `moment` (aware): its logical date, else
    when it was due.
    """

    run_id: str
    state: str
    run_type: str
    note: str
    queued_at: datetime | None
    moment: datetime | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DagRun:
        """The run that Airflow describes so."""
        queued_at = document.get("queued_at") or document.get("run_after")
        moment = document.get("logical_date") or document.get("run_after")
        return cls(
            run_id=str(document.get("dag_run_id", "")),
            state=str(document.get("state", "")),
            run_type=str(document.get("run_type", "")),
            note=document.get("note") or "",
            queued_at=datetime.fromisoformat(queued_at) if queued_at else None,
            moment=datetime.fromisoformat(moment) if moment else None,
        )


@dataclass(frozen=True)
class TaskInstance:
    """A task of a run; `map_index` is -1 unless the task is mapped, `state` None before it is scheduled."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TaskInstance:
        """The task instance that Airflow describes so."""
        return cls(document["task_id"], document["map_index"], document["state"], document["try_number"])

    @property
    def label(self) -> str:
        """Its id; of a mapped one `task[index]`."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def last_attempt(self) -> int:
        """The number of its last attempt, from 1."""
        return max(self.try_number, 1)


@dataclass(frozen=True)
class LoggedError:
    """An exception in a task's log: its class, its text, and the places of its traceback, innermost last."""

    kind: str
    text: str
    places: tuple[str, ...]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> LoggedError:
        """The exception that Airflow describes so."""
        places = [f"{f['filename']}:{f['lineno']} in {f['name']}" for f in document.get("frames") or []]
        return cls(str(document["exc_type"]), str(document["exc_value"]), tuple(places))


@dataclass(frozen=True)
class LogEntry:
    """An event of a task's log, with the exceptions that came with it, the outermost first."""

    text: str
    errors: tuple[LoggedError, ...] = ()

    @classmethod
    def from_json(cls, document: str | Mapping[str, Any]) -> LogEntry:
        """The entry that Airflow describes so: a plain line, or an event with its fields."""
        if isinstance(document, str):
            return cls(document)
        errors = [LoggedError.from_json(each) for each in document.get("error_detail") or []]
        return cls(str(document.get("event", "")), tuple(errors))

    def list_lines(self) -> list[str]:
        """The event, then of each exception its innermost places and its text."""
        lines = [self.text]
        for error in self.errors:
            lines += [f"  {place}" for place in error.places[-3:]]
            lines.append(f"{error.kind}: {error.text}")
        return lines


def describe_tasks(states: Mapping[str, str | None]) -> str:
    """The states of a run's tasks in one line."""
    return ", ".join(f"{name} {state or 'not started'}" for name, state in states.items()) or "no task yet"
