"""A world for the service's tests: an own MariaDB that can go away, an MLflow store, models, and the service.

Real servers and the real service process. The models are small and fitted here, so that a test decides what
is registered and who is champion.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.common.mlflow_front import serve_store

from evergreen.ingest.loading.load import load_parts
from evergreen.model.matrix import build_pool
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.registry.connection import set_process_tracking_uri
from evergreen.registry.models import MODEL_URI, register_model_version
from evergreen.registry.succession.aliases import set_champion
from evergreen.serving.calls.client import Client
from evergreen.serving.http.examples import draw_requests
from evergreen.settings import Settings
from evergreen.stack.processes.ports import LOOPBACK, find_free_port
from evergreen.stack.servers.mariadb import HOSTS, generate_password
from evergreen.store.connection.database import dispose_engines, get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.predictions.prediction_log import count_predictions
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.rights.roles import build_role_grants
from evergreen.store.tables.create import create_tables
from evergreen.usecase import UseCase
from support import own_servers
from support.empty_mlflow import write_empty_database
from support.own_servers import Database, private_mariadb
from support.parcel_case import declare
from support.waiting import eventually

PARCELS = 300
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass
class World:
    """Settings on the world's servers, the parcel use case, and two registered versions of its model.

    The settings are on MLflow's store itself, which `mlflow_address` serves to services.
    """

    settings: Settings
    use_case: UseCase
    database: Database
    mlflow_address: str
    versions: list[int] = field(default_factory=list)
    service_account: Mapping[str, str] = field(default_factory=dict)
    """The variables by which a service connects with the rights of its role, and not as the tables' owner."""

    def logged(self, channel: str = "online") -> int:
        """Rows in the prediction log."""
        counts = count_predictions(get_engine(self.settings), self.use_case)
        return counts.by_channel.get(channel, 0)

    def rows(self, count: int, seed: int = 1) -> list[dict[str, Any]]:
        return draw_requests(self.use_case, count, seed)

    def promote(self, version: int) -> None:
        set_champion(self.settings, self.use_case.name, version, promoted_at=NOW)


