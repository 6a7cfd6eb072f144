"""The state of the whole stack as people and scripts see it: `evergreen status`, and progress of a start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from evergreen.documents import JsonObject
from evergreen.settings import STACK_ENV
from evergreen.stack.processes import process_table
from evergreen.stack.processes.stack_state import (
    ProcessState,
    StackFailure,
    StackState,
    is_stack_supervised,
    read_state,
)
from evergreen.stack.servers.keys import KEYS_FILE

Progress = Callable[[str], None]


@dataclass
class ProcessStatus(ProcessState):
    """A process as it is now, with its memory in MB (proportional set size, 10^6 bytes)."""

    memory_mb: float = 0.0


@dataclass(frozen=True)
class StackStatus:
    """The stack as it is now.

    `state` is starting, running, stopping, stopped, failed, or `killed` when the supervisor was. `since` is
    ISO 8601, UTC. `memory_mb` is that of all processes, the supervisor included. `urls` is empty while
    nothing runs.
    """

    state: str
    since: str
    home: Path
    supervisor_pid: int | None
    memory_mb: float
    urls: dict[str, str]
    processes: tuple[ProcessStatus, ...]
    problems: tuple[str, ...] = ()
    failure: StackFailure | None = None

    @property
    def is_running(self) -> bool:
        """Whether everything was started."""
        return self.state == "running"

    @property
    def is_healthy(self) -> bool:
        """Whether everything runs, and every process does what it should."""
        return self.is_running and all(each.state in ("ready", "done") for each in self.processes)

    def to_json(self) -> JsonObject:
        """For `--json`: also where the passwords and the settings of the stack are."""
        return {
            "state": self.state,
            "since": self.since,
            "home": str(self.home),
            "supervisor_pid": self.supervisor_pid,
            "memory_mb": self.memory_mb,
            "urls": self.urls,
            "processes": [asdict(each) for each in self.processes],
            "problems": list(self.problems),
            "error": asdict(self.failure) if self.failure else None,
            "passwords": str(self.home / KEYS_FILE),
            "settings": str(self.home / STACK_ENV),
        }


def read_stack_status(home: Path) -> StackStatus:
    """The state of the stack of `home`, running or not. Raises StackError when the home cannot be read."""
    home = home.resolve()
    state = read_state(home) or StackState(id=process_table.compute_stack_id(home))
    is_supervised = is_stack_supervised(home, state)
    phase: str = state.phase
    if not is_supervised and phase in ("starting", "running", "stopping"):
        phase = "killed"
    pids_by_process: dict[str, set[int]] = {}
    for pid, name in process_table.find_stack_processes(state.id).items():
        pids_by_process.setdefault(name, set()).add(pid)
    processes = []
    for process in state.processes:
        memory = _measure_memory_mb(pids_by_process.get(process.name, set()))
        status = ProcessStatus(**asdict(process), memory_mb=memory)
        if not is_supervised and process.state != "done":
            status.state, status.pid = "stopped", None
        processes.append(status)
    supervisor_pid = state.supervisor_pid if is_supervised else None
    own_memory = _measure_memory_mb({supervisor_pid} if supervisor_pid else set())
    return StackStatus(
        state=phase,
        since=state.since,
        home=home,
        supervisor_pid=supervisor_pid,
        memory_mb=round(own_memory + sum(each.memory_mb for each in processes), 1),
        urls=state.urls if is_supervised else {},
        processes=tuple(processes),
        problems=tuple(state.problems),
        failure=state.failure,
    )


def _measure_memory_mb(pids: set[int]) -> float:
    return round(process_table.measure_memory_bytes(pids) / 1e6, 1)


class ProgressReporter:
    """Calls `progress` with a description of the stack's state, once per change."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._last_text = ""

    def __call__(self, state: StackState | None) -> None:
        """Report this state unless it reads as the last one did; nothing for None."""
        text = describe_stack_state(state) if state else ""
        if self._progress and text and text != self._last_text:
            self._last_text = text
            self._progress(text)


def describe_stack_state(state: StackState) -> str:
    """The stack's state in one line: what is ready, what is not yet, and which trouble there is."""
    names_by_state: dict[str, list[str]] = {}
    for process in state.processes:
        kind = "ready" if process.state == "done" else process.state
        names_by_state.setdefault(kind, []).append(process.name)
    troubles = [f"{p.name}: {p.detail}" for p in state.processes if p.state in ("back-off", "unhealthy")]
    counts = [
        f"{kind}: {', '.join(names_by_state[kind])}"
        for kind in ("ready", "starting", "restarting", "waiting")
        if kind in names_by_state
    ]
    return "; ".join([state.phase, *counts, *troubles])
