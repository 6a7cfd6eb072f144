"""docker-compose.yml says the same as the embedded stack: both come from one list of facts."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from evergreen.settings import Settings
from evergreen.stack.deploy import airflow_options, facts
from evergreen.stack.deploy.compose.compose_document import render_compose
from evergreen.stack.deploy.compose.secret_files import FILE_SECRETS, SECRET_VARIABLES
from evergreen.stack.deploy.facts import EXPORTER_ACCOUNT, SERVICE_ACCOUNT
from evergreen.stack.processes.child import ChildSpec
from evergreen.stack.servers.server_list import EvergreenPlan
from evergreen.usecases import credit_score, titanic

ROOT = Path(__file__).resolve().parents[4]
EXAMPLES = (credit_score.USE_CASE, titanic.USE_CASE)
OWN_IMAGES = {"evergreen-airflow:local", "evergreen-mlflow:local", "evergreen-serving:local"}
# These end by themselves, or wait for a person.
WITHOUT_HEALTH = {"secret-check", "store-tables", "database-accounts", "airflow-init", "cli", "demo"}


@pytest.fixture(scope="module")
def containers() -> dict[str, Any]:
    return read_containers(render_compose(EXAMPLES))


def read_containers(text: str) -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


def is_service(name: str) -> bool:
    return name.startswith(facts.SERVICE_PREFIX)


@pytest.fixture
def processes(tmp_path: Path) -> dict[str, ChildSpec]:
    return {spec.name: spec for spec in EvergreenPlan(tmp_path, {}).servers()}


def test_the_committed_file_is_the_one_that_is_written() -> None:
    committed = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert committed == render_compose(EXAMPLES), "run: make compose"


def test_both_deployments_run_the_same_servers(
    containers: dict[str, Any], processes: dict[str, ChildSpec]
) -> None:
    servers = {name for name, spec in processes.items() if not spec.one_off}
    assert servers == {"mariadb", "mlflow", *(server.name for server in facts.AIRFLOW_SERVERS)}
    assert {name for name in containers if is_service(name)} == {"service-credit-score", "service-titanic"}
    core = {name for name, container in containers.items() if "profiles" not in container}
    only_in_containers = {
        "postgres",
        "redis",
        "airflow-worker",
        "secret-check",
        "store-tables",
        "database-accounts",
        "airflow-init",
    }
    assert {name for name in core if not name.startswith(("service-", "proxy-"))} == (
        servers | only_in_containers
    )


def test_services_sign_in_at_mariadb_with_an_account_that_owns_nothing(containers: dict[str, Any]) -> None:
    for name, container in containers.items():
        environment = container.get("environment", {})
        if is_service(name):
            assert environment["EVERGREEN_MARIADB_USER"] == SERVICE_ACCOUNT.user
            assert environment["EVERGREEN_MARIADB_PASSWORD"].startswith(
                f"${{{SERVICE_ACCOUNT.password_variable}:?"
            )
            assert not {key for key in environment if "AIRFLOW" in key}, name
        elif name == "exporter":
            assert environment["EVERGREEN_MARIADB_USER"] == EXPORTER_ACCOUNT.user
        elif name != "secret-check":
            # The administrator's password is in no other container with code of Evergreen's.
            has_root = "MARIADB_ROOT_PASSWORD" in str(environment)
            assert has_root == (name in ("mariadb", "database-accounts")), name


def test_profiles_add_monitoring_the_demo_and_commands(containers: dict[str, Any]) -> None:
    profiles = {name: each["profiles"] for name, each in containers.items() if "profiles" in each}
    assert profiles == {
        "exporter": ["monitoring"],
        "prometheus": ["monitoring"],
        "grafana": ["monitoring"],
        "cli": ["tools"],
        "demo": ["demo"],
    }


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
    shared = airflow_options.build_airflow_variables(airflow_options.COMMON_OPTIONS)
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
    assert f"CREATE DATABASE IF NOT EXISTS {facts.BANK_DATABASE} " in script


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
        needed = set(re.findall(r"\$\{(\w+):\?", render_compose(EXAMPLES)))
        assert needed == set(SECRET_VARIABLES)
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
        if is_service(name):
            assert "0.0.0.0" in service["command"]
            assert service["environment"]["EVERGREEN_API_KEY"] == variables["EVERGREEN_API_KEY"]
            assert name in service["environment"]["EVERGREEN_ALLOWED_HOSTS"].split(",")


def test_the_tables_are_up_to_date_before_anything_uses_them(containers: dict[str, Any]) -> None:
    """A service's container starts before the first champion, and logs the values that it refuses."""
    assert containers["store-tables"]["restart"] == "no"
    for name, container in containers.items():
        if is_service(name) or name == "airflow-scheduler":
            needs = {**container["depends_on"]}
            if is_service(name):  # its account has rights on tables that are there
                assert needs["database-accounts"] == {"condition": "service_completed_successfully"}, name
                needs = containers["database-accounts"]["depends_on"]
            assert needs["store-tables"] == {"condition": "service_completed_successfully"}, name


