"""The exporter's HTTP server: `/metrics` for whoever may read it, `/healthz` for everybody."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from evergreen.errors import PortInUse, SettingsError
from evergreen.serving.access.hosts import AllowedHosts, parse_hosts
from evergreen.serving.access.key_ring import KeyRing, load_key_ring
from evergreen.serving.access.listening import is_exposed
from evergreen.settings import Settings

Environment: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
Application: TypeAlias = Callable[[Environment, StartResponse], Iterable[bytes]]

_BEARER = "bearer "
# A caller that sends nothing for so long is disconnected.
_REQUEST_SECONDS = 30
_TAKEN = (errno.EADDRINUSE, errno.EACCES)


@dataclass(frozen=True)
class ScrapeAccess:
    """Who may read the metrics: requests to an allowed host, with a key of `keys` where one is required."""

    hosts: AllowedHosts
    keys: KeyRing
    key_required: bool

    def judge(self, environment: Environment) -> str:
        """The status line of the refusal; "" for a request that may be answered."""
        host = str(environment.get("HTTP_HOST", "")).encode("latin-1")
        if not self.hosts.allows(host, str(environment.get("evergreen.local_address", ""))):
            return "421 Misdirected Request"
        if self.key_required and self.keys.find(_read_key(environment)) is None:
            return "401 Unauthorized"
        return ""


def load_scrape_access(settings: Settings, host: str) -> ScrapeAccess:
    """The access to an exporter that listens on that address: as to `/metrics` of a service.

    A key is required by EVERGREEN_METRICS_ACCESS=key, and with `auto` beyond loopback. Raises SettingsError
    where one is required and none is set.
    """
    keys = load_key_ring(settings)
    required = settings.metrics_access == "key" or (settings.metrics_access == "auto" and is_exposed([host]))
    if required and not keys.keys:
        raise SettingsError(
            f"the exporter would listen on {host}, where its metrics need an API key, and none is set",
            hint="make one for the scraper: evergreen keys new prometheus; or let everybody read them:"
            " EVERGREEN_METRICS_ACCESS=open",
        )
    return ScrapeAccess(AllowedHosts(parse_hosts(settings.allowed_hosts)), keys, required)


def build_application(registry: CollectorRegistry, access: ScrapeAccess) -> Application:
    """The WSGI application of the exporter."""
    show_metrics = make_wsgi_app(registry)

    def answer(environment: Environment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environment.get("PATH_INFO")
        if path == "/healthz":
            return _send_text(start_response, "200 OK", "alive\n")
        refusal = access.judge(environment)
        if refusal:
            return _send_text(start_response, refusal, f"{refusal}\n")
        if path != "/metrics":
            return _send_text(start_response, "404 Not Found", "see /metrics\n")
        body: Iterable[bytes] = show_metrics(environment, start_response)
        return body

    return answer


class ExporterServer(ThreadingMixIn, WSGIServer):
    """A thread for each connection, so that a slow reader keeps no other waiting."""

    daemon_threads = True

    @property
    def port(self) -> int:
        """The port that it listens on, also where 0 was asked for."""
        return int(self.server_address[1])


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_SECONDS

    def get_environ(self) -> Environment:
        """The request's environment, with the address at which it arrived."""
        environment: Environment = dict(super().get_environ())
        environment["evergreen.local_address"] = self.connection.getsockname()[0]
        return environment

    def address_string(self) -> str:
        """The caller's address; its name is not looked up."""
        return str(self.client_address[0])

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


def open_server(host: str, port: int, application: Application) -> ExporterServer:
    """A server that listens there; `serve_forever` answers. Raises SettingsError for an address that this
    machine does not have, PortInUse for a port that is taken."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        kind = type("Server", (ExporterServer,), {"address_family": family})
        server: ExporterServer = kind(address[:2], _Handler)
    except OSError as error:
        hint = "choose another address: evergreen exporter --host 127.0.0.1 --port 9105"
        what = f"the exporter cannot listen on {host}:{port}: {error.strerror or error}"
        if isinstance(error, socket.gaierror) or error.errno not in _TAKEN:
            raise SettingsError(what, hint=hint) from None
        raise PortInUse(what, hint=hint) from None
    server.set_app(application)
    return server


def _read_key(environment: Environment) -> bytes:
    authorization = str(environment.get("HTTP_AUTHORIZATION", ""))
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip().encode("latin-1")
    return str(environment.get("HTTP_X_API_KEY", "")).encode("latin-1")


def _send_text(start_response: StartResponse, status: str, text: str) -> list[bytes]:
    body = text.encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    if status.startswith("401"):
        headers.append(("WWW-Authenticate", "Bearer"))
    start_response(status, headers)
    return [body]
