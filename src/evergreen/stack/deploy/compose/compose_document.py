"""The whole of docker-compose.yml, for a list of use cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evergreen.stack.deploy import facts
from evergreen.stack.deploy.compose import (
    airflow_containers,
    container_settings,
    database_containers,
    monitoring_containers,
    secret_files,
    service_containers,
    tool_containers,
)
from evergreen.stack.deploy.compose import compose_parts as parts
from evergreen.stack.deploy.yaml_text import Anchored, Yaml, render_yaml
from evergreen.usecase import UseCase

_HEAD = """\
# The same loop in containers. Nothing but the settings differs from `evergreen up`.
# Refuses to start without .env: run `make env` once, then `docker compose up -d --build --wait`.
# Written by `evergreen deploy compose` from the declarations of the use cases: change it there.

"""


def render_compose(use_cases: Sequence[UseCase], folders: Sequence[str] = ()) -> str:
    """docker-compose.yml as text. `folders` hold declarations of one's own: paths from the file's folder."""
    return _HEAD + render_yaml(build_compose(use_cases, folders))


def build_compose(use_cases: Sequence[UseCase], folders: Sequence[str] = ()) -> Mapping[str, Yaml]:
    """The document: common mappings, containers, networks, volumes, secrets."""
    common: dict[str, Yaml] = {
        "logging": parts.build_logging(),
        parts.OWN: parts.build_own_container(),
        parts.FOREIGN: parts.build_foreign_container(),
        "store-settings": database_containers.build_store_settings(),
        "settings": container_settings.build_settings(use_cases, folders),
        "service-settings": container_settings.build_service_settings(use_cases),
        "airflow-client-settings": container_settings.build_airflow_client_settings(),
        "airflow-settings": airflow_containers.build_airflow_settings(),
        "airflow": airflow_containers.build_airflow_common(folders),
        "service": service_containers.build_service_common(),
        "proxy": service_containers.build_proxy_common(),
    }
    containers: dict[str, Yaml] = {
        **secret_files.build_secret_check(),
        **database_containers.build_mariadb(),
        **database_containers.build_store_tables(),
        **database_containers.build_database_accounts(folders),
        **database_containers.build_postgres(),
        **database_containers.build_redis(),
        **database_containers.build_mlflow(),
        **airflow_containers.build_airflow_init(),
    }
    for server in facts.AIRFLOW_SERVERS:
        containers |= airflow_containers.build_airflow_server(server)
    containers |= airflow_containers.build_airflow_worker(folders)
    ports = service_containers.assign_published_ports(use_cases)
    for use_case in use_cases:
        containers |= service_containers.build_service(use_case, ports[use_case.name], folders)
    containers |= {
        **monitoring_containers.build_exporter(folders),
        **monitoring_containers.build_prometheus(),
        **monitoring_containers.build_grafana(),
        **tool_containers.build_command_line(folders),
        **tool_containers.build_demo(use_cases, folders),
    }
    return {
        "name": "evergreen",
        **{f"x-{name}": Anchored(name, _as_mapping(value)) for name, value in common.items()},
        "services": containers,
        "networks": {
            parts.DEFAULT_NETWORK: None,
            parts.STORE_NETWORK: {"internal": True},
            parts.METADATA_NETWORK: {"internal": True},
        },
        "volumes": dict.fromkeys(_list_volumes(use_cases)),
        "secrets": secret_files.build_secrets(),
    }


def _list_volumes(use_cases: Sequence[UseCase]) -> list[str]:
    homes = [service_containers.name_home_volume(each) for each in use_cases]
    servers = ["mariadb-data", "postgres-data", "redis-data", "mlflow-artifacts", "airflow-logs"]
    return [*homes, "worker-home", "cli-home", "api-keys", *servers, "prometheus-data", "grafana-data"]


def _as_mapping(value: Yaml) -> Mapping[str, Yaml]:
    assert isinstance(value, Mapping)
    return value
