"""One server's life, moved on by hand with a clock of the test's own."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from evergreen.errors import ChildFailed, PortInUse
from evergreen.stack.processes import warden
from evergreen.stack.processes.child import (
    START_ATTEMPTS,
    STEADY_SECONDS,
    Child,
    ChildSpec,
    compute_back_off_seconds,
    describe_exit,
)
from evergreen.stack.processes.requests import (
    REQUEST_FILE,
    RestartRequest,
    has_request,
    take_request,
    withdraw_request,
    write_request,
)
from support.waiting import eventually

SLEEP = (sys.executable, "-S", "-c", "import time; time.sleep(60)")


class AtOnce(ThreadPoolExecutor):
    """Runs what is submitted on the spot, so that a step's outcome does not depend on threads."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  a future carries whatever was raised
            future.set_exception(error)
        return future


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    made: list[Child] = []

    def build(**options: Any) -> Child:
        spec = ChildSpec(**{"name": "web", "command": SLEEP, **options})
        made.append(Child(spec, tmp_path, "stack-of-this-test", AtOnce()))
        return made[-1]

    yield build
    for child in made:
        if child.pid is not None:
            warden.signal_processes({child.pid}, 9)
    warden.reap_children()


def test_the_back_off_doubles_up_to_a_minute() -> None:
    assert [compute_back_off_seconds(n) for n in (1, 2, 3, 4, 7, 8, 1000)] == [1, 2, 4, 8, 60, 60, 60]


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit code 0"), (3, "exit code 3"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")],
)
def test_an_exit_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


def test_it_waits_for_its_needs_then_starts_and_becomes_ready_by_its_probe(make: Any) -> None:
    answers = iter(["not yet", ""])
    child = make(probe=lambda _started: next(answers))
    child.step(0.0, needs_met=False)
    assert child.state.state == "waiting"
    child.step(0.0, needs_met=True)
    assert child.pid is not None
    for now in (0.1, 0.2):
        child.step(now, needs_met=True)
    assert (child.state.state, child.state.detail) == ("starting", "not yet")
    for now in (1.0, 1.1):
        child.step(now, needs_met=True)
    assert child.state.state == "ready"
    assert child.satisfied


def test_the_probe_learns_when_the_process_was_started(make: Any) -> None:
    asked: list[datetime] = []
    child = make(probe=lambda started: asked.append(started) or "")
    for now in (0.0, 0.1, 0.2):
        child.step(now, needs_met=True)
    assert asked[0].tzinfo is not None


def test_a_server_that_dies_comes_back_after_a_growing_pause(make: Any) -> None:
    child = make(optional=True)
    child.step(0.0, needs_met=True)
    for failures, now in ((1, 10.0), (2, 20.0)):
        child.handle_exit(-9, now)
        assert child.state.state == "back-off"
        assert child.state.restarts == failures
        assert child.state.last_exit == "killed by SIGKILL"
        wait = compute_back_off_seconds(failures)
        child.step(now + wait - 0.1, needs_met=True)
        assert child.pid is None
        child.step(now + wait, needs_met=True)
        assert child.state.state == "starting"
    assert not child.given_up


def test_a_long_steady_life_makes_the_next_pause_short_again(make: Any) -> None:
    child = make()
    child.step(0.0, needs_met=True)
    child.handle_exit(1, 1.0)
    child.step(5.0, needs_met=True)
    for now in (5.1, 5.2):
        child.step(now, needs_met=True)
    assert child.state.state == "ready"
    child.handle_exit(1, 5.2 + STEADY_SECONDS + 1)
    assert child.failures == 1
    assert child.state.restarts == 2


def test_a_server_that_never_comes_up_is_given_up(make: Any) -> None:
    child = make()
    now = 0.0
    for _ in range(START_ATTEMPTS):
        now += 100.0
        child.step(now, needs_met=True)
        child.handle_exit(1, now)
    assert child.given_up


