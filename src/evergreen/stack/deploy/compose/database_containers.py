"""Containers of MariaDB, PostgreSQL, Redis and MLflow, and the one of the platform's tables."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.stack.deploy import facts
from evergreen.stack.deploy.compose import compose_parts as parts
from evergreen.stack.deploy.compose.compose_parts import (
    build_check,
    build_needs,
    default_variable,
    require_variable,
)
from evergreen.stack.deploy.compose.container_settings import mount_use_cases, name_use_case_folders
from evergreen.stack.deploy.compose.secret_files import build_secret_path
from evergreen.stack.deploy.yaml_text import Commented, Yaml, merge_anchors

METADATA_USER = "evergreen"
AIRFLOW_DATABASE = "airflow"
MLFLOW_DATABASE = "mlflow"
_ARTIFACTS = "/var/lib/mlflow"
# The entrypoints of these images begin as root: they give the volume to the server's user and become it.
_ENTRYPOINT_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]


def format_postgres_url(database: str) -> str:
    """The URL of one of PostgreSQL's databases, for SQLAlchemy."""
    return (
        f"postgresql+psycopg2://{METADATA_USER}:{require_variable('POSTGRES_PASSWORD')}"
        f"@{facts.POSTGRES.name}:{facts.POSTGRES.port}/{database}"
    )


def build_mariadb() -> dict[str, Yaml]:
    """MariaDB: the feature store, the prediction log, the ledger."""
    return {
        facts.MARIADB.name: {
            **merge_anchors(parts.FOREIGN),
            "image": parts.MARIADB_IMAGE,
            "cap_add": _ENTRYPOINT_CAPABILITIES,
            "stop_grace_period": f"{facts.MARIADB_STOP_SECONDS}s",
            "command": facts.build_mariadb_options(),
            "environment": {
                "MARIADB_DATABASE": facts.DATABASE,
                "MARIADB_USER": facts.DATABASE_USER,
                "MARIADB_PASSWORD_FILE": build_secret_path("mariadb_password"),
                "MARIADB_ROOT_PASSWORD_FILE": build_secret_path("mariadb_root_password"),
            },
            "secrets": ["mariadb_password", "mariadb_root_password"],
            "volumes": [
                "mariadb-data:/var/lib/mysql",
                "./docker/mariadb-init.sh:/docker-entrypoint-initdb.d/10-evergreen.sh:ro",
                "./sql/admin/ledger.sql:/opt/evergreen/ledger.sql:ro",
            ],
            "networks": [parts.STORE_NETWORK],
            "mem_limit": default_variable("MARIADB_MEMORY", "3g"),
            "depends_on": build_needs(facts.MARIADB.container_needs),
            "healthcheck": build_check(
                ["CMD", "healthcheck.sh", "--connect", "--innodb_initialized"], retries=40, interval=3
            ),
        }
    }


def build_store_tables() -> dict[str, Yaml]:
    """Applies the migrations of the platform's tables, then ends."""
    return {
        facts.STORE_TABLES.name: {
            **merge_anchors(parts.OWN),
            "image": parts.SERVING_IMAGE,
            "restart": "no",
            "command": ["python", "-m", facts.STORE_TABLES_MODULE],
            "environment": merge_anchors("store-settings"),
            "networks": [parts.STORE_NETWORK],
            "mem_limit": "512m",
            "depends_on": build_needs(facts.STORE_TABLES.container_needs),
        }
    }


def build_database_accounts(folders: Sequence[str]) -> dict[str, Yaml]:
    """Makes MariaDB's accounts of services and dashboards, as its administrator, then ends.

    `folders` are those with declarations of one's own.
    """
    server = facts.DATABASE_ACCOUNTS_SERVER
    passwords = [account.password_variable for account in facts.DATABASE_ACCOUNTS]
    return {
        server.name: {
            **merge_anchors(parts.OWN),
            "image": parts.SERVING_IMAGE,
            "restart": "no",
            "command": ["python", "-m", facts.DATABASE_ACCOUNTS_MODULE],
            "environment": {
                **merge_anchors("store-settings"),
                "EVERGREEN_MARIADB_USER": "root",
                "EVERGREEN_MARIADB_PASSWORD": require_variable("MARIADB_ROOT_PASSWORD"),
                **{variable: require_variable(variable) for variable in passwords},
                **name_use_case_folders(folders),
            },
            **({"volumes": mount_use_cases(folders)} if folders else {}),
            "tmpfs": [parts.build_tmpfs("/tmp", 64)],
            "networks": [parts.STORE_NETWORK],
            "mem_limit": "512m",
            "depends_on": build_needs(server.container_needs),
        }
    }