def test_the_keys_that_the_command_line_makes_are_read_by_every_service(containers: dict[str, Any]) -> None:
    path = Path(containers["cli"]["environment"]["EVERGREEN_API_KEYS_FILE"])
    assert f"api-keys:{path.parent}" in containers["cli"]["volumes"]
    for name, container in containers.items():
        if is_service(name):
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
    # The file of keys lies in a volume; logs of Airflow's tasks are deleted by the embedded stack alone.
    names -= {"EVERGREEN_API_KEYS_FILE", "EVERGREEN_TASK_LOG_DAYS"}
    assert names
    for name in names:
        value = containers["service-titanic"]["environment"][name]
        match = re.search(rf"\$\{{{name}:(?:-(?P<default>[^}}]*)|\?[^}}]*)\}}", value)
        assert match is not None, name
        default = Settings.model_fields[name.removeprefix("EVERGREEN_").lower()].default
        if not isinstance(default, SecretStr):
            assert match["default"] == str(default)


def test_every_container_is_limited_and_hardened(containers: dict[str, Any]) -> None:
    for name, container in containers.items():
        assert container["mem_limit"], name
        assert container["cap_drop"] == ["ALL"], name
        assert container["security_opt"] == ["no-new-privileges:true"], name
        assert container["logging"]["options"] == {"max-size": "10m", "max-file": "5"}, name
        assert container["restart"] == ("no" if name in WITHOUT_HEALTH else "unless-stopped"), name
        assert not {"privileged", "pid", "ipc", "devices"} & set(container), name
        if container["image"] in OWN_IMAGES:
            assert container["read_only"] is True, name
            assert "cap_add" not in container, name


def test_every_server_has_a_health_check_that_ends(containers: dict[str, Any]) -> None:
    for name, container in containers.items():
        assert ("healthcheck" in container) == (name not in WITHOUT_HEALTH), name
        if check := container.get("healthcheck"):
            assert {"interval", "timeout", "retries"} <= set(check), name


def test_every_image_is_built_once_or_has_a_version(containers: dict[str, Any]) -> None:
    built = {}
    for name, container in containers.items():
        assert container["image"].partition(":")[2] not in ("", "latest"), name
        if build := container.get("build"):
            assert container["image"] not in built
            built[container["image"]] = build["target"]
    assert built == {image: image.removeprefix("evergreen-").removesuffix(":local") for image in OWN_IMAGES}


def test_ports_are_published_on_loopback_and_only_those_of_people(containers: dict[str, Any]) -> None:
    published = {name for name, container in containers.items() if container.get("ports")}
    assert published == {
        "airflow-api-server",
        "mlflow",
        "proxy-credit-score",
        "proxy-titanic",
        "prometheus",
        "grafana",
    }
    for name in published:
        for port in containers[name]["ports"]:
            assert port.startswith("127.0.0.1:${"), name


def test_databases_are_reached_only_by_those_that_need_them(containers: dict[str, Any]) -> None:
    networks = yaml.safe_load(render_compose(EXAMPLES))["networks"]
    assert networks["store"] == networks["metadata"] == {"internal": True}
    assert containers["mariadb"]["networks"] == ["store"]
    for name in ("postgres", "redis"):
        assert containers[name]["networks"] == ["metadata"]
    for name, container in containers.items():
        if container.get("network_mode") == "none":
            continue
        if not name.startswith(("airflow-", "mlflow", "postgres", "redis")):
            assert "metadata" not in container["networks"], name
    assert containers["secret-check"]["network_mode"] == "none"


def test_a_container_has_no_secret_that_it_does_not_need(containers: dict[str, Any]) -> None:
    """A service knows neither Airflow nor the metadata databases; MLflow knows MariaDB not at all."""

    def read_text(name: str) -> str:
        return str({**containers[name], "command": ""})

    for name in containers:
        if is_service(name):
            for secret in ("AIRFLOW", "POSTGRES", "REDIS", "ROOT", "GRAFANA", "ALERT_URLS"):
                assert secret not in read_text(name), (name, secret)
    assert "EVERGREEN_" not in read_text("mlflow")
    assert set(containers["store-tables"]["environment"]) >= {"EVERGREEN_MARIADB_PASSWORD"}
    assert "API_KEY" not in read_text("store-tables")
    # The images of others take secrets as files, which `docker inspect` does not show.
    for name in ("mariadb", "postgres", "redis", "prometheus", "grafana"):
        assert containers[name]["secrets"], name
        if name != "grafana":  # whose data source takes its password from a variable
            assert "${" not in str(containers[name].get("environment", "")), name


