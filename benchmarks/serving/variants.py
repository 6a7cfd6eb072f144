"""The service itself, as it comes and with something switched on or off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.serving.comparators.commands import build_environment
from benchmarks.serving.contender import Command, Contender, run_server
from benchmarks.serving.switches import DURABILITY, WITHOUT, has_durability, list_missing
from benchmarks.serving.world import World

from evergreen.settings import Settings

_PREFIX = "EVERGREEN_"
_KEY = "benchmark-0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Variant:
    """The service with these environment variables, `without` some parts (`switches.py`), and at a level of
    durability; `headers` go with each request, and `logs` says whether its predictions reach MariaDB."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    durability: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def logs(self) -> bool:
        return "log" not in self.without

    @property
    def missing(self) -> str:
        """Why the installed service cannot be started so; "" when it can."""
        fields = Settings.model_fields
        named = [name for name in self.environment if name.startswith(_PREFIX)]
        unknown = [name for name in named if name.removeprefix(_PREFIX).lower() not in fields]
        if unknown:
            return f"the service has no setting {' and no '.join(unknown)}"
        if self.durability and not has_durability():
            return "a declaration cannot choose how durable its log is"
        if seamless := list_missing(self.without):
            return f"the service has no {' and no '.join(seamless)} that could be switched off"
        return ""


PLAIN = Variant("evergreen")
WITHOUT_LOG = Variant("evergreen_without_log", without=("log",))
# Metrics, trace ids and the counts of drift are always on; keys where they are named.
FULL = Variant(
    "evergreen_full",
    {"EVERGREEN_API_KEYS": f"benchmark:{_KEY}"},
    headers=(("Authorization", f"Bearer {_KEY}"),),
)
BARE = Variant("evergreen_bare", without=("metrics", "trace_ids", "drift_counts"))
# It does not follow the trial that the other services of the same MariaDB take part in.
WITHOUT_TRIALS = Variant("evergreen_without_trial", without=("trials",))
POWER = Variant("evergreen_power", durability="power")
TWO_WORKERS = Variant("evergreen_two_workers", {"EVERGREEN_SERVICE_WORKERS": "2"})


@contextmanager
def run_variant(world: World, variant: Variant) -> Iterator[Contender]:
    """The service as the stack starts it, measured with one row a request."""
    own = variant.without or variant.durability
    command = Command(
        (
            *("-m", "evergreen.serving.launch", "--host", "127.0.0.1", "--port", "PORT"),
            *(("--service", "benchmarks.serving.variant_service:service") if own else ()),
        ),
        {
            **build_environment(world),
            **variant.environment,
            WITHOUT: ",".join(variant.without),
            DURABILITY: variant.durability,
        },
        "/readyz",
    )
    bodies = world.write_single_bodies()
    with run_server(variant.name, command, world.folder) as (process, port):
        yield Contender(
            variant.name, process, port, "/predict", bodies, headers=variant.headers, logs=variant.logs
        )
