"""Manifests of what all use cases share: settings, MLflow, and the job that brings the tables up to date."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.stack.deploy import facts
from evergreen.stack.deploy.kubernetes import manifest_parts as parts
from evergreen.stack.deploy.yaml_text import Yaml
from evergreen.usecase import UseCase

_ARTIFACTS = "/var/lib/mlflow"


def build_platform_manifests(use_cases: Sequence[UseCase], *, has_own: bool) -> Sequence[dict[str, Yaml]]:
    """ConfigMap, job of the tables, MLflow with its claim, its service and its network policy.

    `has_own`: some use cases are none of the package, and the images have them in a folder.
    """
    settings = parts.build_settings(use_cases, has_own=has_own)
    return [
        parts.build_object("v1", "ConfigMap", parts.SETTINGS, data=settings),
        _build_store_tables(),
        *_build_mlflow(),
    ]


def _build_store_tables() -> dict[str, Yaml]:
    name = facts.STORE_TABLES.name
    container: dict[str, Yaml] = {
        "name": name,
        "image": f"{parts.SERVING_IMAGE}:{parts.IMAGE_TAG}",
        "command": ["python", "-m", facts.STORE_TABLES_MODULE],
        "envFrom": parts.build_settings_source(),
        "env": parts.build_secret_variables("EVERGREEN_MARIADB_PASSWORD"),
        "resources": parts.build_resources("100m", "256Mi", "512Mi"),
        "securityContext": parts.build_container_security(),
    }
    pod: dict[str, Yaml] = {
        "automountServiceAccountToken": False,
        "restartPolicy": "OnFailure",
        "securityContext": parts.build_pod_security(),
        "containers": [container],
    }
    return parts.build_object(
        "batch/v1",
        "Job",
        name,
        spec={
            "backoffLimit": 10,
            # `kubectl apply` of a later version makes it anew.
            "ttlSecondsAfterFinished": 600,
            "template": {"metadata": {"labels": parts.build_labels(name)}, "spec": pod},
        },
    )


def _build_mlflow() -> list[dict[str, Yaml]]:
    server, name = facts.MLFLOW, facts.MLFLOW.name
    labels = parts.build_labels(name)
    hosts = f"--allowed-hosts={name}:{server.port},localhost:*,127.0.0.1:*"
    container: dict[str, Yaml] = {
        "name": name,
        "image": f"{parts.MLFLOW_IMAGE}:{parts.IMAGE_TAG}",
        "command": [
            "mlflow",
            *facts.build_mlflow_arguments("0.0.0.0", server.port, _ARTIFACTS, "--serve-artifacts", hosts),
        ],
        "ports": [{"name": "http", "containerPort": server.port}],
        "env": [
            *parts.build_secret_variables(parts.MLFLOW_DATABASE_KEY),
            *(
                {"name": variable, "value": value}
                for variable, value in {**facts.MLFLOW_ENVIRONMENT, **facts.NO_TELEMETRY}.items()
            ),
        ],
        "resources": parts.build_resources("250m", "512Mi", "1500Mi"),
        "securityContext": parts.build_container_security(),
        # By TCP: the kubelet asks under the pod's address, which is none of the allowed hosts.
        "startupProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 5, "failureThreshold": 36},
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 10},
        "livenessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 20},
        "volumeMounts": [
            {"name": "artifacts", "mountPath": _ARTIFACTS},
            {"name": "temporary", "mountPath": "/tmp"},
        ],
    }
    pod: dict[str, Yaml] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": parts.build_pod_security(),
        "containers": [container],
        "volumes": [
            {"name": "artifacts", "persistentVolumeClaim": {"claimName": "mlflow-artifacts"}},
            {"name": "temporary", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
    }
    claim = parts.build_claim("mlflow-artifacts", "20Gi")
    return [
        parts.build_object("v1", "PersistentVolumeClaim", "mlflow-artifacts", spec=claim["spec"]),
        parts.build_object(
            "apps/v1",
            "Deployment",
            name,
            spec={
                "replicas": 1,
                # Its volume is for one pod at a time.
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        ),
        parts.build_object(
            "v1",
            "Service",
            name,
            spec={
                "selector": labels,
                "ports": [{"name": "http", "port": server.port, "targetPort": "http"}],
            },
        ),
        parts.build_object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            name,
            spec={
                "podSelector": {"matchLabels": labels},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [
                    {
                        "from": [
                            {"podSelector": {"matchLabels": parts.PART_OF}},
                            {"podSelector": {"matchLabels": {"release": "airflow"}}},
                        ],
                        "ports": [{"port": server.port}],
                    }
                ],
                "egress": [{"ports": [{"port": facts.POSTGRES.port}]}, parts.build_dns_rule()],
            },
        ),
    ]