def build_postgres() -> dict[str, Yaml]:
    """PostgreSQL: Airflow's and MLflow's metadata."""
    check = ["CMD", "pg_isready", "--username", METADATA_USER, "--dbname", MLFLOW_DATABASE]
    return {
        facts.POSTGRES.name: {
            **merge_anchors(parts.FOREIGN),
            "image": parts.POSTGRES_IMAGE,
            "cap_add": _ENTRYPOINT_CAPABILITIES,
            "stop_grace_period": f"{facts.MARIADB_STOP_SECONDS}s",
            "environment": {
                "POSTGRES_USER": METADATA_USER,
                "POSTGRES_PASSWORD_FILE": build_secret_path("postgres_password"),
                "POSTGRES_DB": AIRFLOW_DATABASE,
            },
            "secrets": ["postgres_password"],
            "volumes": [
                "postgres-data:/var/lib/postgresql/data",
                "./docker/postgres-init.sh:/docker-entrypoint-initdb.d/10-mlflow.sh:ro",
            ],
            "networks": [parts.METADATA_NETWORK],
            "mem_limit": "1g",
            "depends_on": build_needs(facts.POSTGRES.container_needs),
            "healthcheck": build_check(check, retries=40, interval=3),
        }
    }


def build_redis() -> dict[str, Yaml]:
    """Redis: the queue from Airflow's scheduler to its workers. Its file survives a restart."""
    secret = build_secret_path("redis_password")
    configuration = r"appendonly yes\nrequirepass %s\n"
    return {
        facts.REDIS.name: {
            **merge_anchors(parts.FOREIGN),
            "image": parts.REDIS_IMAGE,
            "user": "redis",
            "command": [
                "sh",
                "-c",
                # On standard input, because every process of the machine can read a command line.
                f"printf '{configuration}' \"$$(cat {secret})\" | exec redis-server -",
            ],
            "secrets": ["redis_password"],
            "volumes": ["redis-data:/data"],
            "networks": [parts.METADATA_NETWORK],
            "mem_limit": "256m",
            "depends_on": build_needs(facts.REDIS.container_needs),
            "healthcheck": build_check(
                [
                    "CMD-SHELL",
                    f'REDISCLI_AUTH="$$(cat {secret})" redis-cli ping | grep --quiet PONG',
                ],
                retries=20,
            ),
        }
    }


def build_mlflow() -> dict[str, Yaml]:
    """MLflow, which keeps the files of runs in a volume and hands them out itself."""
    port = facts.MLFLOW.port
    more = ("--serve-artifacts", f"--allowed-hosts={facts.MLFLOW.name}:{port},localhost:*,127.0.0.1:*")
    return {
        facts.MLFLOW.name: {
            **merge_anchors(parts.OWN),
            "image": parts.MLFLOW_IMAGE,
            "build": {"context": ".", "target": "mlflow"},
            "command": ["mlflow", *facts.build_mlflow_arguments("0.0.0.0", port, _ARTIFACTS, *more)],
            "environment": {
                "MLFLOW_BACKEND_STORE_URI": format_postgres_url(MLFLOW_DATABASE),
                **facts.MLFLOW_ENVIRONMENT,
                **facts.NO_TELEMETRY,
            },
            "volumes": [f"mlflow-artifacts:{_ARTIFACTS}"],
            "tmpfs": [parts.build_tmpfs("/tmp", 512)],
            "ports": [parts.publish_port("MLFLOW_PORT", facts.MLFLOW.usual_port, port)],
            "networks": [parts.DEFAULT_NETWORK, parts.METADATA_NETWORK],
            "mem_limit": "1500m",
            "depends_on": build_needs(facts.MLFLOW.container_needs),
            "healthcheck": parts.build_http_check(facts.MLFLOW, retries=36),
        }
    }


def build_store_settings() -> Yaml:
    """Where MariaDB is, and how to sign in."""
    return {
        "EVERGREEN_MARIADB_HOST": facts.MARIADB.name,
        "EVERGREEN_MARIADB_PORT": str(facts.MARIADB.port),
        "EVERGREEN_MARIADB_USER": facts.DATABASE_USER,
        "EVERGREEN_MARIADB_PASSWORD": require_variable("EVERGREEN_MARIADB_PASSWORD"),
        "EVERGREEN_MARIADB_DATABASE": facts.DATABASE,
        "EVERGREEN_MARIADB_LOCAL_INFILE": Commented(
            "Only containers of this file are on its network: what answers as `mariadb` is the one below.",
            "on",
        ),
    }
