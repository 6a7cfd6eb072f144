"""Airflow's options: those that both deployments have, and what is different in containers.

The text of each is what Airflow takes from a variable AIRFLOW__SECTION__OPTION.
airflow/config_templates/config.yml of the installed version has all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from evergreen.stack.deploy.facts import AIRFLOW_USER, OptionValue

Options = Mapping[str, Mapping[str, OptionValue]]

COMMON_OPTIONS: Options = {
    "core": {"load_examples": False, "dags_are_paused_at_creation": False},
    "api": {"workers": 1},
}

EMBEDDED_OPTIONS: Options = {
    "core": {
        "executor": "LocalExecutor",
        # LocalExecutor forks all its workers at the start: 32, the default, would take gigabytes.
        "parallelism": 4,
        "simple_auth_manager_users": f"{AIRFLOW_USER}:admin",
    },
}

# What people may do, beside Airflow's own roles Admin and Viewer. Who has one of these is given Viewer too:
# they hold only what goes beyond looking. Airflow asks for "edit" on a DAG wherever something of it changes.
_RUN_DAGS = [
    ("can_edit", "DAGs"),
    ("can_create", "DAG Runs"),
    ("can_edit", "DAG Runs"),
    ("can_create", "Task Instances"),
    ("can_edit", "Task Instances"),
    ("can_create", "Assets"),
]
_APPROVE = [("can_edit", "DAGs"), ("can_edit", "HITL Detail"), ("menu_access", "HITL Detail")]
AIRFLOW_ROLES: Mapping[str, list[tuple[str, str]]] = {"Operator": _RUN_DAGS, "Approver": _APPROVE}

CONTAINER_OPTIONS: Options = {
    "core": {
        "executor": "CeleryExecutor",
        "auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
    },
    "fab": {
        "custom_roles": json.dumps(
            {
                role: [{"action": action, "resource": resource} for action, resource in permissions]
                for role, permissions in AIRFLOW_ROLES.items()
            }
        ),
        "expose_hostname": False,
    },
    "scheduler": {
        # A task whose worker was killed is found after this long, not after five minutes.
        "task_instance_heartbeat_timeout": 60,
    },
    "logging": {"colored_console_log": False},
    "dag_processor": {"parsing_processes": 1},
}


def merge_options(*parts: Options) -> dict[str, dict[str, OptionValue]]:
    """The options of all parts; of an option that stands in several, the last value."""
    merged: dict[str, dict[str, OptionValue]] = {}
    for part in parts:
        for section, values in part.items():
            merged.setdefault(section, {}).update(values)
    return merged


def build_airflow_variables(options: Options) -> dict[str, str]:
    """Airflow options as the variables AIRFLOW__SECTION__OPTION that give them these values."""
    return {
        f"AIRFLOW__{section.upper()}__{name.upper()}": _format_option(value)
        for section, values in options.items()
        for name, value in values.items()
    }


def _format_option(value: OptionValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
