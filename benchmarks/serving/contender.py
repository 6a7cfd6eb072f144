"""A server that takes part: started on a free port, waited for, put under load, and ended."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from benchmarks.common.server import start_tied, stop
from benchmarks.common.timing import say
from benchmarks.serving.champion import ROOT

from evergreen.stack.processes.ports import LOOPBACK, find_free_port

_START_SECONDS = 180.0


@dataclass(frozen=True)
class Contender:
    """A running server and the requests that it is measured with.

    `logs`: whether each 200 carries the ids of predictions that must arrive in MariaDB. A `slow` one is
    measured longer and less often.
    """

    name: str
    process: subprocess.Popen[bytes]
    port: int
    path: str
    bodies: Path
    headers: tuple[tuple[str, str], ...] = ()
    logs: bool = False
    slow: bool = False


@dataclass(frozen=True)
class Command:
    """How to start a server: the words after Python's own (`PORT` stands for the port), and the environment.

    `ready_path` answers 200 as soon as it serves.
    """

    words: Sequence[str]
    environment: Mapping[str, str]
    ready_path: str


@contextmanager
def run_server(name: str, command: Command, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The server's process and port, once it is ready; its log is `folder`/`name`.log.

    Raises SystemExit with the end of the log when it does not become ready.
    """
    port = find_free_port()
    words = [sys.executable, *(word.replace("PORT", str(port)) for word in command.words)]
    path = folder / f"{name}.log"
    with path.open("wb") as log:
        process = start_tied(words, log, command.environment, folder=ROOT, workers=True)
    try:
        _await_ready(name, process, f"http://{LOOPBACK}:{port}{command.ready_path}", path)
        yield process, port
    finally:
        stop(process)


def _await_ready(name: str, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    say(f"  starting {name}")
    deadline = time.monotonic() + _START_SECONDS
    with httpx.Client(trust_env=False, timeout=5.0) as client:
        while not _is_ready(client, url):
            if process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text("utf-8", errors="replace")
                raise SystemExit(f"{name} does not become ready:\n{text[-3000:]}")
            time.sleep(0.2)


def _is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
