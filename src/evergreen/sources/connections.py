"""The addresses of foreign databases that a declaration names by an Airflow Connection.

An Airflow Connection is a database's address and password under an id. It is resolved inside Airflow and
outside of it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

import sqlalchemy as sa
from dotenv import dotenv_values

from evergreen.drivers.choice import MYSQLCLIENT, PYMYSQL, decide_driver
from evergreen.errors import SettingsError, SourceError
from evergreen.settings import STACK_ENV, Settings

CONNECTION_PREFIX = "AIRFLOW_CONN_"

# Airflow's connection types, each with the SQLAlchemy dialect and driver that Evergreen uses for it. Where it
# names no driver of MySQL's, `decide_driver` chooses one.
_DIALECTS = {
    "mysql": "mysql",
    "mariadb": "mysql",
    MYSQLCLIENT: MYSQLCLIENT,
    PYMYSQL: PYMYSQL,
    "postgres": "postgresql+psycopg2",
    "postgresql": "postgresql+psycopg2",
    "sqlite": "sqlite",
}
# Parameters that Airflow adds to a URI for its own use.
_AIRFLOW_PARAMETERS = {"__extra__"}


@dataclass(frozen=True)
class _Connection:
    """The fields of an Airflow Connection; a field that is not set is empty."""

    conn_type: str
    login: str
    password: str
    host: str
    port: int | None
    schema: str
    extra: Mapping[str, str]


def find_connection_url(conn_id: str, settings: Settings) -> sa.URL:
    """The URL of the database that the Connection `conn_id` names, with its password.

    Looked up in AIRFLOW_CONN_<ID> (URI or JSON, as Airflow reads it), then, inside Airflow, in its own
    connections, then in the running stack's file. Raises SourceError when none of them has it, SettingsError
    when it is malformed.
    """
    variable = f"{CONNECTION_PREFIX}{conn_id.upper()}"
    value = (
        os.environ.get(variable)
        or _read_airflow_connection(conn_id)
        or _read_stack_connection(variable, settings)
    )
    if not value:
        raise SourceError(
            f"there is no connection {conn_id!r}",
            hint=f"set {variable}=mysql://user:password@host:3306/schema, add the Connection in Airflow,"
            " or start the stack that has it (evergreen up)",
        )
    return parse_connection(conn_id, value)


def parse_connection(conn_id: str, value: str) -> sa.URL:
    """A Connection in Airflow's URI or JSON form as an SQLAlchemy URL. Raises SettingsError."""
    try:
        connection = _parse_json(value) if value.lstrip().startswith("{") else _parse_uri(value)
        kind = connection.conn_type.lower()
        if kind not in _DIALECTS:
            raise SettingsError(
                f"connection {conn_id!r} has the type {kind!r}",
                hint=f"Evergreen reads from {', '.join(sorted(_DIALECTS))}",
            )
        url = sa.URL.create(
            _DIALECTS[kind],
            username=connection.login or None,
            password=connection.password or None,
            host=connection.host or None,
            port=connection.port,
            database=connection.schema or None,
            query={name: text for name, text in connection.extra.items() if name not in _AIRFLOW_PARAMETERS},
        )
        return decide_driver(url)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # The value itself holds a password, so the message does not show it.
        raise SettingsError(
            f"connection {conn_id!r} is malformed: {type(error).__name__}",
            hint="write it as mysql://user:password@host:3306/schema (special characters %-encoded),"
            ' or as {"conn_type": "mysql", "host": ..., "login": ..., "password": ..., "schema": ...}',
        ) from None


def _parse_uri(value: str) -> _Connection:
    parts = urlsplit(value)
    if not parts.scheme:
        raise ValueError("no scheme")
    return _Connection(
        conn_type=parts.scheme,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        host=unquote(parts.hostname or ""),
        port=parts.port,
        schema=unquote(parts.path[1:]),
        extra=dict(parse_qsl(parts.query)),
    )


def _parse_json(value: str) -> _Connection:
    fields = json.loads(value)
    extra = fields.get("extra") or {}
    # Airflow writes `extra` as a text that holds JSON.
    extra = json.loads(extra) if isinstance(extra, str) else extra
    return _Connection(
        conn_type=str(fields["conn_type"]),
        login=fields.get("login") or "",
        password=fields.get("password") or "",
        host=fields.get("host") or "",
        port=int(fields["port"]) if fields.get("port") else None,
        schema=fields.get("schema") or "",
        extra={str(name): str(text) for name, text in extra.items()},
    )


def _read_airflow_connection(conn_id: str) -> str:
    """The Connection's URI from Airflow's own store; empty outside of Airflow or when it has none."""
    if "airflow" not in sys.modules:
        return ""
    # Only where Airflow is loaded already: loading it takes seconds, and it has no Connection outside of it.
    from airflow.exceptions import AirflowException

    try:
        from airflow.sdk import Connection

        return str(Connection.get(conn_id).get_uri())
    except (ImportError, AirflowException):
        return ""


def _read_stack_connection(variable: str, settings: Settings) -> str:
    """The Connection's value in the file of settings that the embedded stack writes; empty if it has none."""
    path = settings.home / STACK_ENV
    if not path.is_file():
        return ""
    return dotenv_values(path, interpolate=False).get(variable) or ""
