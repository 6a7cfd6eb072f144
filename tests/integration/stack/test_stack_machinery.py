"""The real supervisor and warden over small fake servers: what happens when parts of a stack are killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evergreen.errors import ChildFailed, MissingProgram, PortInUse, StackError, StackNotRunning
from evergreen.stack import lifecycle
from evergreen.stack.processes import process_table, warden
from evergreen.stack.processes.home import is_stack_alive
from evergreen.stack.processes.requests import has_request
from evergreen.stack.restart import restart_process
from evergreen.stack.status import ProcessStatus, StackStatus, read_stack_status
from support.waiting import eventually

TESTS = Path(__file__).resolve().parents[2]
PLAN = "support.fake_stack:FakePlan"
# A developer's proxy knows nothing of this machine's loopback.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # A fake server that ignores requests to end shall not hold up the tests for as long as MariaDB may.
    monkeypatch.setattr(lifecycle, "SWEEP_SECONDS", 2)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    folder = Path(tempfile.mkdtemp(prefix="evergreen-stack-"))
    yield folder
    lifecycle.stop_stack(folder)
    assert process_table.find_stack_processes(process_table.compute_stack_id(folder)) == {}
    shutil.rmtree(folder)


def faults(home: Path, **what: object) -> None:
    (home / "faults.json").write_text(json.dumps(what))


def up(home: Path) -> StackStatus:
    return lifecycle.start_stack(home, plan=PLAN)


def process(home: Path, name: str) -> ProcessStatus:
    return next(p for p in read_stack_status(home).processes if p.name == name)


def pid_of(home: Path, name: str) -> int:
    pid = process(home, name).pid
    assert pid is not None
    return pid


def answers(url: str) -> bool:
    try:
        with DIRECT.open(url, timeout=60) as response:
            return int(response.status) == 200
    except OSError:
        return False


def test_up_starts_in_order_and_down_leaves_nothing(home: Path) -> None:
    said: list[str] = []
    status = lifecycle.start_stack(home, plan=PLAN, progress=said.append)
    assert status.state == "running"
    assert {p.name: p.state for p in status.processes} == {
        "database": "ready",
        "tables": "done",
        "web": "ready",
    }
    assert all(answers(url) for url in status.urls.values())
    assert status.memory_mb > 5
    assert any("ready: database, tables; starting: web" in line for line in said)
    assert "made the tables" in (home / "logs" / "tables.log").read_text()
    eventually((home / "tidied").exists)
    assert lifecycle.stop_stack(home)
    after = read_stack_status(home)
    assert after.state == "stopped"
    assert not any(answers(url) for url in status.urls.values())
    assert not lifecycle.stop_stack(home)
    json.dumps(after.to_json())


def test_up_while_up_changes_nothing(home: Path) -> None:
    first = up(home)
    assert up(home).supervisor_pid == first.supervisor_pid
    assert pid_of(home, "web") == next(p.pid for p in first.processes if p.name == "web")


def _up_elsewhere(home: Path, results: Any) -> None:
    results.put(lifecycle.start_stack(home, plan=PLAN).supervisor_pid)


def test_two_at_once_start_one_stack(home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    both = [context.Process(target=_up_elsewhere, args=(home, results)) for _ in range(2)]
    for one in both:
        one.start()
    pids = {results.get(timeout=60) for _ in both}
    for one in both:
        one.join(timeout=60)
        assert one.exitcode == 0
    assert len(pids) == 1


def test_a_killed_server_comes_back_on_its_port_and_its_escaped_child_is_gone(home: Path) -> None:
    faults(home, escape=True)
    url = up(home).urls["web"]
    stack = process_table.compute_stack_id(home)
    old = {pid for pid, name in process_table.find_stack_processes(stack).items() if name == "web"}
    assert len(old) == 2
    os.kill(pid_of(home, "web"), signal.SIGKILL)
    eventually(lambda: process(home, "web").restarts == 1 and process(home, "web").state == "ready")
    assert process(home, "web").last_exit == "killed by SIGKILL"
    assert answers(url)
    assert not old & set(process_table.find_stack_processes(stack))


@pytest.mark.parametrize("victims", ["supervisor", "warden", "both"])
def test_killing_what_watches_leaves_nothing_and_up_recovers(home: Path, victims: str) -> None:
    faults(home, escape=victims != "both")  # after both, an escaped process is found by the next up or down
    ports = {p.name: p.port for p in up(home).processes}
    supervisor = read_stack_status(home).supervisor_pid
    guard = warden.read_process_tree()[supervisor][0]
    for pid in {"supervisor": [supervisor], "warden": [guard], "both": [guard, supervisor]}[victims]:
        os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: (
            not is_stack_alive(home)
            and not process_table.find_stack_processes(process_table.compute_stack_id(home))
        ),
        60.0,
    )
    assert read_stack_status(home).state == ("stopped" if victims == "warden" else "killed")
    again = up(home)
    assert again.state == "running"
    assert {p.name: p.port for p in again.processes} == ports


def test_up_right_after_a_kill_waits_for_the_sweep_and_starts_anew(home: Path) -> None:
    faults(home, escape=True)
    supervisor = up(home).supervisor_pid
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: supervisor not in warden.read_process_tree())
    assert read_stack_status(home).state == "killed"
    again = up(home)
    assert again.supervisor_pid not in (None, supervisor)
    assert all(answers(p.url) for p in again.processes if p.url)


def test_up_ends_what_a_hard_kill_left_behind(home: Path) -> None:
    stack = process_table.compute_stack_id(home)
    left = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(600)"],
        env={**os.environ, process_table.ID_MARK: stack, process_table.CHILD_MARK: "web"},
        start_new_session=True,
    )
    eventually(lambda: left.pid in process_table.find_stack_processes(stack))
    up(home)
    assert left.wait(timeout=60) == -signal.SIGTERM


def test_a_taken_port_is_replaced_by_a_free_one_and_shown(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        faults(home, ports={"database": port, "web": port})
        status = up(home)
        assert str(port) not in "".join(status.urls.values())
        assert all(answers(url) for url in status.urls.values())


def test_a_port_that_must_be_this_one_and_is_taken_is_told_as_such(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        faults(home, fixed={"web": port})
        with pytest.raises(PortInUse, match=f"web did not come up: port {port} is taken") as caught:
            up(home)
    assert "run evergreen up again" in caught.value.hint
    assert process_table.find_stack_processes(process_table.compute_stack_id(home)) == {}
    faults(home)
    assert up(home).state == "running"


def test_up_makes_the_home_private(home: Path) -> None:
    home.chmod(0o755)
    up(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "logs").stat().st_mode) == 0o700


def test_a_server_that_does_not_come_up_is_one_error_with_its_log(home: Path) -> None:
    faults(home, fail=["web"])
    with pytest.raises(ChildFailed) as caught:
        up(home)
    assert "web did not come up: exit code 1" in caught.value.message
    assert "no room at the inn" in caught.value.message
    assert str(home / "logs" / "web.log") in caught.value.message
    assert read_stack_status(home).state == "failed"
    assert process_table.find_stack_processes(process_table.compute_stack_id(home)) == {}
    faults(home)
    assert up(home).state == "running"


def test_a_missing_program_is_told_as_such(home: Path) -> None:
    faults(home, missing=True)
    with pytest.raises(MissingProgram, match="mariadbd is not installed") as caught:
        up(home)
    assert caught.value.hint == "install it"
    assert not is_stack_alive(home)


def test_a_service_appears_while_the_stack_runs_and_its_failure_spoils_nothing(home: Path) -> None:
    up(home)
    faults(home, services=["service-good", "service-bad"], fail=["service-bad"])
    names = lambda: {p.name for p in read_stack_status(home).processes}  # noqa: E731
    eventually(lambda: {"service-good", "service-bad"} <= names())
    eventually(lambda: process(home, "service-good").state == "ready")
    eventually(lambda: process(home, "service-bad").restarts >= 2)
    assert process(home, "service-bad").state in ("back-off", "starting")
    assert read_stack_status(home).state == "running"


def test_the_foreground_ends_with_sigterm_and_with_sigkill(home: Path) -> None:
    code = (
        "from evergreen.stack import lifecycle; from pathlib import Path\n"
        f"lifecycle.run_stack_in_foreground(Path({str(home)!r}), plan={PLAN!r})"
    )
    for number, expected in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        foreground = subprocess.Popen([sys.executable, "-c", code])
        eventually(lambda: read_stack_status(home).state == "running")
        with pytest.raises(StackError, match="up already"):
            lifecycle.run_stack_in_foreground(home, plan=PLAN)
        foreground.send_signal(number)
        assert foreground.wait(timeout=60) == expected
        eventually(
            lambda: (
                not is_stack_alive(home)
                and not process_table.find_stack_processes(process_table.compute_stack_id(home))
            )
        )


def test_the_foreground_tells_how_far_it_is_and_once_that_everything_is_up(home: Path) -> None:
    said: list[str] = []

    def ready(status: StackStatus) -> None:
        said.append("READY")
        assert status.state == "running"
        assert all(answers(url) for url in status.urls.values())
        os.kill(pid_of(home, "web"), signal.SIGKILL)
        eventually(lambda: process(home, "web").restarts == 1)

    def progress(text: str) -> None:
        said.append(text)
        if "READY" in said and "ENOUGH" not in said and text == "running; ready: database, tables, web":
            said.append("ENOUGH")  # the server that was killed is back
            os.kill(os.getpid(), signal.SIGTERM)

    lifecycle.run_stack_in_foreground(home, progress=progress, ready=ready, plan=PLAN)
    assert said.count("READY") == 1
    before, after = said[: said.index("READY")], said[said.index("READY") + 1 :]
    assert any("starting: web" in text for text in before)
    assert any("web: killed by SIGKILL" in text for text in after)
    assert not is_stack_alive(home)


def test_ctrl_c_while_starting_brings_everything_down(home: Path) -> None:
    def interrupt(text: str) -> None:
        if "database" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lifecycle.start_stack(home, plan=PLAN, progress=interrupt)
    assert not is_stack_alive(home)
    assert process_table.find_stack_processes(process_table.compute_stack_id(home)) == {}


def test_a_restart_that_was_asked_for_gives_one_server_a_new_process_and_touches_no_other(home: Path) -> None:
    up(home)
    before = {name: pid_of(home, name) for name in ("database", "web")}
    said: list[str] = []
    restarted = restart_process(home, "web", progress=said.append)
    after = process(home, "web")
    assert restarted.pid == after.pid != before["web"]
    assert answers(after.url)
    assert (after.state, after.restarts, after.last_exit) == ("ready", 0, "killed by SIGTERM")
    assert pid_of(home, "database") == before["database"]
    assert said[-1] == "web: ready"
    assert read_stack_status(home).state == "running"


def _restart_elsewhere(home: Path, results: Any) -> None:
    results.put(restart_process(home, "web").pid)


def test_restarts_at_the_same_time_all_get_a_process_that_was_started_after_they_asked(home: Path) -> None:
    up(home)
    before = pid_of(home, "web")
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    callers = [context.Process(target=_restart_elsewhere, args=(home, results)) for _ in range(3)]
    for caller in callers:
        caller.start()
    pids = {results.get(timeout=60) for _ in callers}
    for caller in callers:
        caller.join()
    assert before not in pids
    assert pid_of(home, "web") in pids
    assert process(home, "web").restarts == 0


def test_a_restart_ends_a_back_off_and_says_why_a_server_does_not_come_up(home: Path) -> None:
    faults(home, services=["service-bad"], fail=["service-bad"])
    up(home)
    eventually(lambda: process(home, "service-bad").restarts >= 1)
    with pytest.raises(ChildFailed, match="no room at the inn") as caught:
        restart_process(home, "service-bad")
    assert "service-bad does not come up again (back-off: exit code 1" in caught.value.message
    assert read_stack_status(home).state == "running"


def test_a_restart_of_a_stack_that_is_killed_meanwhile_ends_in_words(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = up(home).supervisor_pid
    os.kill(pid, signal.SIGSTOP)  # it takes no request any more
    monkeypatch.setattr("evergreen.stack.restart.TAKE_REQUEST_SECONDS", 0.5)
    with pytest.raises(StackError, match="takes no requests"):
        restart_process(home, "web")
    assert not has_request(home)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_stack_alive(home))
    with pytest.raises(StackNotRunning, match="ended meanwhile"):
        restart_process(home, "web")