@dataclass
class Service:
    """A running service process."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def client(self, **options: Any) -> Client:
        return Client(self.url, **options)

    def settle(self, version: int) -> None:
        """Wait until that version is in service, and a moment for a former champion's trouble to pass."""
        with self.client() as client:
            eventually(lambda: client.metadata()["model_version"] == version)
            deadline = time.monotonic() + 10.0
            while client.metadata()["trouble"] and time.monotonic() < deadline:
                time.sleep(0.2)

    def drained(self) -> bool:
        """Whether every prediction is in the database."""
        with self.client() as client:
            log = client.metadata()["log"]
        return log["spooled"] == 0

    def stop(self, timeout: float = 60) -> None:
        """As an operator would: SIGTERM, and wait."""
        own_servers.stop(self.process, timeout)


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Everything that the service needs, in `folder`; version 1 is champion."""
    folder.mkdir(parents=True, exist_ok=True)
    with private_mariadb(folder) as database:
        settings = database.build_settings(
            folder,
            mlflow_tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
            champion_poll_seconds=0.5,
            threads=1,
        )
        write_empty_database(folder / "mlflow.db")
        use_case = declare(settings)
        apply_migrations(get_engine(settings))
        create_tables(get_engine(settings), use_case)
        fill_store(settings, use_case)
        with serve_store(settings.mlflow_tracking_uri) as address:
            made = World(settings, use_case, database, address)
            made.service_account = add_service_account(database, use_case)
            made.versions = register_models(settings, use_case, folder, (1, 2))
            made.promote(made.versions[0])
            try:
                yield made
            finally:
                dispose_engines(settings)


def add_service_account(database: Database, use_case: UseCase) -> dict[str, str]:
    """A user of MariaDB with the rights of a service of that use case; the variables that name it."""
    user, password = "evergreen_service", generate_password()
    statements = []
    for host in HOSTS:
        statements.append(f"CREATE USER '{user}'@'{host}' IDENTIFIED BY '{password}'")
        statements += build_role_grants("service", (user, host), database.server.database, [use_case])
    database.administer(*statements)
    return {"EVERGREEN_MARIADB_USER": user, "EVERGREEN_MARIADB_PASSWORD": password}


def fill_store(settings: Settings, use_case: UseCase) -> None:
    """`PARCELS` parcels with the keys 1 to PARCELS in the feature store."""
    frame = pd.DataFrame(draw_requests(use_case, PARCELS, seed=11))
    frame["parcel_id"] = np.arange(1, PARCELS + 1)
    frame["event_time"] = pd.Series([NOW - timedelta(days=3)] * PARCELS, dtype="datetime64[us, UTC]")
    run = start_ingest(get_engine(settings), use_case, NOW)
    load_parts(get_engine(settings), use_case, run.id, {"shipment": frame})


def register_models(
    settings: Settings,
    use_case: UseCase,
    folder: Path,
    seeds: Sequence[int],
    classes: tuple[str, ...] = (),
    skew: float = 1.0,
) -> list[int]:
    """Fit, log and register one small model per seed; returns their versions.

    `classes` makes models that do not fit the declaration; a `skew` above 1 makes the last class rarer.
    """
    import mlflow
    from catboost import CatBoostClassifier

    set_process_tracking_uri(settings)
    client = mlflow.MlflowClient(settings.mlflow_tracking_uri)
    experiment = client.create_experiment(
        f"{use_case.name}-{uuid.uuid4().hex}", artifact_location=(folder / "artifacts").as_uri()
    )
    rows = draw_requests(use_case, 1500, seed=5)
    columns = add_on_demand_columns(use_case, build_columns_from_rows(use_case, rows))
    driver = columns[next(f.name for f in use_case.stored_features if f.numeric and not f.nullable)]
    names = np.array(classes or use_case.label.classes, dtype=object)
    versions = []
    for seed in seeds:
        noise = np.random.default_rng(seed).normal(0, driver.std(), len(rows))
        ranks = (driver + noise).argsort().argsort()
        target = names[((ranks / len(rows)) ** skew * len(names)).astype(int)]
        model = CatBoostClassifier(
            iterations=20 * seed,
            depth=4,
            class_names=list(names),
            thread_count=1,
            random_seed=seed,
            verbose=False,
            allow_writing_files=False,
        )
        model.fit(build_pool(use_case, columns, target))
        with mlflow.start_run(experiment_id=experiment) as run:
            info = mlflow.catboost.log_model(model, name="model", pip_requirements=["catboost"])
            mlflow.set_tag(MODEL_URI, info.model_uri)
        versions.append(
            register_model_version(settings, use_case.name, run.info.run_id, f"training-{seed}", {})
        )
    return versions


def environment(settings: Settings, use_case_name: str, folder: Path) -> dict[str, str]:
    """The environment of a service process on these settings."""
    inherited = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("EVERGREEN_", "BENTOML_", "PROMETHEUS_", "MLFLOW_"))
    }
    return {
        **inherited,
        "EVERGREEN_USE_CASE": use_case_name,
        "EVERGREEN_HOME": str(settings.home),
        "EVERGREEN_USE_CASES": settings.use_cases,
        "EVERGREEN_MARIADB_SOCKET": str(settings.mariadb_socket),
        "EVERGREEN_MARIADB_USER": settings.mariadb_user,
        "EVERGREEN_MARIADB_PASSWORD": settings.mariadb_password.get_secret_value(),
        "EVERGREEN_MARIADB_DATABASE": settings.mariadb_database,
        "EVERGREEN_MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "EVERGREEN_CHAMPION_POLL_SECONDS": str(settings.champion_poll_seconds),
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
    }


@contextmanager
def running(
    made: World,
    folder: Path,
    *,
    use_case_name: str = "parcel",
    command: Sequence[str] = ("evergreen.serving.launch",),
    ready: bool = True,
    more: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """The real service as its own process on a free port, started as the stack does; stopped at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    port = find_free_port()
    log = folder / "service.log"
    process = own_servers.start_guarded(
        [sys.executable, "-m", *command, "--host", LOOPBACK, "--port", str(port)],
        log=log,
        environment={
            **environment(made.settings, use_case_name, folder),
            "EVERGREEN_MLFLOW_TRACKING_URI": made.mlflow_address,
            **(more or {}),
        },
        folder=folder,
    )
    service = Service(f"http://{LOOPBACK}:{port}", process, log)
    try:
        with service.client() as client:

            def up() -> bool:
                assert process.poll() is None, log.read_text()
                return client.ready() if ready else _answers(client)

            eventually(up, 120)
        yield service
    finally:
        service.stop()


def _answers(client: Client) -> bool:
    from evergreen.errors import AccessDenied, ServiceUnreachable

    try:
        client.metadata()
    except ServiceUnreachable:
        return False
    except AccessDenied:
        return True
    return True
