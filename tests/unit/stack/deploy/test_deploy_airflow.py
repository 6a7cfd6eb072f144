"""Airflow in containers: its first start, and the roles of people."""

from __future__ import annotations

import json
import sys

import pytest
from pydantic import SecretStr

from evergreen.errors import StackError
from evergreen.settings import Settings
from evergreen.stack.deploy.airflow_init import build_commands, run_commands
from evergreen.stack.deploy.airflow_options import (
    COMMON_OPTIONS,
    CONTAINER_OPTIONS,
    EMBEDDED_OPTIONS,
    build_airflow_variables,
    merge_options,
)

SETTINGS = Settings(airflow_user="admin", airflow_password=SecretStr("the-password"))


def test_the_first_user_has_the_password_of_the_settings_also_after_it_changed() -> None:
    commands = build_commands(SETTINGS)
    assert [command[:2] for command in commands] == [
        ["db", "migrate"],
        ["pools", "set"],
        ["users", "create"],
        ["users", "reset-password"],
    ]
    for command in commands[2:]:
        assert command[command.index("--password") + 1] == "the-password"
        assert command[command.index("--username") + 1] == "admin"


def test_commands_run_in_one_process_and_the_first_that_fails_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", [])
    seen = []

    def run() -> None:
        seen.append(sys.argv[1:3])
        raise SystemExit({"db": 0, "pools": None}.get(sys.argv[1], 3))

    with pytest.raises(StackError, match="users create") as caught:
        run_commands(build_commands(SETTINGS), run)
    assert seen == [["db", "migrate"], ["pools", "set"], ["users", "create"]]
    assert "the-password" not in str(caught.value)


def test_operators_run_dags_and_only_approvers_answer_questions() -> None:
    roles = json.loads(str(CONTAINER_OPTIONS["fab"]["custom_roles"]))
    permissions = {
        role: {(each["action"], each["resource"]) for each in entries} for role, entries in roles.items()
    }
    assert set(permissions) == {"Operator", "Approver"}
    assert ("can_create", "DAG Runs") in permissions["Operator"]
    assert ("can_edit", "HITL Detail") in permissions["Approver"] - permissions["Operator"]
    assert ("can_create", "DAG Runs") not in permissions["Approver"]
    for granted in permissions.values():
        assert not {resource for _, resource in granted} & {"Users", "Roles", "Connections", "Variables"}


def test_the_last_value_of_an_option_counts_and_no_option_is_lost() -> None:
    merged = merge_options({"core": {"a": 1, "b": True}}, {"core": {"a": 2}, "api": {"c": "x"}})
    assert merged == {"core": {"a": 2, "b": True}, "api": {"c": "x"}}
    assert build_airflow_variables(merged) == {
        "AIRFLOW__CORE__A": "2",
        "AIRFLOW__CORE__B": "true",
        "AIRFLOW__API__C": "x",
    }


def test_containers_have_users_and_workers_where_the_embedded_stack_has_neither() -> None:
    embedded = merge_options(COMMON_OPTIONS, EMBEDDED_OPTIONS)
    containers = merge_options(COMMON_OPTIONS, CONTAINER_OPTIONS)
    assert embedded["core"]["executor"] == "LocalExecutor"
    assert containers["core"]["executor"] == "CeleryExecutor"
    assert "simple_auth_manager_users" not in containers["core"]
    assert str(containers["core"]["auth_manager"]).endswith("FabAuthManager")
