"""Airflow's containers: CeleryExecutor with any number of workers, and FAB's users and roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evergreen.stack.deploy import facts
from evergreen.stack.deploy.airflow_options import (
    COMMON_OPTIONS,
    CONTAINER_OPTIONS,
    build_airflow_variables,
    merge_options,
)
from evergreen.stack.deploy.compose import compose_parts as parts
from evergreen.stack.deploy.compose.compose_parts import (
    build_needs,
    default_variable,
    format_url,
    require_variable,
)
from evergreen.stack.deploy.compose.container_settings import mount_data, mount_use_cases
from evergreen.stack.deploy.compose.database_containers import AIRFLOW_DATABASE, format_postgres_url
from evergreen.stack.deploy.facts import Server
from evergreen.stack.deploy.yaml_text import Commented, Yaml, merge_anchors

DAGS_FOLDER = "/opt/evergreen-code/evergreen/_dags"
INIT_MODULE = "evergreen.stack.deploy.airflow_init"
_AIRFLOW_HOME = "/run/airflow"
_LOGS = "/var/log/airflow"
# Temporary files of tasks, such as the sorted runs of an ingest, are too large for memory.
_TEMPORARY_FOLDER = f"{parts.HOME}/tmp"
# A worker that is asked to end takes no more tasks, and ends with those that it has.
_WORKER_STOP_SECONDS = 120
# What Airflow's API server calls its components; each sends a heartbeat every few seconds.
_HEARTBEATS = {
    facts.AIRFLOW_SCHEDULER.name: "scheduler",
    facts.AIRFLOW_DAG_PROCESSOR.name: "dag_processor",
    facts.AIRFLOW_TRIGGERER.name: "triggerer",
}
# The API server reads the logs in their volume, so nobody serves them.
_MORE_ARGUMENTS = {facts.AIRFLOW_TRIGGERER.name: ["--skip-serve-logs"]}
_MEMORY = {
    facts.AIRFLOW_API.name: "1500m",
    facts.AIRFLOW_SCHEDULER.name: "1g",
    facts.AIRFLOW_DAG_PROCESSOR.name: "1g",
    facts.AIRFLOW_TRIGGERER.name: "1g",
}


def build_airflow_settings() -> Mapping[str, Yaml]:
    """Airflow's whole configuration."""
    port = default_variable("AIRFLOW_PORT", facts.AIRFLOW_API.usual_port)
    redis = f"redis://:{require_variable('REDIS_PASSWORD')}@{facts.REDIS.name}:{facts.REDIS.port}/0"
    options = merge_options(
        COMMON_OPTIONS,
        CONTAINER_OPTIONS,
        {
            "core": {
                "dags_folder": DAGS_FOLDER,
                "execution_api_server_url": f"{format_url(facts.AIRFLOW_API)}/execution/",
                "fernet_key": require_variable("AIRFLOW_FERNET_KEY"),
            },
            "database": {"sql_alchemy_conn": format_postgres_url(AIRFLOW_DATABASE)},
            "celery": {
                "broker_url": redis,
                "result_backend": f"db+{format_postgres_url(AIRFLOW_DATABASE)}",
                "worker_concurrency": default_variable("AIRFLOW_WORKER_CONCURRENCY", 2),
            },
            "api": {
                "base_url": f"http://127.0.0.1:{port}",
                "secret_key": require_variable("AIRFLOW_SECRET_KEY"),
            },
            "api_auth": {"jwt_secret": require_variable("AIRFLOW_JWT_SECRET")},
            "logging": {"base_log_folder": _LOGS},
            "dag_processor": {"dag_processor_child_process_log_directory": f"{_LOGS}/dag_processor"},
        },
    )
    return {
        **merge_anchors("airflow-client-settings"),
        "AIRFLOW_HOME": _AIRFLOW_HOME,
        **build_airflow_variables(options),
    }


