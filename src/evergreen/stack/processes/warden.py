"""The stack's outermost process: when the supervisor ends, the warden ends every process that it started.

It is run as a script (`python -I -S warden.py guard ...`) and imports the standard library only, so that it
takes a few megabytes. On Linux a process may declare itself "subreaper" (prctl(2)): descendants whose parent
dies become its children instead of init's, also after double forks and in new sessions. The same file
launches each child (`warden.py launch ...`): it asks the kernel for a SIGTERM when its parent dies, then
becomes the program by exec.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_DEAD = ("Z", "X")
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # to end

ProcessTree = dict[int, tuple[int, str]]


def become_subreaper() -> None:
    """Adopt every orphaned descendant from now on."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def request_parent_death_signal(parent: int, with_signal: int = signal.SIGTERM) -> None:
    """Ask for a signal when the parent dies; exit at once if it is dead already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def read_process_tree() -> ProcessTree:
    """Every process of the machine: pid -> (parent's pid, state letter)."""
    tree: ProcessTree = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208  pathlib would triple the cost of this scan
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
            # The name in parentheses may itself hold spaces and parentheses.
            state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
            tree[int(entry)] = int(parent), state
    return tree


def find_descendants(root: int, tree: ProcessTree | None = None) -> set[int]:
    """The living processes below `root`, at any depth."""
    tree = read_process_tree() if tree is None else tree
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in tree.items():
        children.setdefault(parent, []).append(pid)
    descendants: set[int] = set()
    parents = [root]
    while parents:
        for pid in children.get(parents.pop(), []):
            if pid not in descendants:
                descendants.add(pid)
                parents.append(pid)
    return {pid for pid in descendants if tree[pid][1] not in _DEAD}


def signal_processes(pids: set[int], number: int) -> None:
    """Send a signal to each; those that have ended are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def reap_children() -> dict[int, int]:
    """Collect every child that has ended: pid -> exit code, negative for a signal."""
    exit_codes: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            exit_codes[pid] = os.waitstatus_to_exitcode(status)
    return exit_codes


def end_processes(
    find: Callable[[], set[int]], ask_seconds: float, give_up_after: float = float("inf")
) -> int:
    """Send what `find` finds SIGTERM, after `ask_seconds` SIGKILL; return how many processes there were.

    `find` is called until it finds none, since processes that end may leave new ones. One in uninterruptible
    sleep cannot be ended: after `give_up_after` seconds of SIGKILL it is left.
    """
    deadline = time.monotonic() + ask_seconds
    all_pids: set[int] = set()
    asked_pids: set[int] = set()
    # Not by `evergreen.waiting`: the script is run where only the standard library can be imported.
    while living_pids := find():
        all_pids |= living_pids
        now = time.monotonic()
        if now > deadline + give_up_after:
            break
        if now < deadline:
            signal_processes(living_pids - asked_pids, signal.SIGTERM)
            asked_pids |= living_pids
        else:
            signal_processes(living_pids, signal.SIGKILL)
        time.sleep(0.05)
    return len(all_pids)


def end_descendants(seconds: float) -> None:
    """Send every descendant of this process SIGTERM, after `seconds` SIGKILL, until none is left."""

    def find_living() -> set[int]:
        """The descendants that still live, after reaping those that have ended."""
        reap_children()
        return find_descendants(os.getpid())

    end_processes(find_living, seconds)


def spawn_child(command: list[str], pass_fds: tuple[int, ...] = ()) -> int:
    """Start a child that receives SIGTERM when this process dies; returns its pid."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    for fd in pass_fds:
        os.set_inheritable(fd, True)
    request_parent_death_signal(parent)
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)  # a mask survives exec
    _exec_command(command)


def _exec_command(command: list[str]) -> NoReturn:
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
        os._exit(127)


def guard_supervisor(command: list[str], *, lock_fd: int, tied_to: int, seconds: float) -> int:
    """Run the supervisor, pass signals to end on to it, and end what it leaves. Returns its exit code.

    `lock_fd` is the open, locked file that says "this stack lives"; supervisor and warden both hold it.
    `tied_to` is a process whose death ends the stack (`evergreen up --foreground`), or 0. What is left when
    the supervisor has ended gets `seconds` to end by itself.
    """
    become_subreaper()
    supervisor = 0

    def pass_on(number: int, frame: object) -> None:
        """Send the supervisor SIGTERM."""
        if supervisor:
            signal_processes({supervisor}, signal.SIGTERM)

    # A signal that comes before the supervisor's pid is known would be lost: it is blocked until then.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    for number in _STOP_SIGNALS:
        signal.signal(number, pass_on)
    if tied_to:
        request_parent_death_signal(tied_to)
    supervisor = spawn_child(command, (lock_fd,) if lock_fd >= 0 else ())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    code: int | None = None
    while code is None:
        with contextlib.suppress(InterruptedError):
            pid, status = os.waitpid(-1, 0)
            if pid == supervisor:
                code = os.waitstatus_to_exitcode(status)
    end_descendants(seconds)
    return code if code >= 0 else 128 - code


def main(arguments: list[str]) -> int:
    """`guard LOCK_FD TIED_TO SECONDS -- COMMAND...` or `launch PARENT -- COMMAND...`."""
    mode, *numbers = arguments[: arguments.index("--")]
    command = arguments[arguments.index("--") + 1 :]
    if mode == "guard":
        lock_fd, tied_to, seconds = map(int, numbers)
        return guard_supervisor(command, lock_fd=lock_fd, tied_to=tied_to, seconds=seconds)
    request_parent_death_signal(int(numbers[0]))
    _exec_command(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
