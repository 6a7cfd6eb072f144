"""Settings: the environment wins over the stack's file, and what is malformed is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evergreen.errors import SettingsError
from evergreen.settings import STACK_ENV, Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_environment_wins_over_the_running_stacks_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / STACK_ENV).write_text("EVERGREEN_MARIADB_PORT=4000\nEVERGREEN_AIRFLOW_USER=file\n")
    monkeypatch.setenv("EVERGREEN_AIRFLOW_USER", "environment")
    settings = load_settings(tmp_path)
    assert (settings.mariadb_port, settings.airflow_user) == (4000, "environment")


def test_an_address_in_the_environment_is_meant_though_the_stack_has_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / STACK_ENV).write_text(f"EVERGREEN_MARIADB_SOCKET={tmp_path}/mariadb.sock\n")
    assert load_settings(tmp_path).mariadb_socket == tmp_path / "mariadb.sock"
    monkeypatch.setenv("EVERGREEN_MARIADB_HOST", "db.example")
    assert load_settings(tmp_path).mariadb_socket is None
    monkeypatch.setenv("EVERGREEN_MARIADB_SOCKET", "/run/mysqld/mysqld.sock")
    assert load_settings(tmp_path).mariadb_socket == Path("/run/mysqld/mysqld.sock")


def test_the_stacks_own_address_in_the_environment_keeps_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {"HOST": "127.0.0.1", "PORT": "3307", "SOCKET": f"{tmp_path}/mariadb.sock"}
    text = "".join(f"EVERGREEN_MARIADB_{name}={value}\n" for name, value in lines.items())
    (tmp_path / "stack.env").write_text(text, "utf-8")
    monkeypatch.setenv("EVERGREEN_MARIADB_HOST", "127.0.0.1")
    monkeypatch.setenv("EVERGREEN_MARIADB_PORT", "3307")
    assert load_settings(tmp_path).mariadb_socket == tmp_path / "mariadb.sock"
    monkeypatch.setenv("EVERGREEN_MARIADB_PORT", "3306")
    assert load_settings(tmp_path).mariadb_socket is None


def test_an_empty_path_is_none_and_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MARIADB_SOCKET", "MARIADB_TLS_CA", "DAGS"):
        monkeypatch.setenv(f"EVERGREEN_{name}", "")
    settings = load_settings(tmp_path)
    assert (settings.mariadb_socket, settings.mariadb_tls_ca, settings.dags) == (None, None, None)
    assert not settings.mariadb_verified


def test_an_authority_requires_tls_and_a_socket_needs_none(tmp_path: Path) -> None:
    assert not Settings().mariadb_verified
    assert Settings(mariadb_tls=True).mariadb_verified
    assert Settings(mariadb_tls_ca=tmp_path / "authority.pem").mariadb_verified
    assert not Settings(mariadb_tls=True, mariadb_socket=tmp_path / "mariadb.sock").mariadb_verified


def test_urls_and_sources_are_read_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_SERVICE_URLS", '{"toy": "http://127.0.0.1:1"}')
    assert load_settings(tmp_path).service_urls == {"toy": "http://127.0.0.1:1"}


def test_a_malformed_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_MARIADB_PORT", "many")
    with pytest.raises(SettingsError, match="EVERGREEN_MARIADB_PORT"):
        load_settings(tmp_path)


@pytest.mark.parametrize(("days", "fault"), [(0, None), (1, "31 or more"), (30, "31 or more"), (31, None)])
def test_checks_are_kept_long_enough_for_the_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, fault: str | None
) -> None:
    monkeypatch.setenv("EVERGREEN_CHECK_DAYS", str(days))
    if fault is None:
        assert load_settings(tmp_path).check_days == days
    else:
        with pytest.raises(SettingsError, match=f"EVERGREEN_CHECK_DAYS: .*{days} days are too few.*{fault}"):
            load_settings(tmp_path)


def test_a_password_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_MARIADB_PASSWORD", "s3cret")
    settings = load_settings(tmp_path)
    assert "s3cret" not in repr(settings)
    assert settings.mariadb_password.get_secret_value() == "s3cret"


def test_a_secret_may_stand_in_a_file_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Docker and Kubernetes mount secrets; it counts before the running stack's own."""
    (tmp_path / "stack.env").write_text("EVERGREEN_MARIADB_PASSWORD=of-the-stack\n")
    (tmp_path / "stack.env").chmod(0o600)
    file = tmp_path / "password"
    file.write_text(" s3cret, größer \n", "utf-8")
    monkeypatch.setenv("EVERGREEN_MARIADB_PASSWORD_FILE", str(file))
    monkeypatch.setenv("EVERGREEN_MARIADB_PASSWORD", "")  # as compose hands on what is unset
    settings = load_settings(tmp_path)
    assert settings.mariadb_password.get_secret_value() == " s3cret, größer "
    assert "s3cret" not in repr(settings)


def test_the_file_of_api_keys_is_no_secret_to_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_API_KEYS_FILE", str(tmp_path / "not made yet"))
    settings = load_settings(tmp_path)
    assert settings.api_keys_path == tmp_path / "not made yet"
    assert settings.api_keys.get_secret_value() == ""


def test_a_secret_given_twice_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_API_KEY", "s3cret")
    monkeypatch.setenv("EVERGREEN_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(SettingsError, match="both EVERGREEN_API_KEY and EVERGREEN_API_KEY_FILE") as refused:
        load_settings(tmp_path)
    assert "s3cret" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"\xff\xfe", "not UTF-8")])
def test_a_file_without_a_readable_secret_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("EVERGREEN_AIRFLOW_PASSWORD_FILE", str(file))
    with pytest.raises(SettingsError, match=f"EVERGREEN_AIRFLOW_PASSWORD_FILE cannot be read: .*{reason}"):
        load_settings(tmp_path)


def test_every_setting_stands_in_the_example_file() -> None:
    example = (ROOT / ".env.example").read_text()
    shown = set(re.findall(r"^#? ?(EVERGREEN_\w+)=", example, re.MULTILINE))
    assert {f"EVERGREEN_{name.upper()}" for name in Settings.model_fields} <= shown
