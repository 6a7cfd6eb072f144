"""What manifests have in common: names, labels, settings, secrets, and how containers are confined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evergreen.serving.standing import format_container_name
from evergreen.stack.deploy import facts
from evergreen.stack.deploy.compose.compose_parts import (
    HOME,
    USE_CASES_FOLDER,
    USER_ID,
    format_json,
)
from evergreen.stack.deploy.yaml_text import Yaml
from evergreen.usecase import UseCase

# A registry of one's own comes before these names, and a version behind them: kustomize's `images` does both.
AIRFLOW_IMAGE = "evergreen-airflow"
MLFLOW_IMAGE = "evergreen-mlflow"
SERVING_IMAGE = "evergreen-serving"
IMAGE_TAG = "local"
# Made by hand from .env: `kubectl create secret generic evergreen --from-env-file=.env`.
SECRET = "evergreen"
SETTINGS = "evergreen-settings"
PART_OF = {"app.kubernetes.io/part-of": "evergreen"}
# Pods with this label may call services.
CLIENT = {"evergreen/client": "true"}
MLFLOW_DATABASE_KEY = "MLFLOW_BACKEND_STORE_URI"


def build_labels(name: str) -> dict[str, Yaml]:
    """The labels of what belongs to one server."""
    return {"app.kubernetes.io/name": name, **PART_OF}


def build_object(version: str, kind: str, name: str, **more: Yaml) -> dict[str, Yaml]:
    """An object with its labels; `more` are further entries, such as `spec`."""
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "labels": build_labels(name)},
        **more,
    }


def format_pods_name(use_case_name: str) -> str:
    """The headless service of a use case's replicas, through which the platform itself asks them."""
    return f"{format_container_name(use_case_name)}-pods"


def build_settings(use_cases: Sequence[UseCase], *, has_own: bool) -> dict[str, Yaml]:
    """The settings that are no secrets. `has_own`: the images have a folder of use cases."""
    own: dict[str, Yaml] = {
        "EVERGREEN_USE_CASES": USE_CASES_FOLDER,
        "EVERGREEN_TRUSTED_FOLDERS": f"{HOME}:{USE_CASES_FOLDER}",
    }
    return {
        **(own if has_own else {}),
        "EVERGREEN_HOME": HOME,
        "EVERGREEN_MARIADB_HOST": facts.MARIADB.name,
        "EVERGREEN_MARIADB_PORT": str(facts.MARIADB.port),
        "EVERGREEN_MARIADB_USER": facts.DATABASE_USER,
        "EVERGREEN_MARIADB_DATABASE": facts.DATABASE,
        "EVERGREEN_MLFLOW_TRACKING_URI": f"http://{facts.MLFLOW.name}:{facts.MLFLOW.port}",
        # Airflow's chart names it so for the release `airflow`.
        "EVERGREEN_AIRFLOW_URL": f"http://{facts.AIRFLOW_API.name}:{facts.AIRFLOW_API.port}",
        "EVERGREEN_AIRFLOW_USER": facts.AIRFLOW_USER,
        # Also replicas that are not ready: a deploy asks them before there is a champion.
        "EVERGREEN_SERVICE_URLS": format_json(
            {each.name: f"http://{format_pods_name(each.name)}:{facts.SERVICE.port}" for each in use_cases}
        ),
        "EVERGREEN_ALLOWED_HOSTS": ",".join(
            name
            for each in use_cases
            for name in (format_container_name(each.name), format_pods_name(each.name))
        ),
        **facts.NO_TELEMETRY,
    }


def build_secret_variables(*names: str) -> list[Yaml]:
    """Variables of the secret, each under its own name."""
    return [build_secret_variable(name, name) for name in names]


def build_secret_variable(name: str, key: str) -> Yaml:
    """A variable with the value of a key of the secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": key}}}


def build_settings_source() -> list[Yaml]:
    """`envFrom` of a container that has all settings."""
    return [{"configMapRef": {"name": SETTINGS}}]


def build_pod_security() -> dict[str, Yaml]:
    """A pod's security context: Evergreen's user, which owns the volumes."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def build_container_security() -> dict[str, Yaml]:
    """A container's security context: as in docker-compose.yml."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def build_resources(cpu: str, memory: str, most_memory: str) -> dict[str, Yaml]:
    """What a container is given, and the memory that it may take at most."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": most_memory}}


def build_claim(name: str, size: str, mode: str = "ReadWriteOnce") -> dict[str, Yaml]:
    """A claim for a volume, as it stands in a StatefulSet."""
    return {
        "metadata": {"name": name},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": size}}},
    }


def build_probe(path: str, **times: int) -> Mapping[str, Yaml]:
    """A probe by GET on the port `http`."""
    return {"httpGet": {"path": path, "port": "http"}, **times}


def build_dns_rule() -> Yaml:
    """The rule of a network policy by which names are resolved."""
    return {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
