"""Manifests of one use case's service: its replicas with their spools, their names, scaling and limits."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.serving.standing import format_container_name
from evergreen.stack.deploy import facts
from evergreen.stack.deploy.compose.compose_parts import HOME
from evergreen.stack.deploy.kubernetes import manifest_parts as parts
from evergreen.stack.deploy.yaml_text import Commented, Yaml
from evergreen.usecase import UseCase

_REPLICAS, _MOST_REPLICAS = 2, 6
# Until every node has heard that a replica ends, requests still reach it.
_LEAVE_SECONDS = 5


def build_service_manifests(use_case: UseCase) -> Sequence[dict[str, Yaml]]:
    """Service, headless service, StatefulSet, autoscaler, disruption budget and network policy."""
    name, pods = format_container_name(use_case.name), parts.format_pods_name(use_case.name)
    labels = parts.build_labels(name)
    port: Yaml = [{"name": "http", "port": facts.SERVICE.port, "targetPort": "http"}]
    return [
        parts.build_object("v1", "Service", name, spec={"selector": labels, "ports": port}),
        parts.build_object(
            "v1",
            "Service",
            pods,
            spec={
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": labels,
                "ports": port,
            },
        ),
        parts.build_object(
            "apps/v1",
            "StatefulSet",
            name,
            spec={
                "serviceName": pods,
                "replicas": _REPLICAS,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": labels},
                "persistentVolumeClaimRetentionPolicy": Commented(
                    "What a replica could not deliver waits in its volume until the replica is there again.",
                    {"whenDeleted": "Retain", "whenScaled": "Retain"},
                ),
                "template": {"metadata": {"labels": labels}, "spec": _build_pod(use_case, labels)},
                "volumeClaimTemplates": [parts.build_claim("home", "5Gi")],
            },
        ),
        parts.build_object(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            name,
            spec={
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name},
                "minReplicas": _REPLICAS,
                "maxReplicas": _MOST_REPLICAS,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": 70},
                        },
                    }
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
            },
        ),
        parts.build_object(
            "policy/v1",
            "PodDisruptionBudget",
            name,
            spec={"maxUnavailable": 1, "selector": {"matchLabels": labels}},
        ),
        _build_network_policy(name, labels),
    ]


# Kubernetes puts in what the variables before hold; clients' keys may be none.
_API_KEYS = "prometheus:$(EVERGREEN_SCRAPE_KEY),$(EVERGREEN_CLIENT_API_KEYS)"


def _build_pod(use_case: UseCase, labels: dict[str, Yaml]) -> Yaml:
    service = facts.SERVICE
    account = facts.SERVICE_ACCOUNT
    variables: list[Yaml] = [
        *parts.build_secret_variables(
            "EVERGREEN_API_KEY", "EVERGREEN_SCRAPE_KEY", "EVERGREEN_CLIENT_API_KEYS"
        ),
        {"name": "EVERGREEN_MARIADB_USER", "value": account.user},
        parts.build_secret_variable("EVERGREEN_MARIADB_PASSWORD", account.password_variable),
        {"name": "EVERGREEN_API_KEYS", "value": _API_KEYS},
        {"name": "EVERGREEN_USE_CASE", "value": use_case.name},
        {"name": "BENTOML_HOME", "value": "/tmp/bentoml"},
    ]
    container: dict[str, Yaml] = {
        "name": "service",
        "image": f"{parts.SERVING_IMAGE}:{parts.IMAGE_TAG}",
        "command": ["python", *facts.build_service_arguments("0.0.0.0", service.port)],
        "ports": [{"name": "http", "containerPort": service.port}],
        "envFrom": parts.build_settings_source(),
        "env": variables,
        "resources": parts.build_resources("500m", "768Mi", "2Gi"),
        "securityContext": parts.build_container_security(),
        "startupProbe": parts.build_probe(service.health_path, periodSeconds=5, failureThreshold=24),
        "livenessProbe": parts.build_probe(service.health_path, periodSeconds=10, failureThreshold=3),
        "readinessProbe": Commented(
            "Ready with a champion: without one, clients reach nobody.",
            parts.build_probe("/readyz", periodSeconds=5, failureThreshold=1),
        ),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_LEAVE_SECONDS)]}}},
        "volumeMounts": [
            {"name": "home", "mountPath": HOME},
            {"name": "temporary", "mountPath": "/tmp"},
        ],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": facts.SERVICE_STOP_SECONDS + _LEAVE_SECONDS,
        "securityContext": parts.build_pod_security(),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels},
            }
        ],
        "containers": [container],
        "volumes": [{"name": "temporary", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}}],
    }


def _build_network_policy(name: str, labels: dict[str, Yaml]) -> dict[str, Yaml]:
    """Clients and the platform reach the service; it reaches MariaDB, MLflow and the DNS."""
    callers: list[Yaml] = [
        {"podSelector": {"matchLabels": parts.CLIENT}},
        {"podSelector": {"matchLabels": parts.PART_OF}},
        # Airflow's tasks, whose labels are the chart's.
        {"podSelector": {"matchLabels": {"release": "airflow"}}},
    ]
    return parts.build_object(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        name,
        spec={
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": callers, "ports": [{"port": facts.SERVICE.port}]}],
            "egress": [
                {"ports": [{"port": facts.MARIADB.port}, {"port": facts.MLFLOW.port}]},
                parts.build_dns_rule(),
            ],
        },
    )