def test_every_secret_is_required_and_checked_before_anything_starts(containers: dict[str, Any]) -> None:
    document = yaml.safe_load(render_compose(EXAMPLES))
    assert {name: each["environment"] for name, each in document["secrets"].items()} == FILE_SECRETS
    check = containers["secret-check"]
    assert check["command"][3:] == list(SECRET_VARIABLES)
    for name in SECRET_VARIABLES:
        assert check["environment"][name].startswith(f"${{{name}:?")

    def needs_check(name: str) -> bool:
        needs = containers[name].get("depends_on", {})
        return "secret-check" in needs or any(needs_check(need) for need in needs)

    assert all(needs_check(name) for name in containers if name not in ("secret-check", "cli"))


def test_only_files_that_may_be_written_get_secrets_of_variables(containers: dict[str, Any]) -> None:
    """docker compose cannot put them into a container whose root file system is read-only."""
    for name, container in containers.items():
        assert not (container.get("secrets") and container.get("read_only")), name


def test_a_service_scales_behind_its_proxy(containers: dict[str, Any]) -> None:
    """No name or port of its own; a volume for all replicas, whose spools outlive their containers."""
    service, proxy = containers["service-credit-score"], containers["proxy-credit-score"]
    assert not {"ports", "container_name", "hostname"} & set(service)
    assert "credit-score-home:/var/lib/evergreen" in service["volumes"]
    assert proxy["environment"] == {"SERVICE": "service-credit-score"}
    assert proxy["ports"] == ["127.0.0.1:${CREDIT_SCORE_PORT:-3000}:3000"]
    assert service["stop_grace_period"] == f"{facts.SERVICE_STOP_SECONDS}s"
    for name in ("service-titanic", "proxy-titanic"):
        assert name in containers["service-titanic"]["environment"]["EVERGREEN_ALLOWED_HOSTS"].split(",")
    configuration = (ROOT / "deploy" / "proxy" / "haproxy.cfg").read_text("utf-8")
    assert '"${SERVICE}:3000" resolvers docker' in configuration
    assert f"bind :{facts.PROXY.port}" in configuration
    assert f"bind 127.0.0.1:{facts.PROXY_HEALTH_PORT}" in configuration
    assert f"uri {facts.SERVICE.health_path} " in configuration


def test_workers_scale_and_run_what_the_scheduler_queues(containers: dict[str, Any]) -> None:
    worker = containers["airflow-worker"]
    assert not {"ports", "container_name", "hostname"} & set(worker)
    variables = worker["environment"]
    assert variables["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert variables["AIRFLOW__CELERY__BROKER_URL"].endswith("@redis:6379/0")
    scheduler = containers["airflow-scheduler"]["environment"]
    assert {name: variables[name] for name in scheduler} == scheduler


def test_a_use_case_of_ones_own_adds_its_containers_and_its_folder() -> None:
    churn = replace(titanic.USE_CASE, name="churn")
    before = read_containers(render_compose(EXAMPLES))
    after = read_containers(render_compose([*EXAMPLES, churn], ["./usecases"]))
    assert set(after) - set(before) == {"service-churn", "proxy-churn"}
    # Titanic has declared the same port.
    assert after["proxy-churn"]["ports"] == ["127.0.0.1:${CHURN_PORT:-3002}:3000"]
    for name in ("service-churn", "airflow-worker", "airflow-dag-processor", "cli", "exporter"):
        assert "./usecases:/opt/usecases/1:ro" in after[name]["volumes"], name
        variables = after[name]["environment"]
        assert variables["EVERGREEN_USE_CASES"] == "/opt/usecases/1"
        assert variables["EVERGREEN_TRUSTED_FOLDERS"].split(":") == ["/var/lib/evergreen", "/opt/usecases/1"]
    assert "churn" in json.loads(after["airflow-worker"]["environment"]["EVERGREEN_SERVICE_URLS"])


def test_every_volume_is_declared_and_every_mounted_file_is_there(containers: dict[str, Any]) -> None:
    volumes = yaml.safe_load(render_compose(EXAMPLES))["volumes"]
    used = set()
    for name, container in containers.items():
        for volume in container.get("volumes", []):
            source = volume.split(":")[0]
            if not source.startswith("./"):
                used.add(source)
            # People bring the data; the others belong to the checkout.
            elif source != "./data" and not source.startswith(("./deploy/prometheus", "./deploy/grafana")):
                assert (ROOT / source).exists(), (name, source)
    assert used == set(volumes)
