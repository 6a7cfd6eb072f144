"""Airflow as a part of the stack: four components, configured by their environment alone, on SQLite."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

from evergreen.errors import StackError
from evergreen.loop import TRAINING_POOL
from evergreen.private import write_private_file
from evergreen.settings import Settings
from evergreen.stack.processes.child import ChildSpec
from evergreen.stack.processes.ports import LOOPBACK
from evergreen.stack.processes.stack_state import (
    build_sqlite_url,
    build_unfinished_path,
    finish_database,
    remove_unfinished_database,
)
from evergreen.stack.servers import probes
from evergreen.stack.servers.keys import Keys

USER = "admin"
DATABASE = "airflow.db"
_DATABASE_VARIABLE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
PARALLELISM = 4


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

    Options and defaults: airflow/config_templates/config.yml of the installed version.
    """
    home.mkdir(parents=True, exist_ok=True)
    passwords = home / "passwords.json"
    write_private_file(passwords, json.dumps({USER: keys.airflow_password}))
    base = f"http://{LOOPBACK}:{port}"
    options: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": dags,
            "executor": "LocalExecutor",
            # LocalExecutor forks all its workers at the start: 32, the default, would take gigabytes.
            "parallelism": PARALLELISM,
            "mp_start_method": "fork",
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": passwords,
            "execution_api_server_url": f"{base}/execution/",
            "fernet_key": keys.airflow_fernet_key,
            # A machine's full name may take a slow DNS look-up; everything here is on one machine.
            "hostname_callable": "socket.gethostname",
        },
        "database": {"sql_alchemy_conn": build_sqlite_url(home / DATABASE), "check_migrations": False},
        "api": {
            "base_url": base,
            "host": LOOPBACK,
            "port": port,
            "workers": 1,
            "secret_key": keys.airflow_secret_key,
            "instance_name": "Evergreen",
        },
        "api_auth": {"jwt_secret": keys.airflow_jwt_secret},
        "logging": {"base_log_folder": home / "logs", "colored_console_log": False},
        "scheduler": {
            # A task that died with a killed stack is found after this long, not after five minutes.
            "task_instance_heartbeat_timeout": 60,
        },
        "dag_processor": {
            "parsing_processes": 1,
            # A use case that was just written shows up within half a minute.
            "refresh_interval": 30,
            "min_file_process_interval": 30,
            "dag_processor_child_process_log_directory": home / "logs" / "dag_processor",
        },
    }
    return {
        "AIRFLOW_HOME": str(home),
        **{
            f"AIRFLOW__{section.upper()}__{name.upper()}": str(value)
            for section, values in options.items()
            for name, value in values.items()
        },
    }


_MIGRATE_SCRIPT = """
"$0" -m airflow db migrate
"$0" -m airflow pools set "$1" 1 "Trainings, one at a time"
"""


def build_airflow_servers(
    home: Path, port: int, variables: dict[str, str], needs: tuple[str, ...]
) -> list[ChildSpec]:
    """The four components, and before them the metadata database's migration when this version needs it.

    `needs` are the servers that tasks rest on: the scheduler starts none before those are up.
    """
    command = (sys.executable, "-m", "airflow")
    database, stamp = home / DATABASE, home / "migrated"
    version = importlib.metadata.version("apache-airflow-core")
    migrated: tuple[str, ...] = ()
    specs = []

    def migrated_well() -> None:
        if new:
            finish_database(database)
        write_private_file(stamp, version)

    new = not database.exists()
    if new or not stamp.exists() or stamp.read_text("utf-8") != version:
        migrated = ("airflow-db",)
        specs.append(
            ChildSpec(
                name="airflow-db",
                # Both in one step: a task of a pool that is not there would wait for ever.
                command=("/bin/sh", "-ec", _MIGRATE_SCRIPT, sys.executable, TRAINING_POOL),
                environment={
                    **variables,
                    _DATABASE_VARIABLE: build_sqlite_url(build_unfinished_path(database)),
                }
                if new
                else variables,
                folder=home,
                before=lambda: remove_unfinished_database(database),
                after=migrated_well,
                one_off=True,
            )
        )
    specs.append(
        ChildSpec(
            name="airflow-api-server",
            command=(*command, "api-server"),
            environment=variables,
            folder=home,
            probe=probes.build_airflow_probe(port, "metadatabase"),
            port=port,
            url=f"http://{LOOPBACK}:{port}",
            needs=migrated,
        )
    )
    # The log servers would listen on every interface; the API server reads the same files itself.
    components = {
        "scheduler": ("--skip-serve-logs",),
        "dag-processor": (),
        "triggerer": ("--skip-serve-logs",),
    }
    for component, options in components.items():
        specs.append(
            ChildSpec(
                name=f"airflow-{component}",
                command=(*command, component, *options),
                environment=variables,
                folder=home,
                probe=probes.build_airflow_probe(port, component.replace("-", "_")),
                needs=(*migrated, *(needs if component == "scheduler" else ())),
            )
        )
    return specs
