"""The supervisor: starts the servers in the order of their needs, restarts them, and ends them all.

A server is restarted when it dies, or when a person asks for it (requests.py). `evergreen up` runs
`python -m evergreen.stack.processes.supervisor HOME PLAN` under the warden (warden.py). It is one loop in one
thread: Linux ties the signal that a child gets at its parent's death to the thread that started the child.
Probes and registry look-ups may block; they run in a small pool of threads.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from evergreen.errors import EvergreenError, StackError
from evergreen.stack.processes import logs, process_table, warden
from evergreen.stack.processes.child import Child, ChildSpec
from evergreen.stack.processes.requests import take_request, withdraw_request
from evergreen.stack.processes.stack_state import Phase, StackFailure, StackState, read_state, write_state
from evergreen.waiting import wait_until

TICK_SECONDS = 0.1
SERVICES_SECONDS = 2.0
HOUSEKEEPING_SECONDS = 60.0
TIDY_SECONDS = 3600.0
SERVICES_START_SECONDS = 60.0


class Plan(Protocol):
    """What a stack consists of; `evergreen.stack.servers.server_list` has the real one."""

    ports: dict[str, int]
    problems: list[str]

    def servers(self) -> list[ChildSpec]:
        """Everything that must be up; assigns ports and writes the settings that the servers read."""
        ...

    def services(self) -> list[ChildSpec]:
        """The optional servers wanted now. Called every two seconds in a thread; may block for a while."""
        ...

    def tidy(self) -> None:
        """Delete files that have grown too old. Called every hour in a thread; may block for a while."""
        ...


class Supervisor:
    """Keeps the servers of one plan running, and publishes their state in `stack.json`."""

    def __init__(self, home: Path, plan: Plan, state: StackState) -> None:
        self.home = home
        self.plan = plan
        self.state = state
        self.children: dict[str, Child] = {}
        self.stopping = False
        self._pool = ThreadPoolExecutor(max_workers=6, thread_name_prefix="probe")
        self._services: Future[list[ChildSpec]] | None = None
        self._services_known = False
        self._services_at = 0.0
        self._services_since = 0.0
        self._housekeeping_at = 0.0
        self._tidying: Future[None] | None = None
        self._tidy_at = 0.0
        self._dirty = True

    def run(self) -> int:
        """Run until `stop` is called (returns 0) or a server does not come up (1); end every server then."""
        code = 0
        try:
            withdraw_request(self.home)  # left by a stack that has ended
            self._add(self.plan.servers())
            while not self.stopping:
                self._advance(time.monotonic())
                time.sleep(TICK_SECONDS)
        except (EvergreenError, OSError) as error:
            code = 1
            self._record(error if isinstance(error, EvergreenError) else StackError(str(error)))
        self._end(failed=code != 0)
        return code

    def stop(self) -> None:
        """Ask the loop to end; safe inside a signal handler."""
        self.stopping = True

    def _add(self, specs: Iterable[ChildSpec]) -> None:
        for spec in specs:
            if spec.name not in self.children:
                self.children[spec.name] = Child(spec, self.home, self.state.id, self._pool)
                self._dirty = True

    def _advance(self, now: float) -> None:
        """One turn of the loop: reap, restart, start and probe what is due, and save the state."""
        self._collect(now)
        request = take_request(self.home)
        if request is not None and request.name in self.children:
            self.children[request.name].restart(request, now)
        for child in self.children.values():
            child.step(now, all(self.children[name].satisfied for name in child.spec.needs))
            if child.given_up and self.state.phase == "starting":
                raise child.error()
        if all(child.satisfied for child in self.children.values() if not child.spec.optional):
            self._look_for_services(now)
            if self.state.phase == "starting" and self._services_settled(now):
                self._enter_phase("running")
        if now >= self._housekeeping_at:
            self._housekeeping_at = now + HOUSEKEEPING_SECONDS
            for log in (self.home / "logs").glob("*.log"):
                logs.limit_log_size(log)
        self._tidy(now)
        self._save()

    def _collect(self, now: float) -> None:
        by_pid = {child.pid: child for child in self.children.values() if child.pid is not None}
        for pid, code in warden.reap_children().items():
            if pid in by_pid:  # others are orphans that it was made the parent of
                by_pid[pid].handle_exit(code, now)

    def _look_for_services(self, now: float) -> None:
        if self._services is None and now >= self._services_at:
            self._services_since = self._services_since or now
            self._services = self._pool.submit(self.plan.services)
        elif self._services is not None and self._services.done():
            error = self._services.exception()
            self._services_known = True
            if error is None:
                self._add(self._services.result())
            elif str(error) not in self.plan.problems:
                self.plan.problems.append(str(error))
            self._services = None
            self._services_at = now + SERVICES_SECONDS

    def _tidy(self, now: float) -> None:
        if self._tidying is None and now >= self._tidy_at and self.state.phase == "running":
            self._tidying = self._pool.submit(self.plan.tidy)
        elif self._tidying is not None and self._tidying.done():
            if (error := self._tidying.exception()) is not None:
                print(f"old files are not deleted: {error}", file=sys.stderr, flush=True)  # noqa: T201
            self._tidying, self._tidy_at = None, now + TIDY_SECONDS

    def _services_settled(self, now: float) -> bool:
        waited_enough = now - self._services_since > SERVICES_START_SECONDS
        return waited_enough or (
            self._services_known and all(child.settled for child in self.children.values())
        )

    def _end(self, *, failed: bool) -> None:
        """End everything; MariaDB, which the others need, last."""
        if not failed:
            self._enter_phase("stopping")
        for last in (False, True):
            group = [child for child in self.children.values() if child.spec.stop_last is last]
            seconds = max((child.spec.stop_seconds for child in group), default=0.0)
            for child in group:
                child.ask_to_stop()
            wait_until(partial(self._have_ended, group, time.monotonic()), seconds, poll_seconds=0.05)
            for child in group:
                if child.pid is not None:
                    warden.signal_processes({child.pid}, signal.SIGKILL)
                if not last:
                    process_table.end_stack_processes(self.state.id, child=child.spec.name)
        self._pool.shutdown(wait=False, cancel_futures=True)
        warden.end_descendants(seconds=1.0)
        for child in self.children.values():
            child.state.pid = None
        self._enter_phase("failed" if failed else "stopped")

    def _have_ended(self, group: list[Child], asked_at: float) -> bool:
        """Whether all have ended; those whose own time is over are killed, because others may take longer."""
        now = time.monotonic()
        self._collect(now)
        for child in group:
            if child.pid is not None and now >= asked_at + child.spec.stop_seconds:
                warden.signal_processes({child.pid}, signal.SIGKILL)
        return not any(child.pid for child in group)

    def _record(self, error: EvergreenError) -> None:
        self.state.failure = StackFailure.of_error(error)

    def _enter_phase(self, phase: Phase) -> None:
        self.state.phase = phase
        self.state.since = _format_now()
        self._dirty = True
        self._save()

    def _save(self) -> None:
        if not (self._dirty or any(child.changed for child in self.children.values())):
            return
        for child in self.children.values():
            child.changed = False
        self._dirty = False
        self.state.ports = dict(self.plan.ports)
        self.state.problems = list(self.plan.problems)
        self.state.processes = [child.state for child in self.children.values()]
        try:
            write_state(self.home, self.state)
        except OSError as error:
            # On a full disk the servers go on.
            print(f"cannot write the state: {error}", file=sys.stderr, flush=True)  # noqa: T201


def _format_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_plan(name: str, home: Path, previous_ports: dict[str, int]) -> Plan:
    """The plan `module:class` for this home, with the ports of its last start by server."""
    module, _, attribute = name.partition(":")
    plan: Plan = getattr(importlib.import_module(module), attribute)(home, previous_ports)
    return plan


def main(arguments: list[str]) -> int:
    """Supervise the stack of a home until SIGTERM. The inherited lock stays open for as long as it lives."""
    home, plan_name = Path(arguments[0]), arguments[1]
    warden.become_subreaper()
    previous = read_state(home)
    state = StackState(
        id=process_table.compute_stack_id(home),
        phase="starting",
        since=_format_now(),
        supervisor_pid=os.getpid(),
    )
    ports = previous.ports if previous else {}
    supervisor = Supervisor(home, load_plan(plan_name, home, ports), state)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.stop())
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
