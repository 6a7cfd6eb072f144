"""Evergreen's settings in containers: where the servers are, and what .env may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evergreen.serving.standing import format_container_name
from evergreen.stack.deploy import facts
from evergreen.stack.deploy.compose.compose_parts import (
    DATA_FOLDER,
    HOME,
    KEYS_FOLDER,
    USE_CASES_FOLDER,
    default_variable,
    format_json,
    format_url,
    offer_setting,
    require_variable,
)
from evergreen.stack.deploy.yaml_text import Yaml, merge_anchors
from evergreen.usecase import UseCase

# Settings that .env may change; everything else belongs to the file.
_OPEN_SETTINGS = (
    "log_format",
    "cache_mb",
    "history_days",
    "check_days",
    "threads",
    "task_type",
    "champion_poll_seconds",
    "follow_declaration",
)
_OPEN_SERVICE_SETTINGS = ("metrics_access", "cors_origins", "service_workers", "request_seconds")
_OPEN_AIRFLOW_SETTINGS = ("alert_urls", "alert_repeat_hours")


def build_settings(use_cases: Sequence[UseCase], folders: Sequence[str]) -> Mapping[str, Yaml]:
    """What every container has that knows use cases; `folders` are those with declarations of one's own."""
    mlflow_port = default_variable("MLFLOW_PORT", facts.MLFLOW.usual_port)
    return {
        **merge_anchors("store-settings"),
        "EVERGREEN_MLFLOW_TRACKING_URI": format_url(facts.MLFLOW),
        "EVERGREEN_MLFLOW_URL": f"http://127.0.0.1:{mlflow_port}",
        "EVERGREEN_SERVICE_URLS": format_json(
            {
                each.name: f"http://{format_container_name(each.name)}:{facts.SERVICE.port}"
                for each in use_cases
            }
        ),
        # A service listens on its container's address, so every caller needs a key.
        "EVERGREEN_API_KEY": require_variable("EVERGREEN_API_KEY"),
        "EVERGREEN_API_KEYS_FILE": f"{KEYS_FOLDER}/api-keys",
        **name_use_case_folders(folders),
        **_offer(_OPEN_SETTINGS),
        **facts.NO_TELEMETRY,
    }


def build_service_settings(use_cases: Sequence[UseCase]) -> Mapping[str, Yaml]:
    """What every service's container has beside: who may call it, and its own account of MariaDB.

    It knows nothing of Airflow.
    """
    hosts = [
        name
        for each in use_cases
        for name in (format_container_name(each.name), format_proxy_name(each.name))
    ]
    return {
        **merge_anchors("settings"),
        "EVERGREEN_MARIADB_USER": facts.SERVICE_ACCOUNT.user,
        "EVERGREEN_MARIADB_PASSWORD": require_variable(facts.SERVICE_ACCOUNT.password_variable),
        "EVERGREEN_API_KEYS": format_api_keys(),
        "EVERGREEN_ALLOWED_HOSTS": ",".join([default_variable("EVERGREEN_ALLOWED_HOSTS", ""), *hosts]),
        **_offer(_OPEN_SERVICE_SETTINGS),
    }


def build_airflow_client_settings() -> Mapping[str, Yaml]:
    """What containers have beside that run the loop's verbs: Airflow's user, the simulated bank, alerts."""
    database = f"{facts.DATABASE_USER}:{require_variable('EVERGREEN_MARIADB_PASSWORD')}@{facts.MARIADB.name}"
    return {
        **merge_anchors("settings"),
        **name_airflow_user(),
        **_offer(_OPEN_AIRFLOW_SETTINGS),
        facts.BANK_CONNECTION: f"mysql://{database}:{facts.MARIADB.port}/{facts.BANK_DATABASE}?local_infile=1",
    }


def name_airflow_user() -> Mapping[str, Yaml]:
    """Where Airflow is, and who signs in there."""
    return {
        "EVERGREEN_AIRFLOW_URL": format_url(facts.AIRFLOW_API),
        "EVERGREEN_AIRFLOW_USER": facts.AIRFLOW_USER,
        "EVERGREEN_AIRFLOW_PASSWORD": require_variable("EVERGREEN_AIRFLOW_PASSWORD"),
    }


def format_api_keys() -> str:
    """The keys that services and exporter accept beside the file's: Prometheus' is one of them."""
    key = require_variable("EVERGREEN_SCRAPE_KEY")
    return f"prometheus:{key},{default_variable('EVERGREEN_API_KEYS', '')}"


def format_proxy_name(use_case_name: str) -> str:
    """The name of the container that balances over a use case's services."""
    return f"{facts.PROXY.name}-{use_case_name.replace('_', '-')}"


def mount_data() -> str:
    """The volume with the files that declarations name by relative paths."""
    return f"./data:{DATA_FOLDER}:ro"


def mount_use_cases(folders: Sequence[str]) -> list[str]:
    """The volumes with declarations of one's own."""
    return [f"{folder}:{USE_CASES_FOLDER}/{number}:ro" for number, folder in enumerate(folders, 1)]


def name_use_case_folders(folders: Sequence[str]) -> Mapping[str, Yaml]:
    """Where a container finds the declarations that `mount_use_cases` mounts; nothing without folders."""
    places = [place.split(":")[1] for place in mount_use_cases(folders)]
    if not places:
        return {}
    return {
        "EVERGREEN_USE_CASES": ":".join(places),
        # Their owner is that of the machine, whoever may mount them is trusted with the container.
        "EVERGREEN_TRUSTED_FOLDERS": ":".join([HOME, *places]),
    }


def _offer(names: Sequence[str]) -> dict[str, Yaml]:
    return {f"EVERGREEN_{name.upper()}": offer_setting(name) for name in names}
