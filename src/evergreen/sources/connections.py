"""Foreign databases by the name of their Airflow Connection, in Airflow and outside of it."""

from __future__ import annotations

import json
import os
import sys
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import sqlalchemy as sa

from evergreen.errors import SettingsError, SourceError
from evergreen.settings import STACK_ENV, Settings

CONNECTION_PREFIX = "AIRFLOW_CONN_"

# Airflow's connection types, and the SQLAlchemy dialect with the driver that we use for them.
_DIALECTS = {
    "mysql": "mysql+mysqldb",
    "mariadb": "mysql+mysqldb",
    "mysql+mysqldb": "mysql+mysqldb",
    "mysql+pymysql": "mysql+mysqldb",
    "postgres": "postgresql+psycopg2",
    "postgresql": "postgresql+psycopg2",
    "sqlite": "sqlite",
}
# What Airflow puts into a URI for itself.
_AIRFLOW_PARAMETERS = {"__extra__"}


def find_connection_url(conn_id: str, settings: Settings) -> sa.URL:
    """Where the Connection `conn_id` leads, with its password.

    Looked up in AIRFLOW_CONN_<ID> (URI or JSON, as Airflow reads it), then, inside Airflow, in its own
    connections, then in the running stack's file. Raises SourceError when nobody knows it, SettingsError when
    it is malformed.
    """
    name = f"{CONNECTION_PREFIX}{conn_id.upper()}"
    value = (
        os.environ.get(name) or _read_airflow_connection(conn_id) or _read_stack_connection(name, settings)
    )
    if not value:
        raise SourceError(
            f"there is no connection {conn_id!r}",
            hint=f"set {name}=mysql://user:password@host:3306/schema, add the Connection in Airflow,"
            " or start the stack that has it (evergreen up)",
        )
    return parse_connection(conn_id, value)


def parse_connection(conn_id: str, value: str) -> sa.URL:
    """A Connection in Airflow's URI or JSON form as an SQLAlchemy URL. Raises SettingsError."""
    try:
        fields = _parse_json(value) if value.lstrip().startswith("{") else _parse_uri(value)
        kind = str(fields["conn_type"]).lower()
        if kind not in _DIALECTS:
            raise SettingsError(
                f"connection {conn_id!r} has the type {kind!r}",
                hint=f"Evergreen reads from {', '.join(sorted(_DIALECTS))}",
            )
        return sa.URL.create(
            _DIALECTS[kind],
            username=fields.get("login") or None,
            password=fields.get("password") or None,
            host=fields.get("host") or None,
            port=int(fields["port"]) if fields.get("port") else None,
            database=fields.get("schema") or None,
            query={
                str(k): str(v) for k, v in fields.get("extra", {}).items() if k not in _AIRFLOW_PARAMETERS
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # The value itself holds a password, so the message does not show it.
        raise SettingsError(
            f"connection {conn_id!r} is malformed: {type(error).__name__}",
            hint="write it as mysql://user:password@host:3306/schema (special characters %-encoded),"
            ' or as {"conn_type": "mysql", "host": ..., "login": ..., "password": ..., "schema": ...}',
        ) from None


def _parse_uri(value: str) -> dict[str, Any]:
    parts = urlsplit(value)
    if not parts.scheme:
        raise ValueError("no scheme")
    schema = unquote(parts.path[1:])
    return {
        "conn_type": parts.scheme,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "host": unquote(parts.hostname or ""),
        "port": parts.port,
        "schema": schema,
        "extra": dict(parse_qsl(parts.query)),
    }


def _parse_json(value: str) -> dict[str, Any]:
    fields = json.loads(value)
    extra = fields.get("extra") or {}
    return {**fields, "extra": json.loads(extra) if isinstance(extra, str) else extra}


def _read_airflow_connection(conn_id: str) -> str:
    """The Connection's URI from Airflow's own store; empty outside of Airflow or when it has none."""
    if "airflow" not in sys.modules:
        return ""
    from airflow.exceptions import AirflowException

    try:
        from airflow.sdk import Connection

        return str(Connection.get(conn_id).get_uri())
    except (ImportError, AirflowException):
        return ""


def _read_stack_connection(name: str, settings: Settings) -> str:
    path = settings.home / STACK_ENV
    if not path.is_file():
        return ""
    from dotenv import dotenv_values

    return dotenv_values(path, interpolate=False).get(name) or ""
