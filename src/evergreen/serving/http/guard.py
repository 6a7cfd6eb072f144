"""The outermost layer of a service, a plain ASGI application: what it refuses reaches neither app nor model.

It judges Host, method, API key and origin before anything is read of the body, limits the body, gives the
request its id, counts it, and answers what nobody else has answered. All of it costs a few microseconds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evergreen.serving.access.access import Access
from evergreen.serving.http.body_limits import BodyRefused, LimitedBody
from evergreen.serving.http.error_bodies import encode_error, encode_too_large
from evergreen.serving.http.failures import describe_failure
from evergreen.serving.http.request_ids import choose_request_id, set_request_id
from evergreen.serving.http.routes import BodySize, Route, find_route
from evergreen.serving.request_metrics import RequestMetrics

logger = logging.getLogger(__name__)

_BEARER = b"bearer "
_UNKNOWN = "unknown"
# Beyond so many headers a request is refused; usual ones have about ten.
_MOST_HEADERS = 64
# What the guard tells the app in a request's scope, for its documentation.
KEYS_REQUIRED = "evergreen.keys_required"


class Guard:
    """Wraps a service's ASGI app.

    `limits` are the greatest bodies in bytes, by kind of route; a body must arrive within `body_seconds`.
    `diverted` are paths that another app answers, because the wrapped one has something else there.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        limits: Mapping[BodySize, int],
        body_seconds: float,
        metrics: RequestMetrics,
        diverted: Mapping[str, ASGIApp] | None = None,
    ) -> None:
        self._app = app
        self._access = access
        self._limits = limits
        self._body_seconds = body_seconds
        self._metrics = metrics
        self._diverted = diverted or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass other kinds of events on. Web sockets are closed: there are none."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                # The lifespan of the service: its end is the end of the counting.
                await self._app(scope, receive, send)
                self._metrics.flush()
            return
        began = perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = choose_request_id(headers.get(b"x-request-id"), headers.get(b"traceparent"))
        set_request_id(request_id)
        route = find_route(scope["path"])
        answer = _Answer(send, request_id)
        try:
            await self._handle(scope, headers, route, receive, answer)
        except BodyRefused as refusal:
            if not answer.status:
                await _send_body_refusal(answer, refusal.status_code, self._limit(route))
        except Exception as error:  # noqa: BLE001 - the last one who can: no caller is above
            logger.error(
                "%s %s failed: %s",
                scope["method"],
                route.template if route else _UNKNOWN,
                describe_failure(error),
            )
            if not answer.status:
                await _send_error(
                    answer,
                    500,
                    "InternalError",
                    "the service failed on this request",
                    "its log has the details, under the X-Request-ID of this answer",
                )
        finally:
            self._metrics.count(
                route.template if route else _UNKNOWN, scope["method"], answer.status, perf_counter() - began
            )

    async def _handle(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        route: Route | None,
        receive: Receive,
        answer: _Answer,
    ) -> None:
        access = self._access
        # A load balancer asks for health under any name, or none (HTTP/1.0); the answer gives nothing away.
        is_health = route is not None and route.access == "health"
        if not is_health and not self._has_allowed_host(scope, headers):
            await _send_error(
                answer,
                421,
                "InvalidRequest",
                "the header Host names another server than this service",
                "call it by its own name, or add the name to EVERGREEN_ALLOWED_HOSTS where the service runs",
            )
            return
        origin = headers.get(b"origin")
        if origin is not None and access.origins.allows(origin):
            answer.headers += access.origins.list_answer_headers(origin)
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                answer.headers += access.origins.list_preflight_headers()
                await _send(answer, 204, b"", [])
                return
        if route is None:
            await _send_error(answer, 404, "InvalidRequest", "Not Found", "see / for what there is")
            return
        if not self._may_call(route, headers):
            await _send_error(
                answer,
                401,
                "AccessDenied",
                "this service needs an API key, and the request has none that it knows",
                "send the header Authorization: Bearer KEY, or X-API-Key: KEY",
                [(b"www-authenticate", b'Bearer realm="evergreen"')],
            )
            return
        if scope["method"] not in route.methods:
            allowed = ", ".join(route.methods)
            await _send_error(
                answer,
                405,
                "InvalidRequest",
                "Method Not Allowed",
                f"send {allowed}; see / for what there is",
                [(b"allow", allowed.encode())],
            )
            return
        limit = self._limit(route)
        length = headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > limit:
            await _send_body_refusal(answer, 413, limit)
            return
        if route.access == "metrics":
            self._metrics.flush()
        if access.keys_required:
            scope[KEYS_REQUIRED] = True
        app = self._diverted.get(route.template, self._app)
        await app(scope, LimitedBody(receive, limit, self._body_seconds).receive, answer.send)

    def _has_allowed_host(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        host = headers.get(b"host")
        if host is None or len(scope["headers"]) > _MOST_HEADERS:
            return False
        if len(headers) != len(scope["headers"]):
            # Of two Host headers a proxy before the service may have judged the other one.
            names = [name for name, _ in scope["headers"]]
            if names.count(b"host") > 1:
                return False
        server = scope.get("server")
        return self._access.hosts.allows(host, server[0] if server else "")

    def _may_call(self, route: Route, headers: Mapping[bytes, bytes]) -> bool:
        access = self._access
        if route.access == "health" or not access.keys_required:
            return True
        if route.access == "metrics" and access.metrics_open:
            return True
        presented = _read_key(headers)
        return presented is not None and access.keys.find(presented) is not None

    def _limit(self, route: Route | None) -> int:
        return self._limits[route.body if route else "none"]


class _Answer:
    """The way of one answer: it adds headers to it, and knows its status (0 while it has not begun)."""

    __slots__ = ("_send", "headers", "status")

    def __init__(self, send: Send, request_id: bytes) -> None:
        self._send = send
        self.status = 0
        self.headers = [(b"x-request-id", request_id)]

    async def send(self, message: Message) -> None:
        """Send a message of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self.headers]
        await self._send(message)


def _read_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    authorization = headers.get(b"authorization")
    if authorization is not None and authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return headers.get(b"x-api-key")


async def _send_body_refusal(answer: _Answer, status: int, limit: int) -> None:
    if status == 413:
        await _send(answer, 413, encode_too_large(limit), [])
        return
    await _send_error(
        answer,
        408,
        "InvalidRequest",
        "the body did not arrive in time",
        "send it at once; EVERGREEN_REQUEST_SECONDS is the time that it may take",
        [(b"connection", b"close")],
    )


async def _send_error(
    answer: _Answer,
    status: int,
    kind: str,
    message: str,
    hint: str,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    await _send(answer, status, encode_error(kind, message, hint), headers or [])


async def _send(answer: _Answer, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    start_headers = [(b"content-length", str(len(body)).encode()), *headers]
    if body:
        start_headers.append((b"content-type", b"application/json"))
    if status == 204:
        start_headers = headers
    await answer.send({"type": "http.response.start", "status": status, "headers": start_headers})
    await answer.send({"type": "http.response.body", "body": body})
