"""The processes of the embedded stack: MariaDB, MLflow, Airflow and one service per use case."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

from evergreen.errors import EvergreenError, RegistryError
from evergreen.registry.champion import read_champion
from evergreen.settings import Settings, load_settings
from evergreen.stack.deploy import facts
from evergreen.stack.deploy.facts import BANK_DATABASE, SERVICE_PREFIX
from evergreen.stack.processes.child import ChildSpec
from evergreen.stack.processes.logs import delete_old_logs
from evergreen.stack.processes.ports import LOOPBACK, assign_ports
from evergreen.stack.servers import airflow, probes
from evergreen.stack.servers.envfile import (
    SettingValue,
    build_variables,
    collect_user_settings,
    write_stack_env,
)
from evergreen.stack.servers.keys import Keys, load_or_create_keys
from evergreen.stack.servers.mariadb import PrivateMariaDB, build_stack_server
from evergreen.stack.servers.sqlite_files import (
    build_sqlite_url,
    build_unfinished_path,
    finish_database,
    remove_unfinished_database,
)
from evergreen.usecases import find_use_case_folders, load_use_case

# By the names under which `stack.json` keeps them; a free port stands in for one that is taken.
USUAL_PORTS = {
    "mariadb": facts.MARIADB.usual_port,
    "mlflow": facts.MLFLOW.usual_port,
    "airflow": facts.AIRFLOW_API.usual_port,
}


class EvergreenPlan:
    """What the supervisor starts for one home (`Plan` in supervisor.py). `servers` must be called first."""

    def __init__(self, home: Path, previous_ports: dict[str, int]) -> None:
        self.home = home
        self.ports: dict[str, int] = {}
        self.problems: list[str] = []
        self._previous_ports = previous_ports
        self._settings: Settings | None = None
        self._keys: Keys | None = None

    def servers(self) -> list[ChildSpec]:
        """Choose ports, generate passwords and keys, write `stack.env`, and return what to start."""
        self._settings = load_settings(self.home)
        self._keys = load_or_create_keys(self.home)
        usual_ports = dict(USUAL_PORTS)
        for name, port in self._service_ports().items():
            usual_ports[SERVICE_PREFIX + name] = port
        self.ports = assign_ports(usual_ports, self._previous_ports)
        self._write_settings()
        return [*self._mariadb(), *self._mlflow(), *self._airflow()]

    def services(self) -> list[ChildSpec]:
        """A service for every use case that has a champion now; without those whose champion cannot be read.

        The supervisor keeps services that it has started, whatever a later call returns.
        """
        self._reserve_new()
        settings = load_settings(self.home)
        specs = []
        for name in find_use_case_folders(settings):
            if SERVICE_PREFIX + name not in self.ports:
                continue
            try:
                if read_champion(settings, name) is not None:
                    specs.append(self._service(name))
            except RegistryError:
                continue
        return specs

    def tidy(self) -> None:
        """Delete logs of Airflow's tasks that are older than EVERGREEN_TASK_LOG_DAYS; 0 keeps all."""
        if days := load_settings(self.home).task_log_days:
            delete_old_logs(self.home / "airflow" / "logs", time.time() - days * 86_400)

    @property
    def mariadb(self) -> PrivateMariaDB:
        """The stack's MariaDB server."""
        assert self._keys is not None
        return build_stack_server(self.home, self.ports["mariadb"], self._keys.mariadb_password)

    def _service_ports(self) -> dict[str, int]:
        """The declared port of each use case. A declaration that cannot be loaded becomes a problem."""
        assert self._settings is not None
        ports: dict[str, int] = {}
        problems = []
        for name in find_use_case_folders(self._settings):
            try:
                ports[name] = load_use_case(name, self._settings).serving.port
            except EvergreenError as error:
                problems.append(str(error))
        self.problems = problems
        return ports

    def _reserve_new(self) -> None:
        """Reserve a port for a use case that was added while the stack runs; write it into `stack.env`."""
        assert self._settings is not None
        known_names = {
            name for name in find_use_case_folders(self._settings) if SERVICE_PREFIX + name in self.ports
        }
        if set(find_use_case_folders(self._settings)) == known_names:
            return
        new_ports = {
            SERVICE_PREFIX + n: port for n, port in self._service_ports().items() if n not in known_names
        }
        if new_ports:
            # Those of use cases without a champion are reserved, though nobody listens on them yet.
            assigned_ports = assign_ports(new_ports, self._previous_ports, reserved=self.ports.values())
            self.ports = {**self.ports, **assigned_ports}
            self._write_settings()

    def _write_settings(self) -> None:
        assert self._settings is not None
        assert self._keys is not None
        server = self.mariadb
        urls = {
            name.removeprefix(SERVICE_PREFIX): f"http://{LOOPBACK}:{port}"
            for name, port in sorted(self.ports.items())
            if name.startswith(SERVICE_PREFIX)
        }
        own: dict[str, SettingValue] = {
            "mariadb_host": LOOPBACK,
            "mariadb_port": server.port,
            "mariadb_socket": server.socket,
            "mariadb_user": server.user,
            "mariadb_password": server.password,
            "mariadb_database": server.database,
            "mlflow_tracking_uri": f"http://{LOOPBACK}:{self.ports['mlflow']}",
            "airflow_url": f"http://{LOOPBACK}:{self.ports['airflow']}",
            "airflow_user": facts.AIRFLOW_USER,
            "airflow_password": self._keys.airflow_password,
            "service_urls": urls,
            # A key of the user's own, for other services, takes precedence.
            **({} if self._settings.api_key else {"api_key": self._keys.service_api_key}),
        }
        write_stack_env(
            self.home,
            {
                **collect_user_settings(self._settings),
                **build_variables(own),
                **self._connections(),
            },
        )

    def _connections(self) -> dict[str, str]:
        """The Airflow Connection of the simulated bank, which is a foreign database to the platform.

        `local_infile` is for the simulator, which loads files into it; readers never send a file.
        """
        server = self.mariadb
        options = urlencode({"unix_socket": server.socket, "local_infile": 1})
        uri = f"mysql://{server.user}:{server.password}@localhost/{BANK_DATABASE}?{options}"
        return {facts.BANK_CONNECTION: uri}

    def _mariadb(self) -> list[ChildSpec]:
        server = self.mariadb
        specs = []
        needs: tuple[str, ...] = ()
        server.prepare()
        if not server.initialised:
            specs.append(
                ChildSpec(
                    name="mariadb-init",
                    command=tuple(server.install_command()),
                    environment=server.install_environment,
                    folder=server.home,
                    before=server.forget_half_made,
                    after=server.mark_initialised,
                    one_off=True,
                )
            )
            needs = ("mariadb-init",)
        specs.append(
            ChildSpec(
                name=facts.MARIADB.name,
                command=tuple(server.command()),
                probe=probes.build_mariadb_probe(server),
                port=server.port,
                needs=needs,
                stop_seconds=float(facts.MARIADB_STOP_SECONDS),
                stop_last=True,
            )
        )
        specs.append(
            ChildSpec(
                name=facts.STORE_TABLES.name,
                command=(sys.executable, "-m", facts.STORE_TABLES_MODULE),
                needs=(facts.MARIADB.name,),
                one_off=True,
            )
        )
        return specs

    def _mlflow(self) -> list[ChildSpec]:
        folder = self.home / "mlflow"
        (folder / "artifacts").mkdir(parents=True, exist_ok=True)
        database = folder / "mlflow.db"
        port = self.ports["mlflow"]
        specs = []
        needs: tuple[str, ...] = ()
        if not database.exists():
            # A step of its own: a server killed while it makes its tables would never start again.
            specs.append(
                ChildSpec(
                    name="mlflow-db",
                    command=(
                        *(sys.executable, "-m", "mlflow", "db", "upgrade"),
                        build_sqlite_url(build_unfinished_path(database)),
                    ),
                    folder=folder,
                    before=lambda: remove_unfinished_database(database),
                    after=lambda: finish_database(database),
                    one_off=True,
                )
            )
            needs = ("mlflow-db",)
        server = ChildSpec(
            name=facts.MLFLOW.name,
            command=(
                *(sys.executable, "-m", "mlflow"),
                *facts.build_mlflow_arguments(
                    *(LOOPBACK, port, str(folder / "artifacts")),
                    f"--backend-store-uri={build_sqlite_url(database)}",
                ),
            ),
            environment=facts.MLFLOW_ENVIRONMENT,
            folder=folder,
            probe=probes.build_http_probe(port, facts.MLFLOW.health_path),
            port=port,
            url=f"http://{LOOPBACK}:{port}",
            needs=needs,
        )
        return [*specs, server]

    def _airflow(self) -> list[ChildSpec]:
        assert self._settings is not None
        assert self._keys is not None
        environment = airflow.build_airflow_environment(
            self.home / "airflow", self.ports["airflow"], self._keys, airflow.find_dags_folder(self._settings)
        )
        return airflow.build_airflow_servers(
            self.home / "airflow",
            self.ports["airflow"],
            {**environment, **self._connections()},
        )

    def _service(self, name: str) -> ChildSpec:
        port = self.ports[SERVICE_PREFIX + name]
        # BentoML keeps the metrics of a service's workers in its home, and empties them at the start.
        folder = self.home / "bentoml" / name
        folder.mkdir(parents=True, exist_ok=True)
        return ChildSpec(
            name=SERVICE_PREFIX + name,
            command=(sys.executable, *facts.build_service_arguments(LOOPBACK, port)),
            environment={"EVERGREEN_USE_CASE": name, "BENTOML_HOME": str(folder)},
            folder=folder,
            probe=probes.build_service_probe(port, load_settings(self.home).api_key.get_secret_value()),
            port=port,
            url=f"http://{LOOPBACK}:{port}",
            stop_seconds=float(facts.SERVICE_STOP_SECONDS),
            optional=True,
        )


def build_child_environment(settings: Settings) -> dict[str, str]:
    """The environment of the supervisor and its servers: the caller's without settings of other stacks."""
    prefixes = ("EVERGREEN_", "AIRFLOW__", "AIRFLOW_HOME", "MLFLOW_", "BENTOML_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    # Compiled bytecode makes every later start several seconds shorter.
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    direct_hosts = ",".join(
        filter(None, [inherited.get("no_proxy") or inherited.get("NO_PROXY"), LOOPBACK, "localhost"])
    )
    return {
        **inherited,
        **collect_user_settings(settings),
        "EVERGREEN_HOME": str(settings.home.resolve()),
        **build_variables({"trusted_folders": settings.trust.absolute_exceptions}),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        # Logs and files of the servers are UTF-8 whatever the caller's locale.
        "PYTHONUTF8": "1",
        "MALLOC_ARENA_MAX": "2",
        # setproctitle would overwrite the environment block in which process_table.py looks for its marks.
        "SPT_NOENV": "1",
        **facts.NO_TELEMETRY,
        "no_proxy": direct_hosts,
        "NO_PROXY": direct_hosts,
    }
