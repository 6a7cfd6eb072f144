"""`stack.env`: the running stack's settings and connections, for the command line, Airflow and services."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from evergreen.private import write_private_file
from evergreen.settings import STACK_ENV, Settings

# A value of a settings field; URLs, paths and secrets as text or as what pydantic makes of them.
SettingValue = str | int | float | bool | Path | SecretStr | Sequence[str] | Mapping[str, str]

_PLAIN = re.compile(r"[A-Za-z0-9_./:@+,=-]*")

STACK_SETTINGS = frozenset(
    {
        "home",
        "use_case",
        # Only the environment may name them: see build_child_environment.
        "trusted_folders",
        "mariadb_host",
        "mariadb_port",
        "mariadb_socket",
        "mariadb_tls",
        "mariadb_tls_ca",
        "mariadb_user",
        "mariadb_password",
        "mariadb_database",
        "mlflow_tracking_uri",
        "airflow_url",
        "airflow_user",
        "airflow_password",
        "service_urls",
    }
)


def build_variables(values: Mapping[str, SettingValue]) -> dict[str, str]:
    """Settings fields as the environment variables that give them those values."""
    return {f"EVERGREEN_{name.upper()}": _format_value(value) for name, value in values.items()}


def collect_user_settings(settings: Settings) -> dict[str, str]:
    """The user's own settings that differ from the defaults, with relative paths made absolute.

    The servers run in other folders than the user's shell.
    """
    fields = type(settings).model_fields
    return _build_setting_variables(
        settings,
        [n for n, f in fields.items() if getattr(settings, n) != f.get_default(call_default_factory=True)],
    )


def collect_restart_settings(settings: Settings) -> dict[str, str]:
    """All of the user's settings, for a server whose former ones they replace.

    Also those that are at their default again, and the trusted folders where there are any.
    """
    trusted = {"trusted_folders": settings.trust.absolute_exceptions} if settings.trusted_folders else {}
    return {
        **_build_setting_variables(settings, list(type(settings).model_fields)),
        **build_variables(trusted),
    }


def _build_setting_variables(settings: Settings, names: Sequence[str]) -> dict[str, str]:
    values = {
        name: value
        for name in names
        if name not in STACK_SETTINGS and (value := getattr(settings, name)) is not None
    }
    if settings.dags is not None:
        values["dags"] = settings.dags.resolve()
    values["use_cases"] = ":".join(
        str(Path(folder).resolve()) for folder in settings.use_cases.split(":") if folder
    )
    if settings.sources:
        values["sources"] = {name: _make_absolute(path) for name, path in settings.sources.items()}
    return build_variables(values)


def write_stack_env(home: Path, lines: Mapping[str, str]) -> None:
    """Replace `stack.env` (mode 600) atomically."""
    head = "# Written by `evergreen up`: the running stack's settings. It holds passwords; do not share it.\n"
    write_private_file(
        home / STACK_ENV, head + "".join(f"{name}={_quote_value(v)}\n" for name, v in lines.items())
    )


def _make_absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).expanduser().resolve())


def _format_value(value: SettingValue) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return json.dumps(value) if isinstance(value, dict | list | tuple) else str(value)


def _quote_value(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
