"""Ports, keys, logs, the state file and stack.env: what the stack keeps on disk."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from evergreen.errors import MissingProgram, StackError
from evergreen.settings import Settings, load_settings
from evergreen.stack import logs
from evergreen.stack.envfile import chosen_by_user, variables, write_stack_env
from evergreen.stack.keys import keys
from evergreen.stack.mariadb import find_program
from evergreen.stack.ports import any_free, assign, is_free
from evergreen.stack.servers import child_environment
from evergreen.stack.state import (
    ProcessState,
    StackState,
    forget_half_made,
    is_alive,
    open_lock,
    read_state,
    try_lock,
    write_state,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_taken_port_is_replaced_and_the_others_are_kept() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, free = taken.getsockname()[1], any_free()
        assert not is_free(port)
        assigned = assign({"a": port, "b": free}, {})
        assert assigned["a"] != port
        assert assigned["b"] == free


def test_the_port_of_last_time_comes_before_the_usual_one() -> None:
    last, usual = any_free(), any_free()
    assert assign({"a": usual}, {"a": last}) == {"a": last}


def test_no_two_servers_share_a_port() -> None:
    port = any_free()
    assigned = assign({"a": port, "b": port, "c": port}, {})
    assert assigned["a"] == port
    assert len(set(assigned.values())) == 3


def test_keys_are_private_made_once_and_kept(tmp_path: Path) -> None:
    first = keys(tmp_path)
    assert keys(tmp_path) == first
    assert mode(tmp_path / "keys.json") == 0o600
    assert len({first.mariadb_password, first.airflow_password, first.airflow_jwt_secret}) == 3


def test_damaged_keys_say_so_and_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(StackError, match=r"keys\.json is damaged"):
        keys(tmp_path)
    assert (tmp_path / "keys.json").read_text() == "{"


def test_stack_env_gives_back_the_same_settings(tmp_path: Path) -> None:
    decided = {
        "mariadb_port": 4711,
        "mariadb_password": SecretStr("it's a \\ secret"),
        "service_urls": {"toy": "http://127.0.0.1:3000"},
        "sources": {"toy": "/data/it's here.csv"},
    }
    write_stack_env(tmp_path, {**variables(decided), "AIRFLOW_CONN_X": "mysql://u:p@127.0.0.1:1/x"})
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
    chosen = chosen_by_user(settings)
    assert chosen["EVERGREEN_USE_CASES"] == f"{tmp_path}/mine:{tmp_path}/theirs"
    assert chosen["EVERGREEN_SOURCES"] == f'{{"a": "{tmp_path}/a.csv", "b": "https://host/b.csv"}}'
    assert chosen["EVERGREEN_THREADS"] == "2"
    assert "EVERGREEN_MARIADB_PORT" not in chosen


def test_the_state_survives_the_file(tmp_path: Path) -> None:
    state = StackState(
        id="x",
        phase="running",
        ports={"web": 1},
        processes=[ProcessState("web", state="ready", pid=7, url="http://127.0.0.1:1")],
        error={"type": "MissingProgram", "message": "no mariadbd", "hint": "install it"},
    )
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert state.urls == {"web": "http://127.0.0.1:1"}
    with pytest.raises(MissingProgram, match="no mariadbd") as caught:
        state.raise_error()
    assert caught.value.hint == "install it"


@pytest.mark.parametrize(
    "text", ["", "{", '{"id": "x"}', '{"id": "x", "processes": [{"nonsense": 1}]}', "[]"]
)
def test_an_unreadable_state_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.json").write_text(text)
    assert read_state(tmp_path) is None


def test_the_lock_tells_whether_the_stack_lives(tmp_path: Path) -> None:
    assert not is_alive(tmp_path)
    first, second = open_lock(tmp_path), open_lock(tmp_path)
    assert try_lock(first)
    assert not try_lock(second)
    assert is_alive(tmp_path)
    os.close(first)
    assert not is_alive(tmp_path)
    os.close(second)


def test_a_home_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="cannot write to the stack's home") as caught:
        open_lock(tmp_path / "file" / "home")
    assert "EVERGREEN_HOME" in caught.value.hint


def test_a_database_is_forgotten_only_if_it_never_was_complete(tmp_path: Path) -> None:
    database, stamp = tmp_path / "x.db", tmp_path / "initialised"
    for name in ("x.db", "x.db-wal", "other.db"):
        (tmp_path / name).touch()
    stamp.touch()
    forget_half_made(database, stamp)
    assert database.exists()
    stamp.unlink()
    forget_half_made(database, stamp)
    assert [file.name for file in tmp_path.iterdir()] == ["other.db"]


def test_a_log_stays_bounded_while_its_writer_writes_on(tmp_path: Path) -> None:
    path = logs.log_path(tmp_path, "web")
    fd = logs.open_log(path)
    os.write(fd, b"old\n" * 100)
    logs.bound(path, max_bytes=100)
    os.write(fd, b"new\n")
    os.close(fd)
    assert path.read_text() == "new\n"
    assert Path(f"{path}.1").stat().st_size == 400
    assert mode(path) == 0o600


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    assert logs.tail(path) == ""
    path.write_text("".join(f"line {n}\n" for n in range(5000)))
    assert logs.tail(path, lines=2) == "line 4998\nline 4999"


def test_a_missing_program_says_what_to_install() -> None:
    with pytest.raises(MissingProgram, match="no-such-server is not installed") as caught:
        find_program("no-such-server")
    assert "mariadb-server-core" in caught.value.hint


def test_the_servers_inherit_nothing_that_would_mislead_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__SQL_ALCHEMY_CONN", "sqlite:////somebody/elses.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("EVERGREEN_MARIADB_PORT", "3306")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "mysql://kept")
    monkeypatch.setenv("NO_PROXY", "intranet")
    environment = child_environment(Settings(home=tmp_path, threads=3))
    assert not {"AIRFLOW__CORE__SQL_ALCHEMY_CONN", "MLFLOW_TRACKING_URI", "EVERGREEN_MARIADB_PORT"} & set(
        environment
    )
    assert environment["AIRFLOW_CONN_WAREHOUSE"] == "mysql://kept"
    assert environment["EVERGREEN_THREADS"] == "3"
    assert environment["no_proxy"] == "intranet,127.0.0.1,localhost"
