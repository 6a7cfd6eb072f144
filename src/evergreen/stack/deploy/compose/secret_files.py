"""Secrets of docker-compose.yml: variables of .env, and the files by which others' images take them.

A file of a secret reaches a container whose root file system may be written only, so Evergreen's own
containers take theirs as variables.
"""

from __future__ import annotations

from collections.abc import Mapping

from evergreen.stack.deploy import facts
from evergreen.stack.deploy.compose.compose_parts import OWN, SERVING_IMAGE, require_variable
from evergreen.stack.deploy.yaml_text import Commented, Yaml, merge_anchors

# By the name of the file under /run/secrets, the variable of .env that it holds.
FILE_SECRETS = {
    "mariadb_root_password": "MARIADB_ROOT_PASSWORD",
    "mariadb_password": "EVERGREEN_MARIADB_PASSWORD",
    "postgres_password": "POSTGRES_PASSWORD",
    "redis_password": "REDIS_PASSWORD",
    "prometheus_api_key": "EVERGREEN_SCRAPE_KEY",
    "grafana_password": "GRAFANA_ADMIN_PASSWORD",
}
# All that .env must have: `make env` writes them (scripts/new-env.sh).
SECRET_VARIABLES = (
    *FILE_SECRETS.values(),
    *(account.password_variable for account in facts.DATABASE_ACCOUNTS),
    "EVERGREEN_AIRFLOW_PASSWORD",
    "EVERGREEN_API_KEY",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
)
_FOLDER = "/run/secrets"


def build_secret_path(name: str) -> str:
    """The file in a container that holds the secret of that name in FILE_SECRETS."""
    assert name in FILE_SECRETS
    return f"{_FOLDER}/{name}"


def build_secrets() -> Mapping[str, Yaml]:
    """The section `secrets`."""
    return {name: {"environment": variable} for name, variable in FILE_SECRETS.items()}


def build_secret_check() -> dict[str, Yaml]:
    """The container that ends with an error where a secret is one that others may know."""
    return {
        facts.SECRET_CHECK.name: Commented(
            "Nothing starts before this has found no secret that others may know, such as one of an example.",
            {
                **merge_anchors(OWN),
                "image": SERVING_IMAGE,
                "build": {"context": ".", "target": "serving"},
                "restart": "no",
                "command": ["python", "-m", facts.SECRET_CHECK_MODULE, *SECRET_VARIABLES],
                "environment": {name: require_variable(name) for name in SECRET_VARIABLES},
                "network_mode": "none",
                "mem_limit": "128m",
            },
        )
    }
