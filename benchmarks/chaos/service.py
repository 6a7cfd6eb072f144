"""The service under test as a process: what it says of itself, and its ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from benchmarks.serving.comparators.commands import build_environment
from benchmarks.serving.contender import Command, run_server
from benchmarks.serving.world import World

from evergreen.serving.calls.client import Client
from evergreen.stack.processes import warden
from evergreen.stack.processes.ports import LOOPBACK

# The supervisor's patience with a service: the shipper delivers for 15 seconds of it.
_END_SECONDS = 60.0
_WAIT_SECONDS = 60.0
_POLL_SECONDS = "0.5"


@dataclass(frozen=True)
class Service:
    """A running service. `process` is its guard, which ends what it leaves, and is no part of it."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def client(self) -> Client:
        return Client(self.url, timeout=30.0)

    def read_metadata(self) -> Any:
        with self.client() as client:
            return client.metadata()

    def read_metrics(self) -> str:
        return httpx.get(f"{self.url}/metrics", trust_env=False, timeout=30.0).text

    def read_readiness(self) -> httpx.Response:
        return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=30.0)

    def await_version(self, version: int) -> float:
        """Wait until that version answers; the seconds that it took."""
        return wait_for(lambda: self.read_metadata()["model_version"] == version, f"v{version} in service")

    def await_rows(self, more: int = 1) -> None:
        """Wait until so many rows more than at present were answered."""
        target = self.read_metadata()["log"]["accepted"] + more
        wait_for(lambda: self.read_metadata()["log"]["accepted"] >= target, "answers under load")

    def await_drained(self) -> None:
        """Wait until nothing is on its way to MariaDB."""
        wait_for(lambda: self.read_metadata()["log"]["spooled"] == 0, "an empty spool")

    def kill_all(self) -> int:
        """SIGKILL to every process of the service at one moment; returns how many there were."""
        pids: set[int] = set()
        # They are stopped first, so that none starts another one while the others are killed.
        while new := self._list_pids() - pids:
            warden.signal_processes(new, signal.SIGSTOP)
            pids |= new
        warden.signal_processes(pids, signal.SIGKILL)
        self.process.wait(_END_SECONDS)
        return len(pids)

    def ask_to_end(self) -> None:
        """SIGTERM to the service, as its supervisor sends it."""
        children = [
            pid for pid, (parent, _) in warden.read_process_tree().items() if parent == self.process.pid
        ]
        warden.signal_processes(set(children), signal.SIGTERM)

    def await_end(self) -> float:
        """Wait until every process of it has ended; the seconds that it took. Raises TimeoutExpired."""
        began = time.monotonic()
        self.process.wait(_END_SECONDS)
        return time.monotonic() - began

    def _list_pids(self) -> set[int]:
        return warden.find_descendants(self.process.pid)


@contextmanager
def run_service(
    world: World,
    name: str,
    *,
    more: Mapping[str, str] | None = None,
    service: str = "",
    prefix: Sequence[str] = (),
) -> Iterator[Service]:
    """The service as the stack starts it, ready; its log is `name`.log in the world's folder.

    `more` are environment variables, `service` another BentoML service than the product's, and `prefix` words
    of Python that run the command which follows them.
    """
    command = Command(
        (
            *(*prefix, *((sys.executable,) if prefix else ())),
            *("-m", "evergreen.serving.launch", "--host", LOOPBACK, "--port", "PORT"),
            *(("--service", service) if service else ()),
        ),
        {
            **build_environment(world),
            "EVERGREEN_CHAMPION_POLL_SECONDS": _POLL_SECONDS,
            **(more or {}),
        },
        "/readyz",
    )
    with run_server(name, command, world.folder) as (process, port):
        yield Service(process, port, world.folder / f"{name}.log")


def wait_for(condition: Callable[[], bool], what: str, seconds: float = _WAIT_SECONDS) -> float:
    """Return when `condition` holds, with the seconds that it took. Raises TimeoutError naming `what`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - began
