"""What the real stack consists of: ports that nobody else has, and databases that no restart deletes."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evergreen.errors import StackError
from evergreen.serving.predictions.shipper import DRAIN_SECONDS
from evergreen.settings import load_settings
from evergreen.sources.connections import find_connection_url, parse_connection
from evergreen.stack.lifecycle import STOP_SECONDS
from evergreen.stack.processes.child import ChildSpec
from evergreen.stack.processes.ports import find_free_port
from evergreen.stack.servers.mariadb import PrivateMariaDB
from evergreen.stack.servers.server_list import USUAL_PORTS, EvergreenPlan
from evergreen.stack.servers.sqlite_files import build_unfinished_path
from support import toy_declaration


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Declares a copy of the toy use case; all of them want the same port."""
    monkeypatch.setenv("EVERGREEN_USE_CASES", str(tmp_path / "usecases"))
    for name in USUAL_PORTS:  # those of a stack that really runs on this machine do not matter here
        monkeypatch.setitem(USUAL_PORTS, name, find_free_port())

    def add(name: str) -> None:
        folder = tmp_path / "usecases" / name
        folder.mkdir(parents=True)
        text = Path(toy_declaration.__file__).read_text(encoding="utf-8")
        assert 'name="toy"' in text
        (folder / "__init__.py").write_text(text.replace('name="toy"', f'name="{name}"'))

    return add


