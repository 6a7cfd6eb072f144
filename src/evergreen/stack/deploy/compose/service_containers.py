"""Containers of the prediction services, and of the proxies before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evergreen.serving.standing import format_container_name
from evergreen.stack.deploy import facts
from evergreen.stack.deploy.compose import compose_parts as parts
from evergreen.stack.deploy.compose.compose_parts import build_needs, default_variable
from evergreen.stack.deploy.compose.container_settings import format_proxy_name, mount_use_cases
from evergreen.stack.deploy.yaml_text import Commented, Yaml, merge_anchors
from evergreen.usecase import UseCase

# What BentoML keeps for a container's processes, such as the files of their metrics.
_BENTOML_HOME = "/tmp/bentoml"


def build_service_common() -> Mapping[str, Yaml]:
    """What every service's container has."""
    port = facts.SERVICE.port
    return {
        **merge_anchors(parts.OWN),
        "image": parts.SERVING_IMAGE,
        "command": ["python", *facts.build_service_arguments("0.0.0.0", port)],
        "tmpfs": [parts.build_tmpfs("/tmp", 256)],
        "networks": {
            # A name with the addresses of all replicas of all use cases, for Prometheus.
            parts.DEFAULT_NETWORK: {"aliases": ["services"]},
            parts.STORE_NETWORK: None,
        },
        "mem_limit": default_variable("SERVICE_MEMORY", "2g"),
        "stop_grace_period": Commented(
            "What it has answered goes to MariaDB before it ends, or stays in its volume for the next start.",
            f"{facts.SERVICE_STOP_SECONDS}s",
        ),
        "depends_on": build_needs(facts.SERVICE.container_needs),
        "healthcheck": Commented(
            "Alive, with or without a champion: /readyz says whether there is one.",
            parts.build_http_check(facts.SERVICE, retries=24),
        ),
    }


def assign_published_ports(use_cases: Sequence[UseCase]) -> dict[str, int]:
    """The declared port of each use case by its name, or the next one that no use case before it has."""
    ports: dict[str, int] = {}
    for use_case in use_cases:
        port = use_case.serving.port
        while port in ports.values():
            port += 1
        ports[use_case.name] = port
    return ports


def build_service(use_case: UseCase, port: int, folders: Sequence[str]) -> dict[str, Yaml]:
    """A use case's service and its proxy, which is reached at `port` of the machine.

    `folders` are those with declarations of one's own.
    """
    name = format_container_name(use_case.name)
    volumes: list[Yaml] = [
        Commented(
            "For all replicas: each has a spool of its own there, and delivers those of replicas that ended.",
            f"{name_home_volume(use_case)}:{parts.HOME}",
        ),
        f"api-keys:{parts.KEYS_FOLDER}:ro",
        *mount_use_cases(folders),
    ]
    return {
        name: {
            **merge_anchors("service"),
            "environment": {
                **merge_anchors("service-settings"),
                "EVERGREEN_USE_CASE": use_case.name,
                "BENTOML_HOME": _BENTOML_HOME,
            },
            "volumes": volumes,
        },
        format_proxy_name(use_case.name): {
            **merge_anchors("proxy"),
            "environment": {"SERVICE": name},
            "ports": [parts.publish_port(f"{use_case.name.upper()}_PORT", port, facts.PROXY.port)],
            "depends_on": build_needs({name: "service_healthy"}),
        },
    }


def build_proxy_common() -> Mapping[str, Yaml]:
    """What every proxy's container has: HAProxy, which asks Docker's DNS for the replicas of one service."""
    return {
        **merge_anchors(parts.FOREIGN),
        "image": parts.PROXY_IMAGE,
        "init": True,
        "read_only": True,
        "volumes": ["./deploy/proxy/haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"],
        "networks": [parts.DEFAULT_NETWORK],
        "mem_limit": "128m",
        "stop_grace_period": f"{facts.SERVICE_STOP_SECONDS}s",
        "healthcheck": parts.build_http_check(
            facts.PROXY, retries=20, port=facts.PROXY_HEALTH_PORT, program="wget"
        ),
    }


def name_home_volume(use_case: UseCase) -> str:
    """The volume with the home of a use case's services."""
    return f"{use_case.name.replace('_', '-')}-home"
