"""What containers of docker-compose.yml have in common: images, networks, checks, hardening, variables.

Values such as `${POSTGRES_PASSWORD:?...}` are left for docker compose, which reads them from .env.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from evergreen.settings import Settings
from evergreen.stack.deploy.facts import Server
from evergreen.stack.deploy.yaml_text import Alias, Yaml

# Evergreen's own images: the targets of Dockerfile.
AIRFLOW_IMAGE = "evergreen-airflow:local"
MLFLOW_IMAGE = "evergreen-mlflow:local"
SERVING_IMAGE = "evergreen-serving:local"
# Others', by tag. A digest would hold them for certain; `docker buildx imagetools inspect IMAGE` prints it.
MARIADB_IMAGE = "mariadb:11.8"
POSTGRES_IMAGE = "postgres:17"
REDIS_IMAGE = "redis:8"
PROXY_IMAGE = "haproxy:3.2-alpine"
PROMETHEUS_IMAGE = "prom/prometheus:v3.5.0"
GRAFANA_IMAGE = "grafana/grafana:12.0.0"

# Who runs in Evergreen's own images; Dockerfile makes the user.
USER_ID = 10001
HOME = "/var/lib/evergreen"
# Relative paths of files that use cases declare start at the folder that holds the home.
DATA_FOLDER = "/var/lib/data"
# Outside the home, of which each service has a volume of its own: `evergreen keys` writes it for all of them.
KEYS_FOLDER = "/var/lib/evergreen-keys"
USE_CASES_FOLDER = "/opt/usecases"

# Only MariaDB's clients reach MariaDB, and only Airflow and MLflow their metadata and their queue. Neither
# network leads out of the machine.
STORE_NETWORK = "store"
METADATA_NETWORK = "metadata"
DEFAULT_NETWORK = "default"

# Mappings that the file gives once, by the names of their anchors.
OWN = "own"
FOREIGN = "foreign"


def build_logging() -> Mapping[str, Yaml]:
    """Docker's log of a container: 50 MB at most."""
    return {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}


def build_own_container() -> Mapping[str, Yaml]:
    """What every container of Evergreen's own images has."""
    return {
        "restart": "unless-stopped",
        "init": True,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "logging": Alias("logging"),
    }


def build_foreign_container() -> Mapping[str, Yaml]:
    """What every container of others' images has."""
    return {
        "restart": "unless-stopped",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "logging": Alias("logging"),
    }


def build_http_check(server: Server, *, retries: int, port: int = 0, program: str = "curl") -> Yaml:
    """A health check by GET from within the server's container, by `curl` or by busybox's `wget`."""
    url = f"http://127.0.0.1:{port or server.port}{server.health_path}"
    options = {"curl": ["--fail", "--silent", "--output", "/dev/null"], "wget": ["-q", "-O", "/dev/null"]}
    return build_check(["CMD", program, *options[program], url], retries=retries)


def build_check(test: Sequence[str], *, retries: int, interval: int = 5, timeout: int = 5) -> Yaml:
    """A health check by a program; `interval` and `timeout` in seconds."""
    return {"test": list(test), "interval": f"{interval}s", "timeout": f"{timeout}s", "retries": retries}


def build_needs(needs: Mapping[str, str]) -> Mapping[str, Yaml]:
    """What a container waits for: other containers, each with a condition."""
    return {name: {"condition": condition} for name, condition in needs.items()}


def build_tmpfs(folder: str, megabytes: int, *, is_private: bool = False) -> str:
    """A folder in memory, for everybody in the container or for Evergreen's user alone."""
    access = f"uid={USER_ID},gid={USER_ID},mode=0700" if is_private else "mode=1777"
    return f"{folder}:{access},size={megabytes}m"


def publish_port(variable: str, usual_port: int, port: int) -> str:
    """A port of the container on the machine's loopback; a variable of .env chooses another one there."""
    return f"127.0.0.1:{default_variable(variable, usual_port)}:{port}"


def default_variable(name: str, default: str | int | float) -> str:
    """A variable of .env, or a value where .env has none."""
    return f"${{{name}:-{default}}}"


def require_variable(name: str) -> str:
    """A variable of .env without which docker compose refuses to start."""
    return f"${{{name}:?run `make env` first}}"


def offer_setting(name: str) -> str:
    """The variable of .env for one of Evergreen's settings, or the setting's default."""
    return default_variable(f"EVERGREEN_{name.upper()}", Settings.model_fields[name].default)


def format_url(server: Server) -> str:
    """Where other containers reach a server."""
    return f"http://{server.name}:{server.port}"


def format_json(value: object) -> str:
    """A value as the JSON text of a variable."""
    return json.dumps(value)
