"""The deployment's facts: servers, programs, ports, health checks, options of MariaDB.

Each fact stands here once (Airflow's options in `airflow_options.py`). The embedded stack (`stack/servers/`)
starts its processes with these facts, and `compose/` writes docker-compose.yml from them. Standard library
only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]
"""What docker compose waits for in a container that another one needs."""

OptionValue = str | int | bool

# The platform's database and its user, the schema that plays a foreign operational database, Airflow's user.
DATABASE = "evergreen"
DATABASE_USER = "evergreen"
BANK_DATABASE = "credit_bank"
BANK_CONNECTION = "AIRFLOW_CONN_CREDIT_BANK"
AIRFLOW_USER = "admin"

SERVICE_MODULE = "evergreen.serving.launch"
# `service-NAME` is the process that serves the use case NAME.
SERVICE_PREFIX = "service-"

# Every process gets all of them: a task in Airflow uses MLflow too. MLflow and BentoML compare with "true".
NO_TELEMETRY = {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "true"}
# The job consumers of MLflow's generative-AI jobs would cost a gigabyte of memory.
MLFLOW_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

# The interpreter's module that asks secrets of .env for what nobody should use.
SECRET_CHECK_MODULE = "evergreen.stack.deploy.secret_check"

TRAINING_POOL_SLOTS = 1
TRAINING_POOL_MEANING = "One training at a time"

MIB = 1024 * 1024
# InnoDB keeps pages of tables in memory: at least and at most so many bytes. Containers get the most.
BUFFER_POOL_MIN = 256 * MIB
BUFFER_POOL_MAX = 1024 * MIB

MARIADB_OPTIONS: Mapping[str, OptionValue] = {
    "local-infile": 1,
    "default-time-zone": "+00:00",
    "character-set-server": "utf8mb4",
    "collation-server": "utf8mb4_bin",
    "sql-mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO",
    "innodb-buffer-pool-size": "1G",
    # A load of a million rows writes some hundred MB of redo log: with a small one the server stops for
    # checkpoints in between. Every commit is flushed to disk all the same.
    "innodb-log-file-size": "512M",
    # A sixth off the look-ups of a hundred keys, and loads are no slower.
    "innodb-adaptive-hash-index": "ON",
    "max-allowed-packet": "64M",
}


@dataclass(frozen=True)
class Server:
    """A server of the embedded stack, of the containers, or of both.

    `name` is the process in `evergreen status` and the container in docker-compose.yml. `port` is the one in
    the container, 0 for none; the embedded stack uses `usual_port` when it is free. `health_path` answers 200
    when the server is up. `needs` are the embedded stack's processes that must be ready before the start,
    `container_needs` the containers, each with what compose waits for.
    """

    name: str
    port: int = 0
    usual_port: int = 0
    health_path: str = ""
    needs: tuple[str, ...] = ()
    container_needs: Mapping[str, Condition] = field(default_factory=dict)


# Ends with an error where a secret is one that others may know. Containers only.
SECRET_CHECK = Server("secret-check")
_SECRETS_CHECKED: Mapping[str, Condition] = {SECRET_CHECK.name: "service_completed_successfully"}
# 3306 stays the machine's own MariaDB's.
MARIADB = Server("mariadb", port=3306, usual_port=3307, container_needs=_SECRETS_CHECKED)
# Containers only: the embedded stack has SQLite instead, and LocalExecutor, which needs no queue.
POSTGRES = Server("postgres", port=5432, container_needs=_SECRETS_CHECKED)
REDIS = Server("redis", port=6379, container_needs=_SECRETS_CHECKED)
MLFLOW = Server(
    "mlflow",
    port=5000,
    usual_port=5000,
    health_path="/health",
    container_needs={POSTGRES.name: "service_healthy"},
)
# Applies the migrations of the platform's tables, then ends.
STORE_TABLES = Server("store-tables", container_needs={MARIADB.name: "service_healthy"})
STORE_TABLES_MODULE = "evergreen.stack.store_tables"
# Containers only: makes the accounts below, then ends.
DATABASE_ACCOUNTS_SERVER = Server(
    "database-accounts", container_needs={STORE_TABLES.name: "service_completed_successfully"}
)
DATABASE_ACCOUNTS_MODULE = "evergreen.stack.deploy.database_accounts"


@dataclass(frozen=True)
class DatabaseAccount:
    """An account of MariaDB with fewer rights than the platform's own, and the variable with its password."""

    user: str
    role: Literal["service", "reader"]
    password_variable: str


