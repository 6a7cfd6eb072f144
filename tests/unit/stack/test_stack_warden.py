"""The warden on real processes: nothing that it started may outlive it or its supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evergreen.stack.processes import process_table, warden
from support.waiting import eventually

# Forks twice into a session of its own, ignores SIGTERM, and writes its process id into a file.
ESCAPE = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[1] + ".new", "w").write(str(os.getpid()))
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""


Start = Callable[[list[str]], subprocess.Popen[bytes]]


def running(pid: int) -> bool:
    _, state = warden.read_process_tree().get(pid, (0, "X"))
    return state not in ("Z", "X")


def guarded(*command: str, tied_to: int | str = 0, seconds: int = 1) -> list[str]:
    options = ("-1", str(tied_to), str(seconds))
    return [sys.executable, "-I", "-S", warden.__file__, "guard", *options, "--", *command]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(command: list[str]) -> subprocess.Popen[bytes]:
        started.append(
            subprocess.Popen(command, env={**os.environ, process_table.ID_MARK: f"test-{os.getpid()}"})
        )
        return started[-1]

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
    process_table.end_stack_processes(f"test-{os.getpid()}")


def supervisor_of(pid: int) -> int:
    found: list[int] = []

    def look() -> bool:
        found[:] = [child for child, (parent, _) in warden.read_process_tree().items() if parent == pid]
        return bool(found)

    eventually(look)
    return found[0]


def test_a_grandchild_that_escaped_ends_when_the_supervisor_is_killed(tmp_path: Path, start: Start) -> None:
    pid_file = tmp_path / "escaped"
    guard = start(guarded(sys.executable, "-S", "-c", ESCAPE, str(pid_file)))
    eventually(pid_file.exists)
    escaped = int(pid_file.read_text())
    assert running(escaped)
    os.kill(supervisor_of(guard.pid), signal.SIGKILL)
    assert guard.wait(timeout=60) == 128 + signal.SIGKILL
    assert not running(escaped)


def test_the_wardens_death_ends_the_supervisor(tmp_path: Path, start: Start) -> None:
    guard = start(guarded(sys.executable, "-S", "-c", "import time; time.sleep(600)"))
    supervisor = supervisor_of(guard.pid)
    guard.kill()
    eventually(lambda: not running(supervisor))


def test_a_request_to_end_is_passed_on_and_the_exit_code_comes_back(tmp_path: Path, start: Start) -> None:
    ready = tmp_path / "ready"
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "open(sys.argv[1], 'w').close()\n"
        "time.sleep(600)"
    )
    guard = start(guarded(sys.executable, "-S", "-c", program, str(ready)))
    eventually(ready.exists)
    guard.terminate()
    assert guard.wait(timeout=60) == 7


def test_a_request_to_end_that_comes_with_the_supervisors_start_is_not_lost(start: Start) -> None:
    program = (
        "import os, signal, sys\n"
        "from evergreen.stack.processes import warden\n"
        "spawn = warden.spawn_child\n"
        "def spawn_and_be_asked_to_end(*arguments):\n"
        "    pid = spawn(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return pid\n"
        "warden.spawn_child = spawn_and_be_asked_to_end\n"
        "command = [sys.executable, '-S', '-c', 'import time; time.sleep(600)']\n"
        "sys.exit(warden.guard_supervisor(command, lock_fd=-1, tied_to=0, seconds=1))"
    )
    guard = start([sys.executable, "-c", program])
    assert guard.wait(timeout=60) == 128 + signal.SIGTERM


def test_tied_to_a_process_it_ends_with_it(tmp_path: Path, start: Start) -> None:
    pids = tmp_path / "pids"
    launcher = (
        "import os, subprocess, sys, time\n"
        "tied = [a.replace('PARENT', str(os.getpid())) for a in sys.argv[2:]]\n"
        "p = subprocess.Popen(tied)\n"
        "open(sys.argv[1] + '.new', 'w').write(str(p.pid))\n"
        "os.rename(sys.argv[1] + '.new', sys.argv[1])\n"
        "time.sleep(600)"
    )
    command = guarded(sys.executable, "-S", "-c", "import time; time.sleep(600)", tied_to="PARENT")
    parent = start([sys.executable, "-S", "-c", launcher, str(pids), *command])
    eventually(pids.exists)
    guard = int(pids.read_text())
    supervisor = supervisor_of(guard)
    parent.kill()
    eventually(lambda: not running(guard) and not running(supervisor))


def test_marked_processes_are_found_measured_and_ended(start: Start) -> None:
    stack = f"test-{os.getpid()}"
    process = start([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    eventually(lambda: process.pid in process_table.find_stack_processes(stack))
    eventually(lambda: process_table.measure_memory_bytes({process.pid}) > 1_000_000)  # once it is loaded
    assert process_table.end_stack_processes(stack, child="another") == 0
    assert process_table.end_stack_processes(stack) == 1
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert process_table.find_stack_processes(stack) == {}


def test_processes_that_keep_coming_are_ended_until_none_comes(start: Start) -> None:
    left = 3
    process = start([sys.executable, "-S", "-c", "import time; time.sleep(600)"])

    def find() -> set[int]:
        nonlocal left, process
        if process.poll() is not None:
            left -= 1
            if not left:
                return set()
            process = start([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
        return {process.pid}

    assert warden.end_processes(find, ask_seconds=0.0) == 3


def test_what_ignores_the_request_is_made_to_end_and_what_cannot_end_is_left(
    tmp_path: Path, start: Start
) -> None:
    ready = tmp_path / "ready"
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[1], 'w').close()\n"
        "time.sleep(600)"
    )
    stubborn = start([sys.executable, "-S", "-c", program, str(ready)])
    eventually(ready.exists)
    assert (
        warden.end_processes(lambda: {stubborn.pid} if stubborn.poll() is None else set(), ask_seconds=0.2)
        == 1
    )
    assert stubborn.wait(timeout=60) == -signal.SIGKILL
    assert warden.end_processes(lambda: {stubborn.pid}, ask_seconds=0.0, give_up_after=0.1) == 1


def test_the_memory_of_a_process_that_is_gone_is_nothing() -> None:
    assert process_table.measure_memory_bytes({2**22 + 1}) == 0
