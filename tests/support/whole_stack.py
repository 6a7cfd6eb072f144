"""A home for a whole stack, and the command `evergreen` on it as a person types it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from support.own_ports import reserve_ports


def run_evergreen(home: Path, *arguments: str, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
    """Run the command with its own process's output as text; its exit code is not checked."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("EVERGREEN_", "AIRFLOW"))}
    return subprocess.run(
        [sys.executable, "-m", "evergreen.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "EVERGREEN_HOME": str(home)},
        timeout=timeout,
        cwd=home.parent,
    )


@contextmanager
def make_stack_home(*use_cases: str) -> Iterator[Path]:
    """A home with ports of its own for the servers and the services of those use cases.

    Its stack is down again afterwards, whatever happened, and no process of it is left.
    """
    # Not under pytest's tmp_path: its name is too long for a Unix socket.
    with tempfile.TemporaryDirectory(prefix="evergreen-e2e-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        reserve_ports(home, *use_cases)
        try:
            yield home
        finally:
            run_evergreen(home, "down", timeout=120)
            left = [process.cmdline() for process in find_processes(home)]
        assert not left


def find_processes(home: Path) -> list[psutil.Process]:
    """Every process whose environment or command line names this stack's home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("EVERGREEN_HOME") == str(home) or str(home) in " ".join(
                process.cmdline()
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found
