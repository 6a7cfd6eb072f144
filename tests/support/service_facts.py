"""What a running service is made of, and what its page of metrics says."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import httpx

from evergreen.stack.processes import warden
from support.serving_world import Service


def find_workers(service: Service) -> set[int]:
    """The workers of the service: they have BentoML's module in their command."""
    workers = set()
    for pid in warden.find_descendants(service.process.pid):
        with suppress(OSError):  # it has ended meanwhile
            if b"worker.service" in Path(f"/proc/{pid}/cmdline").read_bytes():
                workers.add(pid)
    return workers


def read_metric(service: Service, name: str) -> float:
    """The sum of a metric over its labels; `name` is a pattern, which may end with labels."""
    lines = re.findall(
        rf"^{name}(?:\{{.*\}})? (\S+)$", httpx.get(f"{service.url}/metrics").text, re.MULTILINE
    )
    return sum(map(float, lines))
