"""The verbs on the whole stack: up, down, status, and running it in the foreground."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evergreen.errors import ChildFailed, StackError
from evergreen.settings import load_settings
from evergreen.stack.processes import logs, process_table, warden
from evergreen.stack.processes.stack_state import (
    StackState,
    is_stack_alive,
    is_stack_supervised,
    make_home_private,
    open_lock_file,
    read_state,
    try_lock,
    write_state,
)
from evergreen.stack.servers.server_list import build_child_environment

Progress = Callable[[str], None]
ReadyCallback = Callable[[dict[str, Any]], None]

DEFAULT_PLAN = "evergreen.stack.servers.server_list:EvergreenPlan"
UP_LOCK = "up.lock"
START_SECONDS = 900.0  # two attempts of a server, and what it waits for
STOP_SECONDS = 60.0
SWEEP_SECONDS = 30  # MariaDB writes its pages when asked to end; everything else is quicker.
_POLL_SECONDS = 0.2


def start_stack(home: Path, *, progress: Progress | None = None, plan: str = DEFAULT_PLAN) -> dict[str, Any]:
    """Start the stack of `home` in the background; return its `read_stack_status` when it is ready.

    A stack that is up already is left alone. `progress` is told in words how far it is, once per change.
    Two callers at once: the second waits for the first and finds the stack up. Ctrl-C while starting brings
    everything down again. Raises the StackError that says what did not come up.
    """
    _start_and_wait(home.resolve(), _ProgressReporter(progress), plan, tied=False)
    return read_stack_status(home)


def run_stack_in_foreground(
    home: Path,
    *,
    progress: Progress | None = None,
    ready: ReadyCallback | None = None,
    plan: str = DEFAULT_PLAN,
) -> None:
    """Start the stack, stay until Ctrl-C or SIGTERM, and bring it down; its end for another reason raises.

    `progress` is told how far it is while it starts and ends, and of each trouble and recovery between.
    `ready` gets the `read_stack_status`, once, when everything is up.
    The stack is tied to this process: even SIGKILL for this one ends it. A stack that is up already raises
    StackError, since somebody else started it. Call it from the main thread.
    """
    home = home.resolve()
    if is_stack_alive(home):
        raise StackError(f"the stack of {home} is up already", hint="run evergreen down first")
    tell = _ProgressReporter(progress)
    with _sigterm_as_interrupt():
        try:
            _start_and_wait(home, tell, plan, tied=True)
            if ready:
                ready(read_stack_status(home))
            while is_stack_alive(home):
                time.sleep(_POLL_SECONDS)
                tell(read_state(home))
        except KeyboardInterrupt:
            stop_stack(home, progress=progress)
            return
    state = read_state(home)
    if state:
        state.raise_error()


def stop_stack(home: Path, *, progress: Progress | None = None, seconds: float = STOP_SECONDS) -> bool:
    """End every process of the stack, leftovers of a killed one too; whether there were any.

    The supervisor gets `seconds` to end the servers in order (MariaDB last); then everything is killed.
    Raises StackError when processes survive even that.
    """
    home = home.resolve()
    tell = _ProgressReporter(progress)
    stack = process_table.compute_stack_id(home)
    was_alive = is_stack_alive(home)
    deadline = time.monotonic() + seconds
    asked: int | None = None
    while is_stack_alive(home) and time.monotonic() < deadline:
        state = read_state(home)
        # A supervisor that was started a moment ago has not written its process id yet.
        if state and state.supervisor_pid and state.supervisor_pid != asked:
            asked = state.supervisor_pid
            _request_supervisor_stop(asked, home)
        tell(state)
        time.sleep(0.1)
    left = process_table.end_stack_processes(stack, ask_seconds=0.0 if was_alive else 15.0)
    if is_stack_alive(home):
        _kill_holders(home)
    if process_table.find_stack_processes(stack):
        alive = ", ".join(map(str, sorted(process_table.find_stack_processes(stack))))
        raise StackError(
            f"processes of the stack do not end: {alive}",
            hint="see what they wait for: ps -o pid,stat,wchan,cmd",
        )
    return was_alive or left > 0


def read_stack_status(home: Path) -> dict[str, Any]:
    """The stack as JSON: `state`, and each process with its state, port, restarts and memory (PSS, MB).

    `state` is starting, running, stopping, stopped, failed, or `killed` when the supervisor was.
    """
    home = home.resolve()
    state = read_state(home) or StackState(id=process_table.compute_stack_id(home))
    alive = is_stack_supervised(home, state)
    phase: str = state.phase
    if not alive and phase in ("starting", "running", "stopping"):
        phase = "killed"
    by_child: dict[str, set[int]] = {}
    for pid, name in process_table.find_stack_processes(state.id).items():
        by_child.setdefault(name, set()).add(pid)
    rows = []
    for process in state.processes:
        row = asdict(process)
        if not alive and process.state != "done":
            row.update(state="stopped", pid=None)
        row["memory_mb"] = round(
            process_table.measure_memory_bytes(by_child.get(process.name, set())) / 1e6, 1
        )
        rows.append(row)
    own = {state.supervisor_pid} if alive and state.supervisor_pid else set()
    own_mb = round(process_table.measure_memory_bytes({pid for pid in own if pid}) / 1e6, 1)
    return {
        "state": phase,
        "since": state.since,
        "home": str(home),
        "supervisor_pid": state.supervisor_pid if alive else None,
        "memory_mb": round(own_mb + sum(row["memory_mb"] for row in rows), 1),
        "urls": state.urls if alive else {},
        "processes": rows,
        "problems": state.problems,
        "error": state.error,
        "passwords": str(home / "keys.json"),
        "settings": str(home / "stack.env"),
    }


class _ProgressReporter:
    """Tells in words how far the stack is, once per change."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._said = ""

    def __call__(self, state: StackState | None) -> None:
        text = describe_stack_state(state) if state else ""
        if self._progress and text and text != self._said:
            self._said = text
            self._progress(text)