def build_airflow_common(folders: Sequence[str]) -> Mapping[str, Yaml]:
    """What every Airflow container has; `folders` are those with declarations of one's own."""
    return {
        **merge_anchors(parts.OWN),
        "image": parts.AIRFLOW_IMAGE,
        "environment": merge_anchors("airflow-settings"),
        "volumes": [f"airflow-logs:{_LOGS}", mount_data(), *mount_use_cases(folders)],
        "tmpfs": [parts.build_tmpfs("/tmp", 512), parts.build_tmpfs(_AIRFLOW_HOME, 64, is_private=True)],
        "networks": [parts.DEFAULT_NETWORK, parts.STORE_NETWORK, parts.METADATA_NETWORK],
    }


def build_airflow_init() -> dict[str, Yaml]:
    """Brings Airflow's database up to date, with its pool, its roles and the first user; then ends."""
    return {
        facts.AIRFLOW_INIT.name: {
            **merge_anchors("airflow"),
            "build": {"context": ".", "target": "airflow"},
            "restart": "no",
            "command": ["python", "-m", INIT_MODULE],
            "networks": [parts.METADATA_NETWORK],
            "mem_limit": "1g",
            "depends_on": build_needs(facts.AIRFLOW_INIT.container_needs),
        }
    }


def build_airflow_server(server: Server) -> dict[str, Yaml]:
    """The container of one of Airflow's servers."""
    container: dict[str, Yaml] = {
        **merge_anchors("airflow"),
        "command": [
            "airflow",
            facts.get_airflow_component(server),
            *_MORE_ARGUMENTS.get(server.name, []),
        ],
    }
    if server.port:
        container["ports"] = [parts.publish_port("AIRFLOW_PORT", server.usual_port, server.port)]
        check = parts.build_http_check(server, retries=36)
    else:
        check = _build_heartbeat_check(_HEARTBEATS[server.name])
    return {
        server.name: {
            **container,
            "mem_limit": _MEMORY[server.name],
            "depends_on": build_needs(server.container_needs),
            "healthcheck": check,
        }
    }


def build_airflow_worker(folders: Sequence[str]) -> dict[str, Yaml]:
    """The container that runs tasks; it scales."""
    worker = facts.AIRFLOW_WORKER
    check = 'celery --broker "$$AIRFLOW__CELERY__BROKER_URL" inspect ping --destination "celery@$$HOSTNAME"'
    return {
        worker.name: Commented(
            f"Runs the tasks: docker compose up -d --scale {worker.name}=4",
            {
                **merge_anchors("airflow"),
                "command": ["airflow", "celery", "worker", "--skip-serve-logs", "--without-mingle"],
                "environment": {**merge_anchors("airflow-settings"), "TMPDIR": _TEMPORARY_FOLDER},
                "volumes": [
                    f"airflow-logs:{_LOGS}",
                    Commented(
                        "The cache of what was read of the store, for all workers.",
                        f"worker-home:{parts.HOME}",
                    ),
                    mount_data(),
                    *mount_use_cases(folders),
                ],
                "stop_grace_period": f"{_WORKER_STOP_SECONDS}s",
                "mem_limit": default_variable("AIRFLOW_WORKER_MEMORY", "6g"),
                "depends_on": build_needs(worker.container_needs),
                "healthcheck": Commented(
                    "Celery alone answers within a second; Airflow's command loads all of Airflow first.",
                    parts.build_check(["CMD-SHELL", check], retries=10, interval=30, timeout=15),
                ),
            },
        )
    }


def _build_heartbeat_check(component: str) -> Yaml:
    """A component is healthy when Airflow's API server has had a heartbeat of it within 30 seconds.

    `airflow jobs check` tells the same of its own container, and loads all of Airflow each time: seven
    seconds of a CPU.
    """
    url = f"{format_url(facts.AIRFLOW_API)}/api/v2/monitor/health"
    pattern = f'"{component}":{{"status":"healthy"'
    command = f"curl --fail --silent {url} | grep --quiet --fixed-strings '{pattern}'"
    return parts.build_check(["CMD-SHELL", command], retries=20, interval=10)
