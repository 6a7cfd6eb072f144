"""One process of the stack: what to run (`ChildSpec`), and its states from start to end (`Child`)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from evergreen.errors import ChildFailed, PortInUse, StackError
from evergreen.stack.processes import logs, process_table, warden
from evergreen.stack.processes.ports import is_port_free
from evergreen.stack.processes.requests import RestartRequest
from evergreen.stack.processes.stack_state import ProcessPhase, ProcessState

PROBE_STARTING_SECONDS = 0.5
PROBE_READY_SECONDS = 10.0
UNHEALTHY_AFTER = 3
STEADY_SECONDS = 60.0
START_ATTEMPTS = 2

Probe = Callable[[datetime], str]
"""A health check. It takes the moment of the process' start (UTC) and returns what is wrong, or ""."""


@dataclass(frozen=True)
class ChildSpec:
    """What to run. A `one_off` step must end with 0; a server must stay, and become healthy by its probe.

    `environment` is added to the supervisor's own. `command` holds no secrets: every user of the machine can
    read it. `folder` is the working directory, by default the home. `needs` are the names of processes that
    must be ready first. `before` runs before each start, `after` when a one-off step has succeeded, which is
    done only then; both run in a thread and may run again. `optional`: the stack is up without it too.
    `start_seconds`: a server that is not healthy after that long is killed and started again; MLflow takes
    minutes on a busy machine. `stop_seconds`: what it gets to end after SIGTERM. `stop_last`: it is ended
    after the servers that need it.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    probe: Probe | None = None
    port: int | None = None
    url: str = ""
    needs: tuple[str, ...] = ()
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    one_off: bool = False
    optional: bool = False
    start_seconds: float = 300.0
    stop_seconds: float = 10.0
    stop_last: bool = False

    def __post_init__(self) -> None:
        if self.after and not self.one_off:
            raise ValueError(f"{self.name} is a server: only a one-off step has a follow-up")


def compute_back_off_seconds(failures: int, first: float = 1.0, most: float = 60.0) -> float:
    """How long to wait before starting again after so many failures in a row: 1, 2, 4, ... 60 seconds."""
    return float(min(most, first * 2 ** min(max(failures - 1, 0), 16)))


def describe_exit(code: int) -> str:
    """An exit code in words: `exit code 3`, or `killed by SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


class Child:
    """One process with its state. No method blocks; `now` is the time of a monotonic clock, in seconds."""

    def __init__(self, spec: ChildSpec, home: Path, stack: str, pool: ThreadPoolExecutor) -> None:
        self.spec = spec
        self.log = logs.build_log_path(home, spec.name)
        self.state = ProcessState(
            name=spec.name, one_off=spec.one_off, port=spec.port, url=spec.url, log=str(self.log)
        )
        self.failures = 0  # in a row
        self.given_up = False
        self.changed = True
        self._home = home
        self._stack = stack
        self._pool = pool
        self._work: Future[None] | None = None
        self._exited_well = False
        self._port_taken = False
        self._sweep: Future[int] | None = None
        self._probe: Future[str] | None = None
        self._probe_at = 0.0
        self._probe_misses = 0
        self._next_start_at = 0.0
        self._request: RestartRequest | None = None
        self._kill_at = 0.0
        self._restart_environment: Mapping[str, str] = {}
        self._started = 0.0
        self._started_at = datetime.now(UTC)

    @property
    def satisfied(self) -> bool:
        """Whether processes that need this one may start."""
        return self.state.state in ("ready", "unhealthy", "done")

    @property
    def settled(self) -> bool:
        """Whether it is up, or a start has failed."""
        return self.satisfied or self.failures > 0

    @property
    def pid(self) -> int | None:
        """Its process id; None while no process runs."""
        return self.state.pid

    def step(self, now: float, needs_met: bool) -> None:
        """Do what is due: start when its needs are met, probe, start again after a back-off."""
        state = self.state.state
        if state == "waiting" and needs_met:
            self._start(now)
        elif state == "restarting" and self.pid is not None:
            if now >= self._kill_at:
                warden.signal_processes({self.pid}, signal.SIGKILL)
        elif state == "restarting" or (state == "back-off" and now >= self._next_start_at):
            # The sweep of the last one's leftovers must not hit the new one.
            if needs_met and (self._sweep is None or self._sweep.done()):
                self._start(now)
        elif state in ("starting", "ready", "unhealthy"):
            if self._work is not None:
                self._finish_work(now)
            elif self.pid is not None and not self.spec.one_off:
                self._run_probe(now)

    def handle_exit(self, code: int, now: float) -> None:
        """Its process has ended with `code`: end what it left; a server will be started again."""
        # A survivor would keep the port and the files.
        self._sweep = self._pool.submit(process_table.end_stack_processes, self._stack, child=self.spec.name)
        self.state.pid = None
        self.state.last_exit = describe_exit(code)
        if self.state.state in ("stopped", "failed", "restarting"):
            self.changed = True
        elif self.spec.one_off and code == 0:
            self._exited_well = True
            self._work = self._pool.submit(self.spec.after or _do_nothing)
        else:
            self._fail(now, self.state.last_exit)

    def ask_to_stop(self) -> None:
        """Ask the process to end, and do not start it again."""
        if self.pid is not None:
            warden.signal_processes({self.pid}, signal.SIGTERM)
        self._enter_state("stopped", "")

    def restart(self, request: RestartRequest, now: float) -> None:
        """End the process gracefully and start it anew at once: no crash, and no back-off.

        A process that is about to be started is started for this request. A one-off step is not restarted.
        """
        if self.spec.one_off or self.state.state in ("stopped", "failed"):
            return
        self._request = request
        self.failures = 0
        if self.state.state in ("waiting", "restarting") or self._work is not None:
            return  # no process has to end first
        if self.pid is not None:
            warden.signal_processes({self.pid}, signal.SIGTERM)
            self._kill_at = now + self.spec.stop_seconds
        self._enter_state("restarting", "")

    def error(self) -> StackError:
        """The error that says why it was given up."""
        reason = self.state.detail.partition(";")[0]
        if self._port_taken:
            return PortInUse(
                f"{self.spec.name} did not come up: {reason}",
                hint=f"end the program that listens there (ss -ltnp 'sport = :{self.spec.port}'), or run "
                "evergreen up again for another port",
            )
        return ChildFailed(
            f"{self.spec.name} did not come up: {reason}\n"
            f"The last lines of {self.log}:\n{logs.read_log_tail(self.log)}",
            hint="the log says why; mend it and run evergreen up again",
        )

    def _start(self, now: float) -> None:
        self._enter_state("starting", "")
        self._started = now
        self._exited_well = False
        self._port_taken = self.spec.port is not None and not is_port_free(self.spec.port)
        if self._port_taken:
            self._fail(now, f"port {self.spec.port} is taken by another program")
            return
        if self.spec.before is None:
            self._spawn(now)
        else:
            self._work = self._pool.submit(self.spec.before)

    def _finish_work(self, now: float) -> None:
        """After `before` start the process, after `after` be done; an error of either is a failure."""
        assert self._work is not None
        if not self._work.done():
            return
        error, self._work = self._work.exception(), None
        if error is not None:
            self._fail(now, str(error))
        elif self._exited_well:
            self._enter_state("done", "")
        else:
            self._spawn(now)

    def _spawn(self, now: float) -> None:
        if self._request is not None:
            self._restart_environment = self._request.environment
            self.state.request, self._request = self._request.id, None
        self._started_at = datetime.now(UTC)
        self._started = now
        self._probe, self._probe_at, self._probe_misses = None, now, 0
        log = logs.open_log(self.log)
        os.write(log, f"--- {self._started_at:%Y-%m-%d %H:%M:%S}Z start of {self.spec.name}\n".encode())
        try:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", warden.__file__, "launch", str(os.getpid()), "--"),
                    *self.spec.command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.spec.folder or self._home,
                env={
                    **os.environ,
                    **self._restart_environment,
                    **self.spec.environment,
                    process_table.ID_MARK: self._stack,
                    process_table.CHILD_MARK: self.spec.name,
                },
                process_group=0,
            )
        except OSError as error:
            self._fail(now, f"cannot be started: {error}")
            return
        finally:
            os.close(log)
        # The supervisor reaps every child itself; Popen must not wait for it.
        process.returncode = 0
        self.state.pid = process.pid
        self._enter_state("starting", "")

    def _run_probe(self, now: float) -> None:
        if self._probe is not None and self._probe.done():
            error = self._probe.exception()
            self._judge_probe(now, f"{type(error).__name__}: {error}" if error else self._probe.result())
            self._probe = None
        elif self._probe is None and now >= self._probe_at:
            self._probe = self._pool.submit(self.spec.probe or _report_healthy, self._started_at)
        if self.state.state == "starting" and now - self._started > self.spec.start_seconds:
            if self.pid is not None:
                warden.signal_processes({self.pid}, signal.SIGKILL)
            self._started = now  # its end is reported by `handle_exit`
            self._set_detail(f"not ready within {self.spec.start_seconds:.0f} s: {self.state.detail}")

    def _judge_probe(self, now: float, trouble: str) -> None:
        starting = self.state.state == "starting"
        self._probe_at = now + (PROBE_STARTING_SECONDS if starting and trouble else PROBE_READY_SECONDS)
        if not trouble:
            self._probe_misses = 0
            if self.state.state != "ready":
                self._enter_state("ready", "")
            if now - self._started > STEADY_SECONDS:
                self.failures = 0
        elif starting:
            self._set_detail(trouble)
        else:
            # On a machine under load answers come late: one miss says nothing.
            self._probe_misses += 1
            if self._probe_misses >= UNHEALTHY_AFTER and self.state.state != "unhealthy":
                self._enter_state("unhealthy", trouble)

    def _fail(self, now: float, reason: str) -> None:
        has_been_up = self.state.state in ("ready", "unhealthy")
        if has_been_up and now - self._started > STEADY_SECONDS:
            self.failures = 0
        self.failures += 1
        self.given_up = not has_been_up and not self.spec.optional and self.failures >= START_ATTEMPTS
        self.state.restarts += 1
        wait = compute_back_off_seconds(self.failures)
        self._next_start_at = now + wait
        self._enter_state("back-off", f"{reason}; starts again in {wait:.0f} s")

    def _set_detail(self, detail: str) -> None:
        if detail != self.state.detail:
            self.state.detail = detail
            self.changed = True

    def _enter_state(self, state: ProcessPhase, detail: str) -> None:
        if state != self.state.state:
            self.state.since = datetime.now(UTC).isoformat(timespec="seconds")
        self.state.state, self.state.detail = state, detail
        self.changed = True


def _do_nothing() -> None:
    return None


def _report_healthy(_started: datetime) -> str:
    return ""
