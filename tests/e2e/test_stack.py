"""The whole embedded stack for real: MariaDB, MLflow and Airflow come up, survive kills, and leave nothing.

The tests share one stack; each brings it up again if it is down, and the last one ends with it down.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pymysql
import pytest

from evergreen.errors import OrchestratorError
from evergreen.exporter.run import build_collectors, build_registry
from evergreen.settings import Settings, load_settings
from evergreen.stack import lifecycle
from evergreen.stack.airflow_api import AirflowApi
from evergreen.stack.processes import process_table
from evergreen.stack.processes.home import is_stack_alive
from evergreen.stack.status import ProcessStatus, StackStatus, read_stack_status
from evergreen.store.connection.database import dispose_engines, get_engine
from support.listening import listening
from support.own_ports import reserve_ports

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

# Two free cores need less than 90 s, a shared machine may take longer. How long it took is printed, never
# asserted; this bound only ends the wait for a stack that would never be up.
READY_SECONDS = 300.0

TINY_DAG = """
from airflow.sdk import DAG, task

for name in ("tiny", "titanic__upkeep"):
    with DAG(name, schedule=None):

        @task
        def first(**context):
            return (context["dag_run"].conf or {}).get("number", 1)

        @task
        def second(number):
            if number < 0:
                raise ValueError("told to fail")
            return number + 1

        second(first())
"""


class Stack:
    """One stack in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.id = process_table.compute_stack_id(home)
        self.seconds = 0.0

    def up(self) -> StackStatus:
        began = time.monotonic()
        status = lifecycle.start_stack(self.home)
        self.seconds = time.monotonic() - began
        return status

    @property
    def settings(self) -> Settings:
        return load_settings(self.home)

    def process(self, name: str) -> ProcessStatus:
        return next(p for p in read_stack_status(self.home).processes if p.name == name)

    def gone(self) -> bool:
        return not is_stack_alive(self.home) and not process_table.find_stack_processes(self.id)


@pytest.fixture(scope="module")
def started_stack() -> Iterator[Stack]:
    # Not under pytest's tmp_path: its name is too long for a Unix socket.
    home = Path(tempfile.mkdtemp(prefix="evergreen-e2e-"))
    (home / "dags").mkdir()
    (home / "dags" / "tiny.py").write_text(TINY_DAG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lifecycle, "START_SECONDS", READY_SECONDS)
        for name in [name for name in os.environ if name.startswith(("EVERGREEN_", "AIRFLOW"))]:
            patch.delenv(name)
        patch.setenv("EVERGREEN_DAGS", str(home / "dags"))
        patch.setenv("EVERGREEN_USE_CASES", str(home / "none"))
        reserve_ports(home)
        started = Stack(home)
        try:
            started.up()
            yield started
        finally:
            lifecycle.stop_stack(home)
            shutil.rmtree(home)


@pytest.fixture
def stack(started_stack: Stack) -> Stack:
    if not is_stack_alive(started_stack.home):
        started_stack.up()
    return started_stack


