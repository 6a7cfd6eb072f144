"""docker-compose.yml says the same as the embedded stack: both come from one list of facts."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from evergreen.settings import Settings
from evergreen.stack.processes.child import ChildSpec
from evergreen.stack.servers import deployment
from evergreen.stack.servers.compose import render_compose
from evergreen.stack.servers.server_list import EvergreenPlan

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def containers() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(render_compose())["services"]
    return services


@pytest.fixture
def processes(tmp_path: Path) -> dict[str, ChildSpec]:
    return {spec.name: spec for spec in EvergreenPlan(tmp_path, {}).servers()}


def test_the_committed_file_is_the_one_that_is_written() -> None:
    committed = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert committed == render_compose(), "run: .venv/bin/python scripts/write-compose.py"


def test_both_deployments_run_the_same_servers(
    containers: dict[str, Any], processes: dict[str, ChildSpec]
) -> None:
    servers = {name for name, spec in processes.items() if not spec.one_off}
    assert servers == {"mariadb", "mlflow", *(server.name for server in deployment.AIRFLOW_SERVERS)}
    services = {name for name in containers if name.startswith(deployment.SERVICE_PREFIX)}
    assert set(containers) == {*servers, *services, "postgres", "store-tables", "airflow-init", "cli"}
    assert services == {"service-credit-score", "service-titanic"}


def test_mariadb_has_the_same_options_but_for_the_memory_of_a_smaller_machine(
    containers: dict[str, Any], processes: dict[str, ChildSpec]
) -> None:
    pool = "--innodb-buffer-pool-size="
    own = [option for option in processes["mariadb"].command if not option.startswith(pool)]
    options = containers["mariadb"]["command"]
    assert [option for option in options if option not in own] == [f"{pool}1G"]
    assert "--local-infile=1" in options


def test_airflow_has_the_same_options(containers: dict[str, Any], processes: dict[str, ChildSpec]) -> None:
    own = processes["airflow-scheduler"].environment
    shared = deployment.build_airflow_variables(deployment.AIRFLOW_OPTIONS)
    assert shared["AIRFLOW__CORE__LOAD_EXAMPLES"] == "false"
    for variables in (own, containers["airflow-scheduler"]["environment"]):
        assert shared.items() <= variables.items()


def test_each_container_waits_for_containers_that_exist_and_can_be_waited_for(
    containers: dict[str, Any],
) -> None:
    for name, container in containers.items():
        for need, how in container.get("depends_on", {}).items():
            assert need in containers, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in containers[need], (name, need)


def test_the_containers_databases_are_the_ones_of_the_facts() -> None:
    script = (ROOT / "docker" / "mariadb-init.sh").read_text("utf-8")
    assert f"CREATE DATABASE IF NOT EXISTS {deployment.BANK_DATABASE} " in script


def test_make_env_writes_every_secret_that_compose_needs_and_changes_none(tmp_path: Path) -> None:
    """Also into a file of an earlier version, which lacks some, and whose last line has no end."""
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "new-env.sh", tmp_path / "scripts")
    path = tmp_path / ".env"
    path.write_text("# mine\nPOSTGRES_PASSWORD=kept")
    for _ in range(2):
        subprocess.run(["sh", script], check=True, capture_output=True)
        lines = path.read_text().splitlines()
        values = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        needed = set(re.findall(r"\$\{(\w+):\?", render_compose()))
        assert needed <= set(values)
        assert all(values.values())
        assert values["POSTGRES_PASSWORD"] == "kept"
        assert len(lines) == 1 + len(values)
    assert len(set(values.values())) == len(values)


def test_a_new_file_of_secrets_is_private(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "new-env.sh", tmp_path / "scripts")
    subprocess.run(["sh", script], check=True, capture_output=True)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_callers_in_containers_have_a_key_and_a_name_for_every_service(containers: dict[str, Any]) -> None:
    variables = containers["airflow-scheduler"]["environment"]
    for name, service in containers.items():
        if name.startswith(deployment.SERVICE_PREFIX):
            assert "0.0.0.0" in service["command"]
            assert service["environment"]["EVERGREEN_API_KEY"] == variables["EVERGREEN_API_KEY"]
            assert name in service["environment"]["EVERGREEN_ALLOWED_HOSTS"].split(",")


def test_the_tables_are_up_to_date_before_anything_uses_them(containers: dict[str, Any]) -> None:
    """A service's container starts before the first champion, and logs the values that it refuses."""
    assert containers["store-tables"]["restart"] == "no"
    for name, container in containers.items():
        if name.startswith(deployment.SERVICE_PREFIX) or name == "airflow-scheduler":
            needs = container["depends_on"]
            assert needs["store-tables"] == {"condition": "service_completed_successfully"}, name


def test_the_keys_that_the_command_line_makes_are_read_by_every_service(containers: dict[str, Any]) -> None:
    path = Path(containers["cli"]["environment"]["EVERGREEN_API_KEYS_FILE"])
    assert f"api-keys:{path.parent}" in containers["cli"]["volumes"]
    for name, container in containers.items():
        if name.startswith(deployment.SERVICE_PREFIX):
            assert container["environment"]["EVERGREEN_API_KEYS_FILE"] == str(path)
            assert f"api-keys:{path.parent}:ro" in container["volumes"]
    # A new volume has the owner of the image's folder.
    assert f"evergreen {path.parent}\n" in (ROOT / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("part", ["Who may call the prediction services", "Behaviour"])
def test_settings_of_people_reach_the_containers_from_env(containers: dict[str, Any], part: str) -> None:
    """With the default of the setting, so that a .env without them changes nothing."""
    example = (ROOT / ".env.example").read_text("utf-8")
    section = example.split(f"--- {part}", 1)[1].split("# ---", 1)[0]
    names = set(re.findall(r"^(?:# )?(EVERGREEN_\w+)=", section, re.MULTILINE))
    # The file of keys lies in a volume.
    names -= {"EVERGREEN_API_KEYS_FILE"}
    assert names
    for name in names:
        value = containers["service-titanic"]["environment"][name]
        match = re.match(rf"\$\{{{name}:(?:-(?P<default>[^}}]*)|\?[^}}]*)\}}", value)
        assert match is not None, name
        default = Settings.model_fields[name.removeprefix("EVERGREEN_").lower()].default
        if not isinstance(default, SecretStr):
            assert match["default"] == str(default)
