"""Ports, keys, logs, the state file and stack.env: what the stack keeps on disk."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from evergreen.errors import MissingProgram, StackError
from evergreen.settings import Settings, load_settings
from evergreen.stack import lifecycle
from evergreen.stack.processes import logs
from evergreen.stack.processes.home import is_stack_alive, make_home_private, open_lock_file, try_lock
from evergreen.stack.processes.ports import assign_ports, find_free_port, is_port_free
from evergreen.stack.processes.process_table import compute_stack_id
from evergreen.stack.processes.stack_state import (
    ProcessState,
    StackFailure,
    StackState,
    read_state,
    write_state,
)
from evergreen.stack.servers import mariadb
from evergreen.stack.servers.envfile import (
    build_variables,
    collect_restart_settings,
    collect_user_settings,
    write_stack_env,
)
from evergreen.stack.servers.keys import load_or_create_keys
from evergreen.stack.servers.mariadb import find_program
from evergreen.stack.servers.server_list import build_child_environment
from evergreen.stack.servers.sqlite_files import (
    build_sqlite_url,
    build_unfinished_path,
    finish_database,
    remove_unfinished_database,
)
from evergreen.stack.status import read_stack_status

# Also where the locale's encoding cannot say it.
HANGUL = os.fsdecode("에버 그린".encode())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_taken_port_is_replaced_and_the_others_are_kept() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, free = taken.getsockname()[1], find_free_port()
        assert not is_port_free(port)
        assigned = assign_ports({"a": port, "b": free}, {})
        assert assigned["a"] != port
        assert assigned["b"] == free


def test_the_port_of_last_time_comes_before_the_usual_one() -> None:
    last, usual = find_free_port(), find_free_port()
    assert assign_ports({"a": usual}, {"a": last}) == {"a": last}


def test_no_two_servers_share_a_port() -> None:
    port = find_free_port()
    assigned = assign_ports({"a": port, "b": port, "c": port}, {})
    assert assigned["a"] == port
    assert len(set(assigned.values())) == 3


def test_a_reserved_port_is_given_to_nobody_though_nobody_listens_on_it() -> None:
    reserved = find_free_port()
    assigned = assign_ports({"new": reserved}, {"new": reserved}, reserved=[reserved])
    assert assigned["new"] != reserved


def test_a_newcomer_does_not_get_the_port_that_another_had_last_time() -> None:
    port, usual = find_free_port(), find_free_port()
    assigned = assign_ports({"newcomer": port, "old": usual}, {"old": port})
    assert assigned["old"] == port
    assert assigned["newcomer"] != port


def test_keys_are_private_made_once_and_kept(tmp_path: Path) -> None:
    first = load_or_create_keys(tmp_path)
    assert load_or_create_keys(tmp_path) == first
    assert mode(tmp_path / "keys.json") == 0o600
    assert len({first.mariadb_password, first.airflow_password, first.airflow_jwt_secret}) == 3
    assert first.airflow_secret_key not in first.service_api_key
    assert len(first.service_api_key) > 60


def test_damaged_keys_say_so_and_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(StackError, match=r"keys\.json is damaged"):
        load_or_create_keys(tmp_path)
    assert (tmp_path / "keys.json").read_text() == "{"


def test_stack_env_gives_back_the_same_settings(tmp_path: Path) -> None:
    decided = {
        "mariadb_port": 4711,
        "mariadb_password": SecretStr("it's a \\ secret"),
        "service_urls": {"toy": "http://127.0.0.1:3000"},
        "sources": {"toy": "/data/it's here.csv"},
    }
    write_stack_env(tmp_path, {**build_variables(decided), "AIRFLOW_CONN_X": "mysql://u:p@127.0.0.1:1/x"})
    assert mode(tmp_path / "stack.env") == 0o600
    settings = load_settings(tmp_path)
    assert settings.mariadb_port == 4711
    assert settings.mariadb_password.get_secret_value() == "it's a \\ secret"
    assert settings.service_urls == {"toy": "http://127.0.0.1:3000"}
    assert settings.sources == {"toy": "/data/it's here.csv"}


def test_the_users_own_settings_travel_with_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        use_cases="mine:theirs", sources={"a": "a.csv", "b": "https://host/b.csv"}, threads=2, mariadb_port=1
    )
    chosen = collect_user_settings(settings)
    assert chosen["EVERGREEN_USE_CASES"] == f"{tmp_path}/mine:{tmp_path}/theirs"
    assert chosen["EVERGREEN_SOURCES"] == f'{{"a": "{tmp_path}/a.csv", "b": "https://host/b.csv"}}'
    assert chosen["EVERGREEN_THREADS"] == "2"
    assert "EVERGREEN_MARIADB_PORT" not in chosen


def test_a_restart_sends_also_what_is_at_its_default_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = collect_restart_settings(Settings(threads=2))
    assert chosen["EVERGREEN_THREADS"] == "2"
    assert chosen["EVERGREEN_CHAMPION_POLL_SECONDS"] == "2.0"
    assert chosen["EVERGREEN_USE_CASES"] == f"{tmp_path}/usecases"
    assert not {"EVERGREEN_DAGS", "EVERGREEN_MARIADB_PASSWORD", "EVERGREEN_TRUSTED_FOLDERS"} & chosen.keys()
    trusting = collect_restart_settings(Settings(trusted_folders="theirs"))
    assert trusting["EVERGREEN_TRUSTED_FOLDERS"] == f"{tmp_path}/theirs"


def test_the_state_survives_the_file(tmp_path: Path) -> None:
    state = StackState(
        id="x",
        phase="running",
        ports={"web": 1},
        processes=[ProcessState("web", state="ready", pid=7, url="http://127.0.0.1:1")],
        failure=StackFailure("MissingProgram", "no mariadbd", "install it"),
    )
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert state.urls == {"web": "http://127.0.0.1:1"}
    with pytest.raises(MissingProgram, match="no mariadbd") as caught:
        state.raise_error()
    assert caught.value.hint == "install it"


def test_the_state_that_another_version_wrote_is_read(tmp_path: Path) -> None:
    """Also by `evergreen down`, which then ends that version's processes."""
    earlier = {"name": "web", "state": "ready", "one_off": False, "pid": 7, "port": 1, "of_later": True}
    error = {"type": "Unheard", "message": "no", "hint": "yes"}
    document = {
        **{"id": "x", "phase": "failed", "since": "2026-01-01T00:00:00+00:00", "supervisor_pid": 5},
        **{"ports": {"web": 1}, "processes": [earlier], "problems": ["p"], "error": error, "of_later": 1},
    }
    (tmp_path / "stack.json").write_text(json.dumps(document))
    state = read_state(tmp_path)
    assert state is not None
    assert (state.phase, state.supervisor_pid, state.ports) == ("failed", 5, {"web": 1})
    assert state.processes == [ProcessState("web", state="ready", pid=7, port=1)]
    with pytest.raises(StackError, match="no"):
        state.raise_error()
    written = state.to_json()
    assert written["error"] == error
    assert list(written) == [name for name in document if name != "of_later"]


