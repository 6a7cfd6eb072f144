"""The registry through a real MLflow server, as the running stack has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from evergreen.errors import RegistryError
from evergreen.loop import monitor, train
from evergreen.registry.champion import find_alias_over_http, read_champion
from evergreen.registry.models import fetch_run_file, load_model, load_run_model
from evergreen.registry.succession.aliases import (
    CHALLENGER_ALIAS,
    remove_challenger,
    set_challenger,
    set_champion,
)
from evergreen.registry.succession.erasure import delete_model_and_runs
from evergreen.registry.versions import read_version
from evergreen.stack.processes.ports import LOOPBACK, find_free_port
from evergreen.store.connection.database import get_engine
from evergreen.store.records import training_run
from evergreen.training.tracking.training_runs import build_holdout_path
from support.own_servers import start_guarded, stop
from support.waiting import eventually

pytestmark = pytest.mark.slow

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory, empty_mlflow):
    """The address of an MLflow server with SQLite, started as the embedded stack starts it."""
    home = tmp_path_factory.mktemp("mlflow-server")
    shutil.copy(empty_mlflow, home / "mlflow.db")
    port = find_free_port()
    log = home / "server.log"
    process = start_guarded(
        [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--host", LOOPBACK, "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"),
            *("--artifacts-destination", str(home / "artifacts")),
        ],
        environment={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "true"},
        folder=home,
        log=log,
    )
    url = f"http://{LOOPBACK}:{port}"

    def up():
        assert process.poll() is None, f"the MLflow server ended: {log.read_text()[-2000:]}"
        try:
            return httpx.get(f"{url}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    try:
        eventually(up, 180)
        yield url
    finally:
        stop(process)


def test_the_whole_loop_through_a_server(toy_store, toy_use_case, server, tmp_path):
    settings = toy_store.model_copy(update={"mlflow_tracking_uri": server})
    assert read_champion(settings, "toy") is None  # no such model

    first = train.run_train(settings, "toy", AS_OF)
    assert first["promoted"] is True
    champion = read_champion(settings, "toy")
    assert champion is not None
    assert (champion.version, champion.run_id) == (1, first["mlflow_run"])
    assert champion.promoted_at is not None

    # The training has named it challenger for a moment.
    assert find_alias_over_http(settings, "toy", CHALLENGER_ALIAS) is None
    set_challenger(settings, "toy", 1)
    remove_challenger(settings, "toy", 99)
    assert find_alias_over_http(settings, "toy", CHALLENGER_ALIAS) is not None
    remove_challenger(settings, "toy", 1)
    assert find_alias_over_http(settings, "toy", CHALLENGER_ALIAS) is None

    second = train.run_train(settings, "toy", AS_OF + timedelta(days=1))
    assert "its hold-out model, fitted without these rows" in second["gate"]["summary"]
    assert second["version"] == 2

    loaded = load_model(settings, toy_use_case, 1)
    assert (loaded.version, loaded.run_id, loaded.classes) == (1, first["mlflow_run"], ("no", "yes"))
    assert loaded.tags["evergreen.training_run"] == first["training_run"]
    assert load_run_model(settings, toy_use_case, 2, build_holdout_path(0)) is not None
    assert fetch_run_file(settings, first["mlflow_run"], "nothing.json", tmp_path) is None
    with pytest.raises(RegistryError, match="not found"):
        read_version(settings, "toy", 99)

    set_champion(settings, "toy", 1)
    back = read_champion(settings, "toy")
    assert back is not None
    assert back.version == 1
    assert monitor.run_monitor(settings, "toy", datetime.now(UTC))["retrain"] is False

    delete_model_and_runs(settings, "toy")
    assert read_champion(settings, "toy") is None
    assert training_run.get_training_run(get_engine(settings), first["training_run"]).status == "promoted"


def test_asking_for_the_champion_needs_no_mlflow(server):
    """The service and the supervisor ask every two seconds and must not carry MLflow in memory for it."""
    program = (
        "import sys\n"
        "from evergreen.settings import Settings\n"
        "from evergreen.registry.champion import read_champion\n"
        "import evergreen.registry.models\n"
        f"assert read_champion(Settings(mlflow_tracking_uri='{server}'), 'nobody') is None\n"
        "heavy = {'mlflow', 'catboost', 'pandas', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
