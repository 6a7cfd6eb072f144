"""Health checks: each returns what is wrong, or "". They block for a few seconds at most."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pymysql

from evergreen.drivers.guarded_pymysql import GuardedConnection
from evergreen.serving.models.slot import NO_CHAMPION
from evergreen.stack.processes.child import Probe
from evergreen.stack.processes.ports import LOOPBACK
from evergreen.stack.servers.mariadb import PrivateMariaDB

TIMEOUT_SECONDS = 5.0

# For so long after its start a service may have no model because MLflow is still starting.
_TROUBLE_GRACE = timedelta(seconds=30)


def build_http_probe(port: int, path: str) -> Probe:
    """A check of a server that is healthy when `path` answers 200."""

    def probe(_started: datetime) -> str:
        """Ask the server once."""
        status, _ = _send_get(port, path)
        return "" if status == 200 else f"{path} answers {status or 'not yet'}"

    return probe


def build_service_probe(port: int, api_key: str = "") -> Probe:
    """A check of a prediction service: it has a model, or the registry names no champion.

    The key is for services that ask every caller for one.

    One that has reported another reason for some time counts as healthy too: a new process would have the
    same trouble, and `evergreen status` shows it.
    """
    ready = build_http_probe(port, "/readyz")
    headers = {"X-API-Key": api_key} if api_key else {}

    def probe(started: datetime) -> str:
        """Ask the server once."""
        problem = ready(started)
        if not problem:
            return ""
        status, body = _send_get(port, "/metadata", headers)
        trouble = json.loads(body).get("trouble") if status == 200 else ""
        if trouble == NO_CHAMPION or (trouble and datetime.now(UTC) - started > _TROUBLE_GRACE):
            return ""
        return problem

    return probe


def build_mariadb_probe(server: PrivateMariaDB) -> Probe:
    """A check of MariaDB, which is healthy when the platform's user can log in by the socket and query.

    Not by TCP: another program on the port would get the password.
    """

    def probe(_started: datetime) -> str:
        """Ask the server once."""
        try:
            connection = GuardedConnection(
                unix_socket=str(server.socket),
                local_infile=False,
                user=server.user,
                password=server.password,
                database=server.database,
                connect_timeout=int(TIMEOUT_SECONDS),
                read_timeout=int(TIMEOUT_SECONDS),
            )
        except pymysql.MySQLError as error:
            return f"no log-in yet: {error.args[-1] if error.args else error}"
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return ""

    return probe


def build_airflow_probe(port: int, component: str) -> Probe:
    """A check of an Airflow component, which is healthy when the API server has a heartbeat since its start.

    Airflow trusts a heartbeat for 30 s, so one from before a restart would count.
    """

    def probe(started: datetime) -> str:
        """Ask the server once."""
        status, body = _send_get(port, "/api/v2/monitor/health")
        if status != 200:
            return "waits for Airflow's API server"
        health = json.loads(body).get(component) or {}
        if health.get("status") != "healthy":
            return f"Airflow says: {health.get('status') or 'no heartbeat yet'}"
        beat = health.get(f"latest_{component}_heartbeat")
        if beat and datetime.fromisoformat(beat) < started:
            return "no heartbeat yet since its start"
        return ""

    return probe


def _send_get(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of a GET on loopback, past any proxy; (0, b"") when nothing answers."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