@pytest.mark.parametrize(
    "text", ["", "{", '{"id": "x"}', '{"id": "x", "processes": [{"nonsense": 1}]}', "[]"]
)
def test_an_unreadable_state_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.json").write_text(text)
    assert read_state(tmp_path) is None


def test_the_lock_tells_whether_the_stack_lives(tmp_path: Path) -> None:
    assert not is_stack_alive(tmp_path)
    first, second = open_lock_file(tmp_path), open_lock_file(tmp_path)
    assert try_lock(first)
    assert not try_lock(second)
    assert is_stack_alive(tmp_path)
    os.close(first)
    assert not is_stack_alive(tmp_path)
    os.close(second)


def test_a_home_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="cannot use the stack's home") as caught:
        open_lock_file(tmp_path / "file" / "home")
    assert "EVERGREEN_HOME" in caught.value.hint


@contextlib.contextmanager
def as_somebody_else() -> Iterator[None]:
    """Root may read everything; permissions are only felt as another user."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(("home_mode", "lock_mode"), [(0o000, 0o600), (0o755, 0o000)])
@pytest.mark.parametrize(
    "ask", [is_stack_alive, read_stack_status, lifecycle.start_stack, lifecycle.stop_stack]
)
def test_a_home_that_cannot_be_read_is_one_clear_error(
    home_mode: int, lock_mode: int, ask: Callable[[Path], object]
) -> None:
    # Not under pytest's tmp_path: nobody but the user who runs the tests may look into that.
    with tempfile.TemporaryDirectory(prefix="evergreen-test-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        Path(folder).chmod(0o755)
        for name in ("stack.lock", "up.lock", "stack.json"):
            (home / name).touch()
            (home / name).chmod(lock_mode)
        home.chmod(home_mode)
        try:
            with as_somebody_else(), pytest.raises(StackError, match="cannot use the stack's home") as caught:
                ask(home)
            assert "EVERGREEN_HOME" in caught.value.hint
        finally:
            home.chmod(0o700)


@pytest.mark.parametrize("existing", [True, False])
def test_the_home_is_made_private_whoever_made_it(tmp_path: Path, existing: bool) -> None:
    home = tmp_path / "deep" / "home"
    if existing:
        home.mkdir(parents=True)
        home.chmod(0o777)
    make_home_private(home)
    assert mode(home) == 0o700


def test_a_folder_that_everybody_shares_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(StackError, match="shared by everybody"):
        make_home_private(tmp_path)
    assert mode(tmp_path) == 0o1777
    tmp_path.chmod(0o700)


def rows(database: Path) -> list[tuple[int]]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT n FROM kept").fetchall()


def make_database(path: Path, number: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE kept (n INT)")
        connection.execute("INSERT INTO kept VALUES (?)", (number,))
        connection.commit()


def test_a_database_gets_its_name_when_it_is_complete_and_is_never_deleted_then(tmp_path: Path) -> None:
    database = tmp_path / "x.db"
    (tmp_path / "other.db").touch()
    make_database(build_unfinished_path(database), 1)
    remove_unfinished_database(database)
    assert [file.name for file in tmp_path.iterdir()] == ["other.db"]
    make_database(build_unfinished_path(database), 2)
    finish_database(database)
    make_database(build_unfinished_path(database), 3)
    remove_unfinished_database(database)
    assert rows(database) == [(2,)]
    make_database(build_unfinished_path(database), 4)
    finish_database(database)
    assert rows(database) == [(2,)]
    assert {file.name for file in tmp_path.iterdir()} == {"other.db", "x.db"}


def test_a_database_that_nobody_made_is_an_error_and_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        finish_database(tmp_path / "x.db")
    assert not list(tmp_path.iterdir())


def test_a_log_stays_bounded_while_its_writer_writes_on(tmp_path: Path) -> None:
    path = logs.build_log_path(tmp_path, "web")
    fd = logs.open_log(path)
    os.write(fd, b"old\n" * 100)
    logs.limit_log_size(path, max_bytes=100)
    os.write(fd, b"new\n")
    os.close(fd)
    assert path.read_text() == "new\n"
    assert Path(f"{path}.1").stat().st_size == 400
    assert mode(path) == 0o600
    assert mode(Path(f"{path}.1")) == 0o600


def test_logs_that_others_could_read_become_private(tmp_path: Path) -> None:
    path = logs.build_log_path(tmp_path, "web")
    path.parent.mkdir()
    path.write_bytes(b"old\n" * 100)
    Path(f"{path}.1").write_bytes(b"older\n" * 100)
    for file in (path, Path(f"{path}.1")):
        file.chmod(0o644)
    logs.limit_log_size(path, max_bytes=100)
    os.close(logs.open_log(path))
    assert mode(path) == mode(Path(f"{path}.1")) == 0o600
    assert Path(f"{path}.1").read_bytes() == b"old\n" * 100


def test_old_logs_go_with_the_folders_that_they_leave_empty_and_others_stay(tmp_path: Path) -> None:
    old, new = 1_000_000, 2_000_000
    ages = {
        "dag_id=a/run_id=1/task_id=x/attempt=1.log": old,
        "dag_id=a/run_id=2/task_id=x/attempt=1.log": old,
        "dag_id=a/run_id=2/task_id=x/attempt=2.log": new,
        "dag_processor/2026-01-01/dags/f.py.log": old,
    }
    for name, age in ages.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("words")
        os.utime(path, (age, age))
    (tmp_path / "dag_id=a" / "run_id=3").mkdir()  # of a task that is about to write
    assert logs.delete_old_logs(tmp_path, oldest=1_500_000) == 3
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left == {
        *("dag_id=a", "dag_id=a/run_id=2", "dag_id=a/run_id=2/task_id=x", "dag_id=a/run_id=3"),
        "dag_id=a/run_id=2/task_id=x/attempt=2.log",
    }
    assert logs.delete_old_logs(tmp_path / "nothing", oldest=1_500_000) == 0


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    assert logs.read_log_tail(path) == ""
    path.write_text("".join(f"line {n}\n" for n in range(5000)))
    assert logs.read_log_tail(path, lines=2) == "line 4998\nline 4999"


def test_a_missing_program_says_what_to_install() -> None:
    with pytest.raises(MissingProgram, match="no-such-server is not installed") as caught:
        find_program("no-such-server")
    assert "mariadb-server-core" in caught.value.hint


def test_oracles_mysql_is_not_taken_for_mariadb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mysqld", "mysql_install_db"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mariadb, "_MORE_FOLDERS", ())
    server = mariadb.PrivateMariaDB(home=tmp_path, port=1, user="u", password="p")
    for ask in (server.prepare, server.install_command, server.command):
        with pytest.raises(MissingProgram, match="mariadb"):
            ask()


@pytest.mark.parametrize("name", ["plain", HANGUL, "a#b", "50 %", "50 %41", "why?", "?a=b", "it's"])
def test_the_url_of_a_database_means_its_file_whatever_its_folders_name(name: str, tmp_path: Path) -> None:
    database = tmp_path / name / "mlflow.db"
    database.parent.mkdir()
    engine = sa.create_engine(build_sqlite_url(database))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a INT)")
    engine.dispose()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mlflow.db"]
    assert database.is_file()


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_a_stack_is_the_same_one_in_every_locale(locale: str, tmp_path: Path) -> None:
    home = tmp_path / HANGUL
    code = (
        "import os, sys; from pathlib import Path\n"
        "from evergreen.stack.servers.mariadb import PrivateMariaDB\n"
        "from evergreen.stack.processes.process_table import compute_stack_id\n"
        "home = Path(os.environ['TEST_HOME'])\n"
        "server = PrivateMariaDB(home=home / ('x' * 100), port=1, user='u', password='p')\n"
        "print(compute_stack_id(home), server.socket)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"TEST_HOME": str(home), "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stderr
    server = mariadb.PrivateMariaDB(home=home / ("x" * 100), port=1, user="u", password="p")
    assert result.stdout.split() == [compute_stack_id(home), str(server.socket)]


def test_no_child_reports_to_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries' own checks, with exactly what a child inherits."""
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    code = (
        "from mlflow.telemetry.utils import is_telemetry_disabled as off\n"
        "from bentoml._internal.utils.analytics.usage_stats import do_not_track\n"
        "import os\n"
        "assert off() and do_not_track()\n"
        "del os.environ['MLFLOW_DISABLE_TELEMETRY']\n"
        "assert off(), 'DO_NOT_TRACK'\n"
    )
    kept = {
        name: value
        for name, value in build_child_environment(Settings(home=tmp_path)).items()
        if name not in ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST")
    }
    result = subprocess.run(
        [sys.executable, "-c", code], env=kept, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_servers_inherit_nothing_that_would_mislead_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__SQL_ALCHEMY_CONN", "sqlite:////somebody/elses.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("EVERGREEN_MARIADB_PORT", "3306")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "mysql://kept")
    monkeypatch.setenv("NO_PROXY", "intranet")
    environment = build_child_environment(Settings(home=tmp_path, threads=3))
    assert not {"AIRFLOW__CORE__SQL_ALCHEMY_CONN", "MLFLOW_TRACKING_URI", "EVERGREEN_MARIADB_PORT"} & set(
        environment
    )
    assert environment["AIRFLOW_CONN_WAREHOUSE"] == "mysql://kept"
    assert environment["EVERGREEN_THREADS"] == "3"
    assert environment["no_proxy"] == "intranet,127.0.0.1,localhost"
