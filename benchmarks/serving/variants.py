"""The service itself, as it comes and with something switched on or off: one environment each.

A switch is a field of the settings. Where the installed service has no such field it cannot be measured with
it, and the figure is skipped with that reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving.comparators.commands import build_environment
from benchmarks.serving.contender import Command, Contender, run_server
from benchmarks.serving.world import World

from evergreen.settings import Settings

_PREFIX = "EVERGREEN_"
API_KEY = "benchmark-key-0123456789abcdef0123456789abcdef"
API_KEY_HEADER = "X-Evergreen-Key"


@dataclass(frozen=True)
class Variant:
    """The service with these environment variables; `headers` go with each request."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    logs: bool = True

    @property
    def missing(self) -> str:
        """Why the installed service cannot be started so; "" when it can."""
        fields = Settings.model_fields
        unknown = [name for name in self.environment if name.removeprefix(_PREFIX).lower() not in fields]
        return f"the service has no setting {' and no '.join(unknown)}" if unknown else ""


PLAIN = Variant("evergreen")
WITHOUT_LOG = Variant("evergreen_without_log", {"EVERGREEN_SERVING_LOG": "off"}, logs=False)
# What the full service does beside the answer and its log: each can be switched off.
FULL = Variant(
    "evergreen_full", {"EVERGREEN_SERVING_API_KEYS": API_KEY}, headers=((API_KEY_HEADER, API_KEY),)
)
BARE = Variant(
    "evergreen_bare",
    {
        "EVERGREEN_SERVING_METRICS": "off",
        "EVERGREEN_SERVING_TRACE_IDS": "off",
        "EVERGREEN_SERVING_REFUSED_COUNTS": "off",
    },
)
POWER = Variant("evergreen_power", {"EVERGREEN_SERVING_DURABILITY": "power"})
TWO_WORKERS = Variant("evergreen_two_workers", {"EVERGREEN_SERVING_WORKERS": "2"})


@contextmanager
def run_variant(world: World, variant: Variant) -> Iterator[Contender]:
    """The service as the stack starts it, measured with one row a request."""
    command = Command(
        ("-m", "evergreen.serving.launch", "--host", "127.0.0.1", "--port", "PORT"),
        {**build_environment(world), **variant.environment},
        "/readyz",
    )
    bodies: Path = world.write_single_bodies()
    with run_server(variant.name, command, world.folder) as (process, port):
        yield Contender(
            variant.name, process, port, "/predict", bodies, headers=variant.headers, logs=variant.logs
        )