def test_a_missed_probe_is_no_illness_but_three_are(make: Any) -> None:
    ailment = ""
    child = make(probe=lambda _started: ailment)
    for now in (0.0, 0.1, 0.2):
        child.step(now, needs_met=True)
    assert child.state.state == "ready"
    ailment = "does not answer"
    states = []
    for now in (20.0, 20.1, 40.0, 40.1, 60.0, 60.1):
        child.step(now, needs_met=True)
        states.append(child.state.state)
    assert states == ["ready"] * 5 + ["unhealthy"]
    ailment = ""
    for now in (80.0, 80.1):
        child.step(now, needs_met=True)
    assert child.state.state == "ready"


def test_a_server_that_is_not_ready_in_time_is_killed_and_counted(make: Any) -> None:
    child = make(probe=lambda _started: "still loading", start_seconds=5.0)
    for now in (0.0, 0.1, 0.2, 6.0):
        child.step(now, needs_met=True)
    assert "not ready within 5 s: still loading" in child.state.detail
    assert child.pid is not None
    _, status = os.waitpid(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == -9


def test_a_one_off_is_done_after_its_follow_up(make: Any) -> None:
    done: list[str] = []
    child = make(one_off=True, before=lambda: done.append("before"), after=lambda: done.append("after"))
    child.step(0.0, needs_met=True)
    child.step(0.1, needs_met=True)
    assert done == ["before"]
    child.handle_exit(0, 1.0)
    child.step(1.1, needs_met=True)
    assert (child.state.state, done) == ("done", ["before", "after"])
    assert child.satisfied


def test_a_one_off_whose_follow_up_fails_is_not_done_and_says_why(make: Any) -> None:
    def full() -> None:
        raise OSError("the disk is full")

    child = make(one_off=True, after=full)
    child.step(0.0, needs_met=True)
    child.handle_exit(0, 1.0)
    child.step(1.1, needs_met=True)
    assert child.state.state == "back-off"
    assert "the disk is full" in child.state.detail
    assert not child.satisfied


def test_a_server_has_no_follow_up_whose_error_nobody_would_see(make: Any) -> None:
    with pytest.raises(ValueError, match="only a one-off step"):
        make(after=lambda: None)


def test_a_server_whose_port_is_taken_says_so_and_is_not_started(make: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        child = make(port=port)
        now = 0.0
        for _ in range(START_ATTEMPTS):
            now += 100.0
            child.step(now, needs_met=True)
            assert child.pid is None
            assert child.state.detail.startswith(f"port {port} is taken by another program")
        assert child.given_up
        error = child.error()
        assert isinstance(error, PortInUse)
        assert f"port {port}" in error.message
    child.step(now + 100.0, needs_met=True)
    assert child.state.state == "starting"


def test_a_one_off_that_fails_is_tried_again_not_taken_for_done(make: Any) -> None:
    child = make(one_off=True, before=lambda: None)
    child.step(0.0, needs_met=True)
    child.step(0.1, needs_met=True)
    child.handle_exit(3, 1.0)
    assert child.state.state == "back-off"
    child.step(3.0, needs_met=True)
    child.step(3.1, needs_met=True)
    assert child.state.state == "starting"
    assert child.pid is not None


def test_an_error_before_the_start_is_told(make: Any) -> None:
    def full() -> None:
        raise OSError("the disk is full")

    child = make(before=full)
    child.step(0.0, needs_met=True)
    child.step(0.1, needs_met=True)
    assert "the disk is full" in child.state.detail
    assert child.state.state == "back-off"


def test_a_program_that_is_not_there_ends_with_127_and_says_so_in_its_log(make: Any) -> None:
    child = make(command=("/no/such/program",))
    child.step(0.0, needs_met=True)
    assert child.pid is not None
    _, status = os.waitpid(child.pid, 0)
    child.handle_exit(os.waitstatus_to_exitcode(status), 0.1)
    assert child.state.last_exit == "exit code 127"
    error = child.error()
    assert isinstance(error, ChildFailed)
    assert "exit code 127" in error.message
    assert "cannot run /no/such/program" in error.message


def ready(child: Child) -> None:
    for now in (0.0, 0.1, 0.2):
        child.step(now, needs_met=True)
    assert child.state.state == "ready"


def end(child: Child) -> None:
    """Wait until its process has ended, and tell the child so, as the supervisor does."""
    pid = child.pid
    assert pid is not None
    _, status = os.waitpid(pid, 0)
    child.handle_exit(os.waitstatus_to_exitcode(status), 1.0)


def test_a_restart_that_was_asked_for_is_no_crash_and_waits_for_nothing(make: Any) -> None:
    child = make(environment={"KEPT": "1"})
    ready(child)
    first = child.pid
    child.restart(RestartRequest("r1", "web", {"NEW": "2"}), 0.3)
    assert (child.state.state, child.state.request) == ("restarting", "")
    end(child)
    assert child.state.state == "restarting"
    child.step(1.1, needs_met=True)
    assert (child.state.state, child.state.request) == ("starting", "r1")
    assert child.pid not in (None, first)
    assert (child.state.restarts, child.failures) == (0, 0)
    # Between fork and exec a process has no environment to be read yet.
    environment = Path(f"/proc/{child.pid}/environ")
    eventually(lambda: {b"KEPT=1", b"NEW=2"} <= set(environment.read_bytes().split(b"\0")))


def test_a_process_that_does_not_end_when_asked_is_killed_after_its_time(make: Any) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
    child = make(command=(sys.executable, "-S", "-c", f"{stubborn}; time.sleep(60)"), stop_seconds=5.0)
    ready(child)
    eventually(lambda: child.log.read_text().endswith("\n1\n"))
    child.restart(RestartRequest("r1", "web"), 10.0)
    child.step(14.9, needs_met=True)
    assert os.waitpid(child.pid, os.WNOHANG) == (0, 0)
    child.step(15.0, needs_met=True)
    end(child)
    assert child.state.last_exit == "killed by SIGKILL"


def test_a_restart_ends_a_back_off_at_once(make: Any) -> None:
    child = make(optional=True)
    child.step(0.0, needs_met=True)
    child.failures = 6
    child.handle_exit(1, 10.0)
    assert child.state.state == "back-off"
    child.restart(RestartRequest("r1", "web"), 10.1)
    child.step(10.2, needs_met=True)
    assert (child.state.state, child.state.request, child.failures) == ("starting", "r1", 0)


def test_a_process_that_fails_after_a_restart_backs_off_as_ever(make: Any) -> None:
    child = make(optional=True)
    ready(child)
    child.restart(RestartRequest("r1", "web"), 0.3)
    end(child)
    child.step(1.1, needs_met=True)
    child.handle_exit(3, 2.0)
    assert (child.state.state, child.state.request, child.state.restarts) == ("back-off", "r1", 1)


def test_a_step_that_is_done_is_not_run_again_by_a_restart(make: Any) -> None:
    child = make(one_off=True)
    child.step(0.0, needs_met=True)
    child.handle_exit(0, 1.0)
    child.step(1.1, needs_met=True)
    assert child.state.state == "done"
    child.restart(RestartRequest("r1", "web"), 2.0)
    child.step(2.1, needs_met=True)
    assert child.state.state == "done"


def test_a_request_is_taken_once_and_nonsense_is_thrown_away(tmp_path: Path) -> None:
    assert take_request(tmp_path) is None
    write_request(tmp_path, RestartRequest("r1", "web", {"A": "b"}))
    assert stat.S_IMODE((tmp_path / REQUEST_FILE).stat().st_mode) == 0o600
    assert take_request(tmp_path) == RestartRequest("r1", "web", {"A": "b"})
    assert take_request(tmp_path) is None
    (tmp_path / REQUEST_FILE).write_text("[1, 2")
    assert take_request(tmp_path) is None
    assert not has_request(tmp_path)
    assert not withdraw_request(tmp_path)