def test_no_two_use_cases_get_the_same_port_though_no_service_listens_yet(
    tmp_path: Path, declare: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evergreen.stack.servers.server_list.read_champion", lambda *_: None)
    declare("toy_a")
    (tmp_path / "home").mkdir()
    plan = EvergreenPlan(tmp_path / "home", {})
    plan.servers()
    declare("toy_b")
    declare("toy_c")
    assert plan.services() == []
    assert {"service-toy_a", "service-toy_b", "service-toy_c"} <= set(plan.ports)
    assert len(set(plan.ports.values())) == len(plan.ports)
    urls = load_settings(tmp_path / "home").service_urls
    assert {f"toy_{letter}" for letter in "abc"} <= set(urls)
    assert len(set(urls.values())) == len(urls)


def test_a_service_gets_the_time_that_its_prediction_log_needs_to_end(
    tmp_path: Path, declare: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evergreen.stack.servers.server_list.read_champion", lambda *_: object())
    declare("toy_a")
    home = tmp_path / "home"
    home.mkdir()
    plan = EvergreenPlan(home, {})
    servers = plan.servers()
    services = [spec for spec in plan.services() if spec.name == "service-toy_a"]
    assert [spec.stop_seconds > DRAIN_SECONDS for spec in services] == [True]
    # `evergreen down` waits for both: MariaDB is asked when everything else has ended.
    database = next(spec for spec in servers if spec.stop_last)
    assert services[0].stop_seconds + database.stop_seconds < STOP_SECONDS


def servers_of(home: Path) -> dict[str, ChildSpec]:
    home.mkdir(exist_ok=True)
    return {spec.name: spec for spec in EvergreenPlan(home, {}).servers()}


def test_a_restart_after_a_failed_stamp_keeps_every_database(
    tmp_path: Path, declare: Callable[[str], None]
) -> None:
    """No stamp stands in the home: databases that are there are used as they are, whatever else is not."""
    kept = [tmp_path / name for name in ("mlflow/mlflow.db", "airflow/airflow.db", "mariadb/data/ibdata1")]
    for database in kept:
        database.parent.mkdir(parents=True)
        database.write_text("everything")
    specs = servers_of(tmp_path)
    for _ in range(2):
        for spec in specs.values():
            if spec.before:
                spec.before()
    assert [database.read_text() for database in kept] == ["everything"] * 3
    assert not {"mlflow-db", "mariadb-init"} & set(specs)
    assert not specs["mlflow"].needs
    assert specs["mlflow"].before is specs["mariadb"].before is None


def test_databases_are_made_in_steps_of_their_own_under_another_name(
    tmp_path: Path, declare: Callable[[str], None]
) -> None:
    specs = servers_of(tmp_path)
    for step, server, database in (
        ("mlflow-db", "mlflow", tmp_path / "mlflow" / "mlflow.db"),
        ("airflow-db", "airflow-scheduler", tmp_path / "airflow" / "airflow.db"),
        ("mariadb-init", "mariadb", tmp_path / "mariadb" / "data"),
    ):
        assert specs[step].one_off
        assert step in specs[server].needs
        told = " ".join((*specs[step].command, *specs[step].environment.values()))
        made = build_unfinished_path(database)
        assert str(made) in told or (specs[step].folder == made.parent and f"=./{made.name}" in told)
        assert specs[step].before
        assert not database.exists()
    assert str(build_unfinished_path(tmp_path / "airflow" / "airflow.db")) not in " ".join(
        specs["airflow-scheduler"].environment.values()
    )


def test_a_data_folder_that_was_never_finished_is_made_anew(tmp_path: Path) -> None:
    server = PrivateMariaDB(home=tmp_path, port=1, user="u", password="p")
    build_unfinished_path(server.data).mkdir()
    server.forget_half_made()
    assert not build_unfinished_path(server.data).exists()
    assert not server.initialised
    build_unfinished_path(server.data).mkdir()
    server.mark_initialised()
    server.forget_half_made()
    assert server.initialised


def test_a_deep_home_has_its_socket_in_a_short_folder_that_only_its_owner_enters(tmp_path: Path) -> None:
    home = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 4)
    server = PrivateMariaDB(home=home, port=1, user="u", password="p")
    folder = server.socket.parent
    try:
        assert len(str(server.socket)) < 108
        server.prepare()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        server.prepare()
        folder.chmod(0o777)  # as somebody else might have made it before
        with pytest.raises(StackError, match="only you can enter"):
            server.prepare()
        folder.rmdir()
        folder.symlink_to(tmp_path)
        with pytest.raises(StackError, match="only you can enter") as refused:
            server.prepare()
        assert "EVERGREEN_HOME" in refused.value.hint
        folder.unlink()
    finally:
        if folder.is_dir():
            folder.rmdir()


def test_the_account_is_the_processs_own_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody")
    own = pwd.getpwuid(os.geteuid()).pw_name
    server = PrivateMariaDB(home=tmp_path, port=1, user="u", password="p")
    assert server.administrator["user"] == own
    assert f"--auth-root-socket-user={own}" in server.install_command()


def test_every_way_to_mariadb_is_its_socket(tmp_path: Path, declare: Callable[[str], None]) -> None:
    """Whoever takes its port while it is down is told no password."""
    specs = servers_of(tmp_path)
    socket = tmp_path / "mariadb" / "mariadb.sock"
    settings = load_settings(tmp_path)
    assert settings.mariadb_socket == socket
    bank = find_connection_url("credit_bank", settings)
    assert (bank.host, bank.port, bank.query["unix_socket"]) == ("localhost", None, str(socket))
    assert bank.render_as_string(hide_password=False) == (
        parse_connection("x", specs["airflow-scheduler"].environment["AIRFLOW_CONN_CREDIT_BANK"])
    ).render_as_string(hide_password=False)


def test_the_wheel_holds_the_dags_and_the_migrations_and_finds_them(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    source = tmp_path / "source"
    for name in ("src", "dags", "sql"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(root / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    shutil.unpack_archive(wheel, installed, "zip")
    code = (
        "from evergreen.settings import Settings\n"
        "from evergreen.stack.servers.airflow import find_dags_folder\n"
        "from evergreen.store.tables import sql_files\n"
        "found = (sql_files.__file__, find_dags_folder(Settings()), sql_files.find_migrations_folder())\n"
        "print(*found, sep='\\n')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    module, dags, sql = result.stdout.splitlines()
    assert module.startswith(str(installed))
    assert dags == str(installed / "evergreen" / "_dags")
    assert sql == str(installed / "evergreen" / "_sql")
    for folder in ("dags", "sql"):
        packaged = {path.name for path in (installed / "evergreen" / f"_{folder}").iterdir()}
        assert packaged == {path.name for path in (source / folder).iterdir()}
