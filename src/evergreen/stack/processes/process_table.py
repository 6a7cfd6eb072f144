"""The stack's processes as the kernel lists them: found by a mark in their environment, measured, ended.

Every process of a stack carries EVERGREEN_STACK_ID (which stack) and EVERGREEN_STACK_CHILD (which of its
servers) in its environment, and so does what it forks. The marks find processes that left their group and
session, and those of a stack whose supervisor was killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from evergreen.stack.processes.warden import end_processes, read_process_tree

ID_MARK = "EVERGREEN_STACK_ID"
CHILD_MARK = "EVERGREEN_STACK_CHILD"


def compute_stack_id(home: Path) -> str:
    """The mark of the stack of this home: the same after restarts and in every locale."""
    return hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]


def find_stack_processes(stack: str) -> dict[int, str]:
    """The living processes of that stack: pid -> the server it belongs to. This process is not among them."""
    mark = f"{ID_MARK}={stack}".encode()
    child_mark = f"{CHILD_MARK}=".encode()
    processes: dict[int, str] = {}
    for pid, (_, state) in read_process_tree().items():
        if pid == os.getpid() or state in ("Z", "X"):
            continue
        with contextlib.suppress(OSError):
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if mark in environment:
                names = [item[len(child_mark) :] for item in environment if item.startswith(child_mark)]
                processes[pid] = names[0].decode(errors="replace") if names else ""
    return processes


def measure_memory_bytes(pids: set[int]) -> int:
    """Their proportional set size: shared pages count once, divided among those who share them."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def end_stack_processes(stack: str, *, child: str | None = None, ask_seconds: float = 0.0) -> int:
    """End the stack's processes, or only those of one server; returns how many there were.

    They get SIGTERM first when `ask_seconds` is positive, and SIGKILL after that long, until none is left.
    """
    ancestors = _find_ancestors()

    def find_living() -> set[int]:
        """The processes that are to be ended, without this one and its ancestors."""
        return {
            pid
            for pid, name in find_stack_processes(stack).items()
            if pid not in ancestors and child in (None, name)
        }

    return end_processes(find_living, ask_seconds, give_up_after=10.0)


def _find_ancestors() -> set[int]:
    """The processes above this one, so that a command run from inside a stack does not end itself."""
    tree = read_process_tree()
    ancestors: set[int] = set()
    pid = os.getpid()
    while pid in tree and pid not in ancestors:
        ancestors.add(pid)
        pid = tree[pid][0]
    return ancestors