SERVICE_ACCOUNT = DatabaseAccount("evergreen_service", "service", "EVERGREEN_SERVICE_MARIADB_PASSWORD")
# Named in deploy/grafana/provisioning/ as well.
GRAFANA_ACCOUNT = DatabaseAccount("grafana", "reader", "EVERGREEN_GRAFANA_MARIADB_PASSWORD")
EXPORTER_ACCOUNT = DatabaseAccount("evergreen_exporter", "reader", "EVERGREEN_EXPORTER_MARIADB_PASSWORD")
DATABASE_ACCOUNTS = (SERVICE_ACCOUNT, GRAFANA_ACCOUNT, EXPORTER_ACCOUNT)
AIRFLOW_INIT = Server(
    "airflow-init",
    container_needs={POSTGRES.name: "service_healthy"},
)
_AIRFLOW_NEEDS: Mapping[str, Condition] = {
    AIRFLOW_INIT.name: "service_completed_successfully",
    STORE_TABLES.name: "service_completed_successfully",
    MARIADB.name: "service_healthy",
    MLFLOW.name: "service_healthy",
    REDIS.name: "service_healthy",
}
AIRFLOW_API = Server(
    "airflow-api-server",
    port=8080,
    usual_port=8080,
    health_path="/api/v2/version",
    container_needs=_AIRFLOW_NEEDS,
)
AIRFLOW_SCHEDULER = Server(
    "airflow-scheduler",
    # Tasks work on the platform's tables: no task may start before they are up to date.
    needs=(STORE_TABLES.name,),
    container_needs={**_AIRFLOW_NEEDS, AIRFLOW_API.name: "service_healthy"},
)
AIRFLOW_DAG_PROCESSOR = Server("airflow-dag-processor", container_needs=_AIRFLOW_NEEDS)
AIRFLOW_TRIGGERER = Server("airflow-triggerer", container_needs=_AIRFLOW_NEEDS)
AIRFLOW_SERVERS = (AIRFLOW_API, AIRFLOW_SCHEDULER, AIRFLOW_DAG_PROCESSOR, AIRFLOW_TRIGGERER)
# Runs tasks in containers, as many as there are replicas. The embedded scheduler forks its own.
AIRFLOW_WORKER = Server(
    "airflow-worker", container_needs={**_AIRFLOW_NEEDS, AIRFLOW_API.name: "service_healthy"}
)
# What a service gets to end: it answers what it has read, and its shipper delivers for 15 seconds.
SERVICE_STOP_SECONDS = 30
# MariaDB writes its changed pages when it is asked to end.
MARIADB_STOP_SECONDS = 30
# Any use case's service. It is alive with or without a champion: /readyz says whether there is one.
SERVICE = Server(
    "service",
    port=3000,
    health_path="/livez",
    container_needs={
        MARIADB.name: "service_healthy",
        # A container starts before there is a champion, and may log refused values at once.
        DATABASE_ACCOUNTS_SERVER.name: "service_completed_successfully",
        MLFLOW.name: "service_healthy",
    },
)
# Containers only. Balances over the replicas of a use case's service.
PROXY = Server("proxy", port=3000, health_path="/healthz")
PROXY_HEALTH_PORT = 8404
EXPORTER = Server(
    "exporter",
    port=9105,
    health_path="/healthz",
    container_needs={
        DATABASE_ACCOUNTS_SERVER.name: "service_completed_successfully",
    },
)
PROMETHEUS = Server(
    "prometheus",
    port=9090,
    usual_port=9090,
    health_path="/-/ready",
    container_needs=_SECRETS_CHECKED,
)
GRAFANA = Server(
    "grafana",
    port=3000,
    usual_port=3030,  # 3000 is a service's
    health_path="/api/health",
    container_needs={
        PROMETHEUS.name: "service_healthy",
        DATABASE_ACCOUNTS_SERVER.name: "service_completed_successfully",
    },
)


def build_mariadb_options(**replacements: OptionValue) -> list[str]:
    """MARIADB_OPTIONS as arguments of `mariadbd`; a keyword, with _ for -, replaces an option's value."""
    changes = {name.replace("_", "-"): value for name, value in replacements.items()}
    return [f"--{name}={value}" for name, value in {**MARIADB_OPTIONS, **changes}.items()]


def build_mlflow_arguments(host: str, port: int, artifacts: str, *more: str) -> list[str]:
    """The arguments of the program `mlflow` that start its server.

    `artifacts` is the folder that it keeps files of runs in; `more` are further options.
    """
    return [
        "server",
        f"--host={host}",
        f"--port={port}",
        "--workers=1",
        f"--artifacts-destination={artifacts}",
        *more,
    ]


def build_service_arguments(host: str, port: int) -> list[str]:
    """The arguments of Python that start a use case's service, which EVERGREEN_USE_CASE names."""
    return ["-m", SERVICE_MODULE, "--host", host, "--port", str(port)]


def get_airflow_component(server: Server) -> str:
    """The word of the program `airflow` that starts this server: `airflow-scheduler` is `scheduler`."""
    return server.name.removeprefix("airflow-")