def describe_stack_state(state: StackState) -> str:
    """The stack's state in one line: what is ready, what is not yet, and which trouble there is."""
    by_state: dict[str, list[str]] = {}
    for process in state.processes:
        by_state.setdefault("ready" if process.state == "done" else process.state, []).append(process.name)
    trouble = [f"{p.name}: {p.detail}" for p in state.processes if p.state in ("back-off", "unhealthy")]
    parts = [
        f"{kind}: {', '.join(by_state[kind])}"
        for kind in ("ready", "starting", "restarting", "waiting")
        if kind in by_state
    ]
    return "; ".join([state.phase, *parts, *trouble])


def _start_and_wait(home: Path, tell: _ProgressReporter, plan: str, *, tied: bool) -> StackState:
    make_home_private(home)
    up_lock = open_lock_file(home, UP_LOCK)
    try:
        while not try_lock(up_lock):  # another `start_stack` is at work; it will leave us a stack that is up
            tell(read_state(home))
            time.sleep(_POLL_SECONDS)
        started = _start_warden(home, plan, tell, tied=tied)
        try:
            return _wait_until_up(home, tell, started)
        except KeyboardInterrupt:
            stop_stack(home)
            raise
    finally:
        os.close(up_lock)


def _start_warden(home: Path, plan: str, tell: _ProgressReporter, *, tied: bool) -> int | None:
    """Start the warden with the supervisor; None when a stack is up or starting already. Returns its pid."""
    lock = open_lock_file(home)
    try:
        while not try_lock(lock):
            state = read_state(home)
            if state and state.phase in ("starting", "running") and is_stack_supervised(home, state):
                return None
            tell(state)  # another one is just ending
            time.sleep(_POLL_SECONDS)
        # Nobody holds the lock, so whatever still carries this stack's mark was left behind by a hard kill.
        process_table.end_stack_processes(process_table.compute_stack_id(home), ask_seconds=20.0)
        previous = read_state(home)
        # Until the supervisor writes its own state, nobody must read that of last time.
        write_state(
            home,
            StackState(
                id=process_table.compute_stack_id(home),
                phase="starting",
                ports=previous.ports if previous else {},
            ),
        )
        log = logs.open_log(logs.build_log_path(home, "supervisor"))
        try:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", warden.__file__, "guard", str(lock)),
                    *(str(os.getpid() if tied else 0), str(SWEEP_SECONDS), "--"),
                    *(sys.executable, "-m", "evergreen.stack.processes.supervisor", str(home), plan),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home,
                env=build_child_environment(load_settings(home)),
                pass_fds=(lock,),
                start_new_session=True,
            )
        finally:
            os.close(log)
        return process.pid
    except OSError as error:
        raise StackError(
            f"cannot start the stack in {home}: {error}",
            hint="set EVERGREEN_HOME to a folder that you may write, on a disk with room",
        ) from None
    finally:
        os.close(lock)


def _wait_until_up(home: Path, tell: _ProgressReporter, warden_pid: int | None) -> StackState:
    deadline = time.monotonic() + START_SECONDS
    while True:
        alive = is_stack_alive(home)
        state = read_state(home)
        tell(state)
        if state:
            if state.phase == "running" and is_stack_supervised(home, state):
                return state
            if not alive or state.phase == "failed":
                _reap_warden(warden_pid)
                state.raise_error()
        if not alive:
            log = logs.build_log_path(home, "supervisor")
            raise ChildFailed(
                "the supervisor ended while the stack was starting; "
                f"the last lines of {log}:\n{logs.read_log_tail(log)}",
                hint="if somebody ran evergreen down meanwhile, run evergreen up again",
            )
        if time.monotonic() > deadline:
            raise ChildFailed(
                f"the stack is not up after {START_SECONDS:.0f} s",
                hint=f"see evergreen status, and the logs in {home / 'logs'}; evergreen down ends it",
            )
        time.sleep(_POLL_SECONDS)


def _reap_warden(pid: int | None) -> None:
    """Wait for our warden's end, so that no zombie stays while this process lives on."""
    if pid is not None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _request_supervisor_stop(pid: int, home: Path) -> None:
    """SIGTERM for the supervisor, if that process id still is one of ours (ids are used again)."""
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if os.fsencode(home) in command:
            os.kill(pid, signal.SIGTERM)


def _kill_holders(home: Path) -> None:
    """SIGKILL for a warden and supervisor that did not end in time; the lock says that they still live."""
    for pid in warden.read_process_tree():
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if os.fsencode(home) in command and b"evergreen.stack.processes.supervisor" in command:
                os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5.0
    while is_stack_alive(home) and time.monotonic() < deadline:
        time.sleep(0.05)
    process_table.end_stack_processes(process_table.compute_stack_id(home))


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
