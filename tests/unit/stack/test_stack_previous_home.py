"""A home of the version before: its `stack.json` and `keys.json`, as that version wrote them, are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from evergreen.errors import StackError
from evergreen.stack.processes.stack_state import read_state
from evergreen.stack.servers.keys import load_or_create_keys

STATE = """{
 "id": "3f2b", "phase": "failed", "since": "2026-07-01T00:00:00+00:00", "supervisor_pid": null,
 "ports": {"mariadb": 3307, "mlflow": 5001},
 "processes": [
  {"name": "mariadb", "state": "ready", "one_off": false, "pid": 12, "port": 3307, "url": "", "since": "",
   "restarts": 1, "last_exit": "", "detail": "", "log": "logs/mariadb.log", "request": ""},
  {"name": "mlflow", "state": "back-off", "one_off": false, "pid": null, "port": 5001,
   "url": "http://127.0.0.1:5001", "since": "", "restarts": 0, "last_exit": "exit 1", "detail": "",
   "log": "", "request": ""}
 ],
 "problems": ["a port was taken"],
 "error": {"type": "StackError", "message": "mlflow does not start", "hint": "see its log"}
}"""
KEYS = """{
 "mariadb_password": "one", "airflow_password": "two", "airflow_fernet_key": "three",
 "airflow_jwt_secret": "four", "airflow_secret_key": "five"
}"""


def test_its_state_is_read(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(STATE, "utf-8")
    state = read_state(tmp_path)
    assert state is not None
    assert (state.phase, state.ports["mariadb"], state.processes[1].state) == ("failed", 3307, "back-off")
    assert state.urls == {"mlflow": "http://127.0.0.1:5001"}
    with pytest.raises(StackError, match="mlflow does not start"):
        state.raise_error()


def test_its_passwords_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(KEYS, "utf-8")
    keys = load_or_create_keys(tmp_path)
    assert (keys.mariadb_password, keys.airflow_fernet_key) == ("one", "three")
    assert path.read_text("utf-8") == KEYS
    assert keys.service_api_key == load_or_create_keys(tmp_path).service_api_key
