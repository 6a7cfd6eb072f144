"""Containers that people start: the command line, and the guided tour of the profile `demo`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evergreen.serving.standing import format_container_name
from evergreen.stack.deploy import facts
from evergreen.stack.deploy.compose import compose_parts as parts
from evergreen.stack.deploy.compose.compose_parts import build_needs, default_variable
from evergreen.stack.deploy.compose.container_settings import mount_data, mount_use_cases
from evergreen.stack.deploy.yaml_text import Commented, Yaml, merge_anchors
from evergreen.usecase import UseCase


def build_command_line(folders: Sequence[str]) -> dict[str, Yaml]:
    """A container for any command of `evergreen`."""
    return {
        "cli": Commented(
            "For commands: docker compose run --rm cli evergreen run ingest credit_score",
            {**_build_tool(folders), "profiles": ["tools"]},
        )
    }


def build_demo(use_cases: Sequence[UseCase], folders: Sequence[str]) -> dict[str, Yaml]:
    """The guided tour, once: the whole loop on a use case."""
    needs = {
        server.name: "service_healthy"
        for server in (*facts.AIRFLOW_SERVERS, facts.AIRFLOW_WORKER, facts.MLFLOW)
    }
    services = {format_container_name(each.name): "service_healthy" for each in use_cases}
    use_case_name = default_variable("DEMO_USE_CASE", use_cases[0].name)
    return {
        "demo": Commented(
            "The whole loop once: docker compose --profile demo up demo",
            {
                **_build_tool(folders),
                "profiles": ["demo"],
                "command": ["evergreen", "demo", use_case_name, "--no-up"],
                "depends_on": build_needs({**needs, **services}),
            },
        )
    }


def _build_tool(folders: Sequence[str]) -> Mapping[str, Yaml]:
    return {
        **merge_anchors(parts.OWN),
        "image": parts.AIRFLOW_IMAGE,
        "restart": "no",
        "environment": {
            **merge_anchors("airflow-client-settings"),
            "TMPDIR": f"{parts.HOME}/tmp",
        },
        "volumes": [
            f"cli-home:{parts.HOME}",
            f"api-keys:{parts.KEYS_FOLDER}",
            mount_data(),
            *mount_use_cases(folders),
        ],
        "tmpfs": [parts.build_tmpfs("/tmp", 512)],
        "networks": [parts.DEFAULT_NETWORK, parts.STORE_NETWORK],
        "mem_limit": "4g",
    }