def eventually(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "that did not happen in time"
        time.sleep(0.2)


def test_it_is_up_and_small(stack: Stack) -> None:
    status = read_stack_status(stack.home)
    print(f"ready after {stack.seconds:.0f} s with {status.memory_mb:.0f} MB")  # noqa: T201
    assert status.state == "running"
    servers = {p.name for p in status.processes if p.state == "ready"}
    assert servers == {
        "mariadb",
        "mlflow",
        "airflow-api-server",
        "airflow-scheduler",
        "airflow-dag-processor",
        "airflow-triggerer",
    }
    assert status.memory_mb < 3000
    json.dumps(status.to_json())


def test_it_listens_on_nothing_but_its_announced_ports(stack: Stack) -> None:
    """No other TCP or UDP port, on whatever address, and no Unix socket that anybody reaches."""
    announced = [p.port for p in read_stack_status(stack.home).processes if p.port]
    assert len(announced) == 3
    pids = {
        read_stack_status(stack.home).supervisor_pid,
        *process_table.find_stack_processes(stack.id),
    }
    assert listening(pids) == {f"tcp 127.0.0.1:{port}" for port in announced}


def test_mariadb_is_reached_by_a_socket_that_only_its_owner_can_enter(stack: Stack) -> None:
    settings = stack.settings
    assert settings.mariadb_socket is not None
    assert stat.S_ISSOCK(settings.mariadb_socket.stat().st_mode)
    assert stat.S_IMODE(settings.mariadb_socket.parent.stat().st_mode) == 0o700
    with get_engine(settings).connect() as connection:
        # Over TCP the host would have a port.
        (account,) = connection.exec_driver_sql("SELECT USER()").one()
        assert account == "evergreen@localhost"
    dispose_engines(settings)


def test_every_server_answers_and_secrets_are_private(stack: Stack) -> None:
    settings = stack.settings
    with httpx.Client(trust_env=False, timeout=30.0) as direct:  # no proxy knows this machine's loopback
        assert direct.get(f"{settings.mlflow_tracking_uri}/health").status_code == 200
        health = direct.get(f"{settings.airflow_url}/api/v2/monitor/health").json()
    assert {part["status"] for part in health.values()} == {"healthy"}
    password = settings.mariadb_password.get_secret_value()
    with pymysql.connect(
        host="127.0.0.1",
        port=settings.mariadb_port,
        user="evergreen",
        password=password,
        database="evergreen",
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT COUNT(*) FROM schema_migration")
        assert cursor.fetchone()[0] >= 1  # type: ignore[index]
    for name in ("stack.env", "keys.json", "stack.json", "airflow/passwords.json"):
        assert stat.S_IMODE((stack.home / name).stat().st_mode) == 0o600, name
    secrets = [password, *json.loads((stack.home / "keys.json").read_text()).values()]
    for pid in process_table.find_stack_processes(stack.id):
        command = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
        assert not any(secret in command for secret in secrets)
    assert not any(secret in (stack.home / "stack.json").read_text() for secret in secrets)


def test_airflow_runs_a_dag_through_the_api(stack: Stack) -> None:
    airflow = AirflowApi(stack.settings)
    run = airflow.trigger("tiny", {"number": 41}, run_id="answer")
    airflow.wait("tiny", run, timeout=120)
    assert airflow.xcom("tiny", run, "second") == 42
    assert airflow.trigger("tiny", {"number": 1}, run_id="answer") == "answer"
    assert [each.run_id for each in airflow.runs("tiny")].count("answer") == 1
    failing = airflow.trigger("tiny", {"number": -1})
    with pytest.raises(OrchestratorError, match="told to fail"):
        airflow.wait("tiny", failing, timeout=120)


def test_the_exporter_reads_every_server(stack: Stack) -> None:
    airflow = AirflowApi(stack.settings)
    began = time.time()
    airflow.wait("titanic__upkeep", airflow.trigger("titanic__upkeep", {"number": 1}), timeout=120)
    collectors = build_collectors(stack.settings, 60)
    for collector in collectors:
        collector.collect()
    assert [collector.name for collector in collectors if not collector.is_up] == []
    registry = build_registry(collectors)
    labels = {"use_case": "titanic", "dag": "titanic__upkeep"}
    runs = registry.get_sample_value("evergreen_dag_runs", {**labels, "state": "success"})
    last = registry.get_sample_value("evergreen_dag_last_success_timestamp_seconds", labels)
    assert runs == 1
    assert last is not None
    assert last > began
    scheduler = {"component": "scheduler"}
    assert registry.get_sample_value("evergreen_airflow_component_healthy", scheduler) == 1
    assert registry.get_sample_value("evergreen_champion_version", {"use_case": "titanic"}) == 0
    dispose_engines(stack.settings)


def test_killed_servers_come_back(stack: Stack) -> None:
    before = {name: stack.process(name) for name in ("mariadb", "mlflow", "airflow-scheduler")}
    old = set(process_table.find_stack_processes(stack.id))
    for process in before.values():
        os.kill(process.pid, signal.SIGKILL)
    for name in before:
        eventually(
            lambda name=name: (
                stack.process(name).state == "ready" and stack.process(name).restarts > before[name].restarts
            )
        )
        assert stack.process(name).last_exit == "killed by SIGKILL"
    # Neither MLflow's worker nor the scheduler's of the first life is left.
    names = {
        stack_pid: name
        for stack_pid, name in process_table.find_stack_processes(stack.id).items()
        if stack_pid in old
    }
    assert not {"mariadb", "mlflow", "airflow-scheduler"} & set(names.values())


def test_killing_the_supervisor_leaves_nothing_and_up_recovers(stack: Stack) -> None:
    settings = stack.settings
    airflow = AirflowApi(settings)
    run = airflow.trigger("tiny", {"number": 6})
    airflow.wait("tiny", run, timeout=120)
    os.kill(read_stack_status(stack.home).supervisor_pid, signal.SIGKILL)
    eventually(stack.gone, 60.0)
    assert read_stack_status(stack.home).state == "killed"
    assert stack.up().state == "running"
    assert stack.settings == settings
    assert airflow.xcom("tiny", run, "second") == 7


def test_down_leaves_nothing_and_a_taken_port_is_replaced(stack: Stack) -> None:
    port = stack.settings.mariadb_port
    assert lifecycle.stop_stack(stack.home)
    assert stack.gone()
    log = (stack.home / "logs" / "mariadb.log").read_text()
    assert log.rstrip().endswith("Shutdown complete")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last server linger
        taken.bind(("127.0.0.1", port))
        taken.listen()
        status = stack.up()
        assert status.state == "running"
        assert stack.settings.mariadb_port != port
    assert lifecycle.stop_stack(stack.home)
    assert stack.gone()
