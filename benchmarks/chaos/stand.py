"""What every fault needs: a MariaDB that may go away, versions, services, load, and the counting."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos.fault import Report
from benchmarks.chaos.models import register_model
from benchmarks.chaos.service import Service, run_service
from benchmarks.common.mlflow_front import serve_store
from benchmarks.common.server import Bench, running
from benchmarks.common.timing import say
from benchmarks.serving.load.figures import Figures
from benchmarks.serving.load.plan import Plan
from benchmarks.serving.log_check import PredictionTable
from benchmarks.serving.rounds import run_generator
from benchmarks.serving.world import USE_CASE, World

from evergreen.registry import ledger
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.aliases import set_champion
from evergreen.serving.http.examples import draw_requests
from evergreen.stack.processes.ports import LOOPBACK
from evergreen.store.connection.database import get_engine
from evergreen.usecases import load_use_case

_BODIES = 200
_CONNECTIONS = 16
# Longer than any fault: the load ends when it is told to, or with the service.
_LOAD_SECONDS = 3_600.0
_GOOD_SEEDS = (1, 2, 3)
# A shipper looks for what others have left every half minute.
_ARRIVAL_SECONDS = 90.0


@dataclass
class Load:
    """Requests on a service; what came of them once it has ended.

    `ids` are those of all predictions that were answered, and `answers` their bodies.
    """

    generator: subprocess.Popen[bytes]
    plan: Plan
    figures: Figures | None = None
    ids: list[str] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failed(self) -> int:
        assert self.figures is not None
        return self.figures.errors

    def end(self) -> None:
        """End the load, and wait for the requests that are under way."""
        self.generator.terminate()
        assert self.generator.stdout is not None
        self.generator.stdout.read()

    def read(self) -> None:
        self.figures = Figures.read(Path(self.plan.result))
        self.answers = [json.loads(line) for line in Path(self.plan.answers).read_bytes().splitlines()]
        self.ids = [answer["prediction_id"] for answer in self.answers]


@dataclass
class Stand:
    """The world of the run, and `versions` of the model that are good; the first one is champion at first."""

    world: World
    versions: Sequence[int]
    names: Iterator[int] = field(default_factory=itertools.count)

    @property
    def bench(self) -> Bench:
        return self.world.bench

    def run_service(
        self,
        name: str,
        *,
        more: Mapping[str, str] | None = None,
        service: str = "",
        prefix: Sequence[str] = (),
        world: World | None = None,
    ) -> AbstractContextManager[Service]:
        """A service that is ready, and stopped at the end; see `service.py`."""
        numbered = f"service-{next(self.names)}-{name}"
        return run_service(world or self.world, numbered, more=more, service=service, prefix=prefix)

    @contextmanager
    def run_load(
        self,
        service: Service,
        *,
        rate: float = 0.0,
        connections: int = _CONNECTIONS,
        until_gone: bool = False,
    ) -> Iterator[Load]:
        """Single predictions meanwhile, as many as the service takes or `rate` a second.

        Each key is one of the rows of `world.rows`. Without `until_gone` the service must stay.
        """
        number = next(self.names)
        folder = self.world.folder
        plan = Plan(
            host=LOOPBACK,
            port=service.port,
            path="/predict",
            bodies=str(self.world.write_single_bodies()),
            connections=connections,
            seconds=_LOAD_SECONDS,
            warm_seconds=0.0,
            result=str(folder / f"load-{number}.json"),
            answers=str(folder / f"load-{number}.answers"),
            rate=rate,
            until_gone=until_gone,
        )
        with run_generator(self.world, plan) as generator:
            load = Load(generator, plan)
            try:
                service.await_rows()
                yield load
            finally:
                load.end()
        load.read()

    def reconcile(self, report: Report, ids: Sequence[str], patience: float = _ARRIVAL_SECONDS) -> None:
        """Wait until these acknowledged predictions are in MariaDB, and count those that never come.

        Where some cannot come any more, `patience` is how many seconds they are waited for.
        """
        arrival = PredictionTable(self.world).check_arrival(ids, 0, 1.0, patience)
        report.acknowledged += arrival.acknowledged
        report.lost += arrival.lost
        report.doubled += arrival.doubled

    def promote(self, version: int, former: int | None) -> None:
        """Make a version champion as the gate does, in the ledger and in MLflow."""
        database = get_engine(self.world.settings)
        with lock_use_case(database, USE_CASE):
            line = ledger.append_entry(
                database,
                use_case_name=USE_CASE,
                action="promote",
                from_version=former,
                to_version=version,
                training_run_id=None,
                actor="gate",
                reason="chaos",
            )
            set_champion(self.world.settings, USE_CASE, version, line.at)

    def read_champion_version(self) -> int:
        from evergreen.registry.champion import read_champion

        champion = read_champion(self.world.settings, USE_CASE)
        assert champion is not None
        return champion.version

    def make_champion(self, version: int) -> None:
        """Promote a version, unless it is champion."""
        former = self.read_champion_version()
        if former != version:
            self.promote(version, former)


@contextmanager
def prepare_stand(folder: Path, seed: int) -> Iterator[Stand]:
    """Everything in `folder`; the servers are gone at the end."""
    registry = f"sqlite:///{folder / 'mlflow.db'}"
    with (
        running(folder) as bench,
        bench.store(USE_CASE, "serving", registry) as settings,
        # As where the stack runs them, services have a server: they start twice as fast as on a store.
        serve_store(registry) as registry_address,
    ):
        use_case = load_use_case(USE_CASE, settings)
        (key,) = use_case.entity.key_names
        rows = [{**row, key: n} for n, row in enumerate(draw_requests(use_case, _BODIES, seed))]
        world = World(bench, settings, use_case, None, 0, rows, registry_address)
        say("registering models")
        stand = Stand(world, [register_model(world, number) for number in _GOOD_SEEDS])
        stand.promote(stand.versions[0], None)
        yield stand
        # The store's tables are dropped at the end, which a fault may have left without a server.
        with suppress(SystemExit):
            if not bench.is_running:
                bench.start()
