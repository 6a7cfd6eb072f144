"""Values for the official Helm chart of Airflow: KubernetesExecutor, Evergreen's image, FAB's roles."""

from __future__ import annotations

from collections.abc import Mapping

from evergreen.stack.deploy.airflow_options import COMMON_OPTIONS, CONTAINER_OPTIONS, merge_options
from evergreen.stack.deploy.compose.airflow_containers import DAGS_FOLDER
from evergreen.stack.deploy.compose.compose_parts import USER_ID
from evergreen.stack.deploy.kubernetes import manifest_parts as parts
from evergreen.stack.deploy.yaml_text import Commented, Yaml, render_yaml

_AIRFLOW_VERSION = "3.3.2"
_SECRET_VARIABLES = ("EVERGREEN_MARIADB_PASSWORD", "EVERGREEN_AIRFLOW_PASSWORD", "EVERGREEN_API_KEY")


def build_airflow_values() -> Mapping[str, Yaml]:
    """What differs from the chart's own values."""
    options = merge_options(
        COMMON_OPTIONS,
        CONTAINER_OPTIONS,
        {"core": {"executor": "KubernetesExecutor", "dags_folder": DAGS_FOLDER}},
    )
    return {
        "airflowVersion": _AIRFLOW_VERSION,
        "executor": "KubernetesExecutor",
        "images": {"airflow": {"repository": parts.AIRFLOW_IMAGE, "tag": parts.IMAGE_TAG}},
        "uid": USER_ID,
        "gid": USER_ID,
        "securityContexts": {
            "pod": parts.build_pod_security(),
            "containers": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        },
        "data": Commented(
            "docs/deployment.md has the command that makes this secret.",
            {"metadataSecretName": "evergreen-airflow"},
        ),
        "fernetKeySecretName": "evergreen-airflow",
        "apiSecretKeySecretName": "evergreen-airflow",
        "jwtSecretName": "evergreen-airflow",
        "extraEnvFrom": render_yaml_list(parts.build_settings_source()),
        "secret": [
            {"envName": name, "secretName": parts.SECRET, "secretKey": name} for name in _SECRET_VARIABLES
        ],
        "config": {section: dict(values) for section, values in options.items()},
        "workers": {"resources": parts.build_resources("500m", "1Gi", "6Gi")},
        "scheduler": {"resources": parts.build_resources("250m", "512Mi", "1Gi")},
        "dagProcessor": {"resources": parts.build_resources("250m", "512Mi", "1Gi")},
        "triggerer": {
            "persistence": {"enabled": False},
            "resources": parts.build_resources("100m", "512Mi", "1Gi"),
        },
        "apiServer": {"resources": parts.build_resources("250m", "768Mi", "1500Mi")},
        "logs": Commented(
            "Pods of tasks end with their tasks: their logs are kept in a volume that many nodes may write.",
            {"persistence": {"enabled": True, "size": "20Gi"}},
        ),
        "createUserJob": Commented(
            "The pool of trainings and the first user: as airflow-init in docker-compose.yml.",
            {
                "command": ["python", "-m", "evergreen.stack.deploy.airflow_init"],
                "args": [],
                "applyCustomEnv": True,
            },
        ),
        "postgresql": {"enabled": False},
        "redis": {"enabled": False},
        "statsd": {"enabled": False},
    }


def render_yaml_list(values: list[Yaml]) -> str:
    """A list as text of YAML, which the chart takes as a template."""
    return render_yaml({"list": values}).removeprefix("list:\n")
