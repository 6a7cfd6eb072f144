"""Airflow in the embedded stack: four servers on a SQLite database, configured by their environment."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

from evergreen.errors import StackError
from evergreen.loop import TRAINING_POOL
from evergreen.private import write_private_file
from evergreen.settings import Settings
from evergreen.stack.deploy import facts
from evergreen.stack.deploy.airflow_options import (
    COMMON_OPTIONS,
    EMBEDDED_OPTIONS,
    build_airflow_variables,
    merge_options,
)
from evergreen.stack.processes.child import ChildSpec
from evergreen.stack.processes.ports import LOOPBACK
from evergreen.stack.servers import probes
from evergreen.stack.servers.keys import Keys
from evergreen.stack.servers.sqlite_files import (
    build_sqlite_url,
    build_unfinished_path,
    finish_database,
    remove_unfinished_database,
)

DATABASE_FILE = "airflow.db"
_DATABASE_VARIABLE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


def find_dags_folder(settings: Settings) -> Path:
    """The DAG files: the setting's folder, else the checkout's `dags/`, else the installed package's."""
    package = Path(__file__).resolve().parents[2]
    candidates = [package.parents[1] / "dags", package / "_dags"]
    if settings.dags is not None:
        candidates = [settings.dags]
    for folder in candidates:
        if folder.is_dir():
            if settings.dags is not None:
                settings.trust.check_code(folder, "the folder of DAG files")
            return folder.resolve()
    raise StackError(
        f"there is no folder with DAG files: {' or '.join(map(str, candidates))}",
        hint="set EVERGREEN_DAGS to the folder that holds them",
    )


def build_airflow_environment(home: Path, port: int, keys: Keys, dags: Path) -> dict[str, str]:
    """Airflow's whole configuration as AIRFLOW__SECTION__OPTION variables.

    The options that the containers have too are COMMON_OPTIONS. Writes the passwords' file.
    """
    home.mkdir(parents=True, exist_ok=True)
    passwords = home / "passwords.json"
    write_private_file(passwords, json.dumps({facts.AIRFLOW_USER: keys.airflow_password}))
    base_url = f"http://{LOOPBACK}:{port}"
    options: dict[str, dict[str, facts.OptionValue]] = {
        "core": {
            "dags_folder": str(dags),
            "mp_start_method": "fork",
            "simple_auth_manager_passwords_file": str(passwords),
            "execution_api_server_url": f"{base_url}/execution/",
            "fernet_key": keys.airflow_fernet_key,
            # The full name of a machine may take a slow DNS look-up, and everything is on this machine.
            "hostname_callable": "socket.gethostname",
        },
        "database": {"sql_alchemy_conn": build_sqlite_url(home / DATABASE_FILE), "check_migrations": False},
        "api": {
            "base_url": base_url,
            "host": LOOPBACK,
            "port": port,
            "secret_key": keys.airflow_secret_key,
            "instance_name": "Evergreen",
        },
        "api_auth": {"jwt_secret": keys.airflow_jwt_secret},
        "logging": {"base_log_folder": str(home / "logs"), "colored_console_log": False},
        "scheduler": {
            # A task that died with a killed stack is found after this long, not after five minutes.
            "task_instance_heartbeat_timeout": 60,
        },
        "dag_processor": {
            "parsing_processes": 1,
            # A use case that was just written shows up within half a minute.
            "refresh_interval": 30,
            "min_file_process_interval": 30,
            "dag_processor_child_process_log_directory": str(home / "logs" / "dag_processor"),
        },
    }
    return {
        "AIRFLOW_HOME": str(home),
        **build_airflow_variables(merge_options(COMMON_OPTIONS, EMBEDDED_OPTIONS, options)),
    }


_MIGRATE_SCRIPT = """
"$0" -m airflow db migrate
"$0" -m airflow pools set "$1" "$2" "$3"
"""
# These would serve logs on every network interface; the API server reads the same files itself.
_MORE_ARGUMENTS = {"scheduler": ("--skip-serve-logs",), "triggerer": ("--skip-serve-logs",)}


def build_airflow_servers(home: Path, port: int, variables: dict[str, str]) -> list[ChildSpec]:
    """Airflow's servers, and before them the metadata database's migration when this version needs it."""
    command = (sys.executable, "-m", "airflow")
    database, stamp = home / DATABASE_FILE, home / "migrated"
    version = importlib.metadata.version("apache-airflow-core")
    migration: tuple[str, ...] = ()
    specs = []

    def finish_migration() -> None:
        """Give the database its name, and note the version that migrated it."""
        if is_new:
            finish_database(database)
        write_private_file(stamp, version)

    is_new = not database.exists()
    if is_new or not stamp.exists() or stamp.read_text("utf-8") != version:
        migration = ("airflow-db",)
        specs.append(
            ChildSpec(
                name="airflow-db",
                # Both in one step: a task of a pool that is not there would wait for ever.
                command=(
                    *("/bin/sh", "-ec", _MIGRATE_SCRIPT, sys.executable, TRAINING_POOL),
                    *(str(facts.TRAINING_POOL_SLOTS), facts.TRAINING_POOL_MEANING),
                ),
                environment={
                    **variables,
                    _DATABASE_VARIABLE: build_sqlite_url(build_unfinished_path(database)),
                }
                if is_new
                else variables,
                folder=home,
                before=lambda: remove_unfinished_database(database),
                after=finish_migration,
                one_off=True,
            )
        )
    for server in facts.AIRFLOW_SERVERS:
        component = facts.get_airflow_component(server)
        is_api = server is facts.AIRFLOW_API
        specs.append(
            ChildSpec(
                name=server.name,
                command=(*command, component, *_MORE_ARGUMENTS.get(component, ())),
                environment=variables,
                folder=home,
                probe=probes.build_airflow_probe(
                    port, "metadatabase" if is_api else component.replace("-", "_")
                ),
                port=port if is_api else None,
                url=f"http://{LOOPBACK}:{port}" if is_api else "",
                needs=(*migration, *server.needs),
            )
        )
    return specs
