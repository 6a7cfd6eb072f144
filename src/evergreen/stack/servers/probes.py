"""Health checks: each says what is not well yet, or "" when all is. They block for a few seconds at most."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import MySQLdb

from evergreen.serving.models.slot import NO_CHAMPION
from evergreen.stack.processes.child import Probe
from evergreen.stack.processes.ports import LOOPBACK
from evergreen.stack.servers.mariadb import PrivateMariaDB

TIMEOUT_SECONDS = 5.0

# Before that, a service may only be late: MLflow may be starting as well.
_TROUBLE_GRACE = timedelta(seconds=30)


def build_http_probe(port: int, path: str) -> Probe:
    """A server is healthy when that path answers 200."""

    def probe(_started: datetime) -> str:
        status, _ = _send_get(port, path)
        return "" if status == 200 else f"{path} answers {status or 'not yet'}"

    return probe


def build_service_probe(port: int) -> Probe:
    """A prediction service is healthy when it has a model, and also while the registry names no champion:
    then it has nothing to wait for. One that told for a while why it has no model is not ended either: a new
    process would tell the same, and `evergreen status` shows it.
    """
    ready = build_http_probe(port, "/readyz")

    def probe(started: datetime) -> str:
        ailment = ready(started)
        if not ailment:
            return ""
        status, body = _send_get(port, "/metadata")
        trouble = json.loads(body).get("trouble") if status == 200 else ""
        if trouble == NO_CHAMPION or (trouble and datetime.now(UTC) - started > _TROUBLE_GRACE):
            return ""
        return ailment

    return probe


def build_mariadb_probe(server: PrivateMariaDB) -> Probe:
    """MariaDB is healthy when the platform's user can log in over its socket and ask for something.

    Not over TCP: whoever took the port would be told the password.
    """

    def probe(_started: datetime) -> str:
        try:
            connection = MySQLdb.connect(
                unix_socket=str(server.socket),
                local_infile=False,
                user=server.user,
                password=server.password,
                database=server.database,
                connect_timeout=int(TIMEOUT_SECONDS),
                read_timeout=int(TIMEOUT_SECONDS),
            )
        except MySQLdb.MySQLError as error:
            return f"no log-in yet: {error.args[-1] if error.args else error}"
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return ""

    return probe


def build_airflow_probe(port: int, component: str) -> Probe:
    """A component of Airflow is healthy when the API server says so, by a heartbeat of this very start.

    Airflow trusts a heartbeat for 30 s, so that one written before a restart would count as healthy.
    """

    def probe(started: datetime) -> str:
        status, body = _send_get(port, "/api/v2/monitor/health")
        if status != 200:
            return "waits for Airflow's API server"
        health: dict[str, Any] = json.loads(body).get(component) or {}
        if health.get("status") != "healthy":
            return f"Airflow says: {health.get('status') or 'no heartbeat yet'}"
        beat = health.get(f"latest_{component}_heartbeat")
        if beat and datetime.fromisoformat(beat) < started:
            return "no heartbeat yet since its start"
        return ""

    return probe


def _send_get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of a GET on loopback, (0, b"") when nobody answers. No proxy is ever asked."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
