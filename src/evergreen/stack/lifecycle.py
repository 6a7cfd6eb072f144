"""The verbs on the whole stack: start it, stop it, and run it in the foreground."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from evergreen.errors import ChildFailed, StackError
from evergreen.settings import load_settings
from evergreen.stack.processes import logs, process_table, warden
from evergreen.stack.processes.home import (
    STACK_LOCK,
    UP_LOCK,
    hold_lock,
    is_stack_alive,
    make_home_private,
    open_lock_file,
    try_lock,
)
from evergreen.stack.processes.stack_state import StackState, is_stack_supervised, read_state, write_state
from evergreen.stack.servers.server_list import build_child_environment
from evergreen.stack.status import Progress, ProgressReporter, StackStatus, read_stack_status
from evergreen.waiting import wait_until

ReadyCallback = Callable[[StackStatus], None]

# What the supervisor starts, as `module:class`; tests have a plan of their own.
DEFAULT_PLAN = "evergreen.stack.servers.server_list:EvergreenPlan"
# The supervisor's module; in earlier versions, whose stacks may still be up, the second.
_SUPERVISORS = {b"evergreen.stack.processes.supervisor", b"evergreen.stack.supervisor"}
START_SECONDS = 900.0  # two attempts of a server, and what it waits for
# What the supervisor gets to end everything: 30 seconds for the services, then 30 for MariaDB.
STOP_SECONDS = 75.0
SWEEP_SECONDS = 30  # MariaDB writes its pages when asked to end; everything else is quicker.


def start_stack(home: Path, *, progress: Progress | None = None, plan: str = DEFAULT_PLAN) -> StackStatus:
    """Start the stack of `home` in the background; return its status when it is ready.

    A stack that is up already is left alone. `progress` is told in words how far it is, once per change.
    Two callers at once: the second waits for the first and finds the stack up. Ctrl-C while starting brings
    everything down again. Raises the StackError that says what did not come up.
    """
    _start_and_wait(home.resolve(), ProgressReporter(progress), plan, tied=False)
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
    `ready` gets the status, once, when everything is up.
    The stack is tied to this process: even SIGKILL for this one ends it. A stack that is up already raises
    StackError, since somebody else started it. Call it from the main thread.
    """
    home = home.resolve()
    if is_stack_alive(home):
        raise StackError(f"the stack of {home} is up already", hint="run evergreen down first")
    report = ProgressReporter(progress)

    def has_ended() -> bool:
        """Whether the stack has ended; reports its state."""
        report(read_state(home))
        return not is_stack_alive(home)

    with _sigterm_as_interrupt():
        try:
            _start_and_wait(home, report, plan, tied=True)
            if ready:
                ready(read_stack_status(home))
            wait_until(has_ended)
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
    report = ProgressReporter(progress)
    stack = process_table.compute_stack_id(home)
    was_alive = is_stack_alive(home)
    asked_pid: int | None = None

    def has_ended() -> bool:
        """Whether the stack has ended; reports its state."""
        nonlocal asked_pid
        if not is_stack_alive(home):
            return True
        state = read_state(home)
        # A supervisor that was started a moment ago has not written its process id yet.
        if state and state.supervisor_pid and state.supervisor_pid != asked_pid:
            asked_pid = state.supervisor_pid
            _request_supervisor_stop(asked_pid, home)
        report(state)
        return False

    wait_until(has_ended, seconds, poll_seconds=0.1)
    leftovers = process_table.end_stack_processes(stack, ask_seconds=0.0 if was_alive else 15.0)
    if is_stack_alive(home):
        _kill_lock_holders(home)
    survivors = process_table.find_stack_processes(stack)
    if survivors:
        raise StackError(
            f"processes of the stack do not end: {', '.join(map(str, sorted(survivors)))}",
            hint="see what they wait for: ps -o pid,stat,wchan,cmd",
        )
    return was_alive or leftovers > 0


def _start_and_wait(home: Path, report: ProgressReporter, plan: str, *, tied: bool) -> None:
    make_home_private(home)
    # Whoever holds the lock is starting the stack, and leaves one that is up.
    with hold_lock(home, UP_LOCK, on_wait=lambda: report(read_state(home))):
        warden_pid = _start_warden(home, plan, report, tied=tied)
        try:
            _wait_until_up(home, report, warden_pid)
        except KeyboardInterrupt:
            stop_stack(home)
            raise


def _start_warden(home: Path, plan: str, report: ProgressReporter, *, tied: bool) -> int | None:
    """Start the warden with the supervisor; None when a stack is up or starting already. Returns its pid."""
    lock = open_lock_file(home, STACK_LOCK)
    try:
        wait_until(partial(_take_stack_lock_or_find_stack, home, lock, report))
        if not try_lock(lock):
            return None
        # Nobody else holds the lock, so what still carries this stack's mark was left by a hard kill.
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
        return _spawn_warden(home, plan, lock, tied=tied)
    except OSError as error:
        raise StackError(
            f"cannot start the stack in {home}: {error}",
            hint="set EVERGREEN_HOME to a folder that you may write, on a disk with room",
        ) from None
    finally:
        os.close(lock)


def _take_stack_lock_or_find_stack(home: Path, lock: int, report: ProgressReporter) -> bool:
    """Whether the lock was taken, or a stack that is up or starting holds it; reports one that is ending."""
    if try_lock(lock):
        return True
    state = read_state(home)
    if state and state.phase in ("starting", "running") and is_stack_supervised(home, state):
        return True
    report(state)
    return False


def _spawn_warden(home: Path, plan: str, lock: int, *, tied: bool) -> int:
    """Start the warden, which inherits the lock. `tied`: it ends with this process. Returns its pid."""
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


def _wait_until_up(home: Path, report: ProgressReporter, warden_pid: int | None) -> None:
    """Wait until the stack runs. Raises the error that ended it, or ChildFailed."""

    def is_up() -> bool:
        """Whether the stack runs; raises when it has ended."""
        is_alive = is_stack_alive(home)
        state = read_state(home)
        report(state)
        if state:
            if state.phase == "running" and is_stack_supervised(home, state):
                return True
            if not is_alive or state.phase == "failed":
                _reap_warden(warden_pid)
                state.raise_error()
        if not is_alive:
            log = logs.build_log_path(home, "supervisor")
            raise ChildFailed(
                "the supervisor ended while the stack was starting; "
                f"the last lines of {log}:\n{logs.read_log_tail(log)}",
                hint="if somebody ran evergreen down meanwhile, run evergreen up again",
            )
        return False

    if not wait_until(is_up, START_SECONDS):
        raise ChildFailed(
            f"the stack is not up after {START_SECONDS:.0f} s",
            hint=f"see evergreen status, and the logs in {home / 'logs'}; evergreen down ends it",
        )


def _reap_warden(pid: int | None) -> None:
    """Wait for the end of the warden that this process started, so that no zombie stays."""
    if pid is not None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _request_supervisor_stop(pid: int, home: Path) -> None:
    """SIGTERM for the supervisor, if that process id still is one of ours (ids are used again)."""
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if os.fsencode(home) in command:
            os.kill(pid, signal.SIGTERM)


def _kill_lock_holders(home: Path) -> None:
    """SIGKILL for a warden and supervisor that did not end in time; the lock says that they still live."""
    for pid in warden.read_process_tree():
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if os.fsencode(home) in command and _SUPERVISORS & set(command):
                os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_stack_alive(home), 5.0, poll_seconds=0.05)
    process_table.end_stack_processes(process_table.compute_stack_id(home))


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Within this block SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        """Handle SIGTERM."""
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
