"""The stack's state as the supervisor publishes it: `stack.json` in the home, which holds no secrets.

`evergreen status` and `evergreen down` may read the file of a stack that another version started: a field
that the file lacks has its default, and one that this version does not have is left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from evergreen import errors
from evergreen.errors import EvergreenError, StackError
from evergreen.private import write_private_file
from evergreen.stack.processes.home import build_access_error, is_stack_alive

STATE_FILE = "stack.json"

Phase = Literal["starting", "running", "stopping", "stopped", "failed"]
ProcessPhase = Literal[
    "waiting", "starting", "ready", "unhealthy", "restarting", "back-off", "done", "stopped", "failed"
]


@dataclass
class ProcessState:
    """One server (or one-off step) of the stack. `since`: when it entered this state, ISO 8601 UTC.

    `restarts` counts those after a crash; `request` is the last request to restart it for which the present
    process was started.
    """

    name: str
    state: ProcessPhase = "waiting"
    one_off: bool = False
    pid: int | None = None
    port: int | None = None
    url: str = ""
    since: str = ""
    restarts: int = 0
    last_exit: str = ""
    detail: str = ""
    log: str = ""
    request: str = ""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ProcessState:
        """The state that `document` describes. Raises TypeError when it has no name."""
        names = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in names})


@dataclass(frozen=True)
class StackFailure:
    """The error that ended a stack: the name of its class in `errors.py`, its message and its hint."""

    type: str
    message: str
    hint: str

    @classmethod
    def of_error(cls, error: EvergreenError) -> StackFailure:
        """The failure that this error is."""
        return cls(type(error).__name__, error.message, error.hint)

    def build_error(self) -> EvergreenError:
        """The error again, of the kind that it was in the supervisor; StackError for an unknown kind."""
        kind = getattr(errors, self.type, StackError)
        error: EvergreenError = kind(self.message, hint=self.hint)
        return error


@dataclass
class StackState:
    """The whole stack: its id (see process_table.py), its ports by name, its processes, its problems.

    `failure` is the error that ended it, if one did; the file calls it "error".
    """

    id: str
    phase: Phase = "stopped"
    since: str = ""
    supervisor_pid: int | None = None
    ports: dict[str, int] = field(default_factory=dict)
    processes: list[ProcessState] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    failure: StackFailure | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> StackState:
        """The state that `stack.json` describes. Raises KeyError, TypeError when it is not one."""
        stack_id = document["id"]
        failure = document.get("error")
        return cls(
            id=stack_id,
            phase=document.get("phase", "stopped"),
            since=document.get("since", ""),
            supervisor_pid=document.get("supervisor_pid"),
            ports=document.get("ports", {}),
            processes=[ProcessState.from_json(each) for each in document["processes"]],
            problems=document.get("problems", []),
            failure=StackFailure(failure["type"], failure["message"], failure["hint"]) if failure else None,
        )

    def to_json(self) -> dict[str, Any]:
        """What `stack.json` holds."""
        document = asdict(self)
        document["error"] = document.pop("failure")
        return document

    @property
    def urls(self) -> dict[str, str]:
        """The URL of each server that has one, by name."""
        return {process.name: process.url for process in self.processes if process.url}

    def raise_error(self) -> None:
        """Raise the error that ended the stack, as the kind it was in the supervisor; nothing without one."""
        if self.failure is not None:
            raise self.failure.build_error()


def write_state(home: Path, state: StackState) -> None:
    """Replace `stack.json` atomically: a reader never sees half of it."""
    write_private_file(home / STATE_FILE, json.dumps(state.to_json(), indent=1))


def read_state(home: Path) -> StackState | None:
    """The state that was written last, or None when there is none that can be read.

    Raises StackError when the home cannot be read.
    """
    try:
        return StackState.from_json(json.loads((home / STATE_FILE).read_text("utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None
    except OSError as error:
        raise build_access_error(home, error) from None


def is_stack_supervised(home: Path, state: StackState) -> bool:
    """Whether the supervisor that wrote `state` still runs.

    The lock alone does not say so: after a SIGKILL of the supervisor its warden holds it while it sweeps up.
    A supervisor that is only just starting has not written its pid yet.
    """
    if not is_stack_alive(home):
        return False
    if state.supervisor_pid is None:
        return state.phase == "starting"
    try:
        os.kill(state.supervisor_pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
