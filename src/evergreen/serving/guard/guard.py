"""The outermost layer of a service, a plain ASGI application: what it refuses reaches neither app nor model.

It judges Host, origin, API key and method before anything is read of the body, limits the body, gives the
request its id, counts it, and answers what nobody else has answered. All of it costs a few microseconds, so
what can be decided at the start is, and nothing is made for a request that it does not need.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evergreen.serving.access.access import Access
from evergreen.serving.guard.body_limits import BodyMemory, BodyRefused, LimitedBody
from evergreen.serving.guard.request_ids import choose_request_id, set_request_id
from evergreen.serving.guard.routes import STATIC, BodySize, Route, find_route
from evergreen.serving.http.failures import describe_failure
from evergreen.serving.http.refusals import (
    FAILED,
    LATE_BODY,
    MISDIRECTED,
    NO_BODY_MEMORY,
    NO_KEY,
    NOT_FOUND,
    PREFLIGHT,
    TOO_MANY_HEADERS,
    Refusal,
    build_method_refusal,
    build_size_refusal,
)
from evergreen.serving.metrics.request_metrics import RequestMetrics

logger = logging.getLogger(__name__)

_BEARER = b"bearer "
_UNKNOWN = "unknown"
_JSON = (b"content-type", b"application/json")
# Beyond so many headers a request is refused; usual ones have about ten.
_MOST_HEADERS = 64
# What the guard tells the app in a request's scope, for its documentation.
KEYS_REQUIRED = "evergreen.keys_required"
METRICS_OPEN = "evergreen.metrics_open"


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
        self._body_memory = BodyMemory(limits)
        self._metrics = metrics
        self._diverted = diverted or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass other kinds of events on. Web sockets are closed: there are none."""
        if scope["type"] != "http":
            await self._handle_event(scope, receive, send)
            return
        began = perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = _choose_id(headers)
        set_request_id(request_id)
        answer = _Answer(send, request_id)
        route = find_route(scope["path"])
        name = route.template if route is not None else _UNKNOWN
        body: LimitedBody | None = None
        try:
            refusal = self._judge(scope, headers, route, answer)
            if refusal is None and route is not None:
                limit = self._limits[route.body]
                body = LimitedBody(receive, limit, self._body_seconds, self._body_memory)
                send_part = answer.send_file if route is STATIC else answer.send
                await self._diverted.get(name, self._app)(scope, body.receive, send_part)
            else:
                await answer.refuse(refusal or NOT_FOUND)
        except BodyRefused as error:
            size = self._limits[route.body if route is not None else "none"]
            refusals = {408: LATE_BODY, 503: NO_BODY_MEMORY}
            await answer.refuse(refusals.get(error.status_code) or build_size_refusal(size))
        except Exception as error:  # noqa: BLE001 - the last one who can: no caller is above
            logger.error("%s %s failed: %s", scope["method"], name, describe_failure(error))
            await answer.refuse(FAILED)
        finally:
            if body is not None:
                body.release()
            self._metrics.count(name, scope["method"], answer.status, perf_counter() - began)

    def admit(self, scope: Scope, route: Route) -> bytes | None:
        """The id of a request that needs no more than an answer with that id; None for every other, which
        `__call__` must handle: one that is refused, or sent by a page of another origin."""
        if len(scope["headers"]) > _MOST_HEADERS:
            return None
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if b"origin" in headers or not self._has_allowed_host(scope, headers):
            return None
        return _choose_id(headers) if self._judge_call(scope, headers, route) is None else None

    def count(self, route: Route, method: str, status: int, seconds: float) -> None:
        """Count a request that `admit` has let in, and that is answered."""
        self._metrics.count(route.template, method, status, seconds)

    async def _handle_event(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        # The lifespan of the service: its end is the end of the counting.
        await self._app(scope, receive, send)
        self._metrics.flush()

    def _judge(
        self, scope: Scope, headers: Mapping[bytes, bytes], route: Route | None, answer: _Answer
    ) -> Refusal | None:
        """Why a request is refused; None for one that the app may answer."""
        if len(scope["headers"]) > _MOST_HEADERS:
            return TOO_MANY_HEADERS
        access = self._access
        is_health = route is not None and route.access == "health"
        # A load balancer asks for health under any name, or none (HTTP/1.0); the answer gives nothing away.
        if not is_health and not self._has_allowed_host(scope, headers):
            return MISDIRECTED
        origin = headers.get(b"origin")
        if origin is not None and access.origins.allows(origin):
            answer.headers += access.origins.list_answer_headers(origin)
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                answer.headers += access.origins.list_preflight_headers()
                return PREFLIGHT
        return NOT_FOUND if route is None else self._judge_call(scope, headers, route)

    def _judge_call(self, scope: Scope, headers: Mapping[bytes, bytes], route: Route) -> Refusal | None:
        """Why a call of a route is refused for its key, method or size."""
        access = self._access
        if route.access != "health" and access.keys_required:
            scope[KEYS_REQUIRED] = True
            scope[METRICS_OPEN] = access.metrics_open
            if not (route.access == "metrics" and access.metrics_open):
                presented = _read_key(headers)
                if presented is None or access.keys.find(presented) is None:
                    return NO_KEY
        if scope["method"] not in route.methods:
            return build_method_refusal(route)
        length = headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > self._limits[route.body]:
            return build_size_refusal(self._limits[route.body])
        if route.access == "metrics":
            self._metrics.flush()
        return None

    def _has_allowed_host(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        host = headers.get(b"host")
        if host is None:
            return False
        header_list = scope["headers"]
        # Of two Host headers a proxy before the service may have judged the other one.
        if len(headers) != len(header_list) and [name for name, _ in header_list].count(b"host") > 1:
            return False
        server = scope.get("server")
        return self._access.hosts.allows(host, server[0] if server else "")


class _Answer:
    """The way of one answer: it adds headers to it, and knows its status (0 while it has not begun)."""

    __slots__ = ("_is_refused", "_send", "headers", "status")

    def __init__(self, send: Send, request_id: bytes) -> None:
        self._send = send
        self._is_refused = False
        self.status = 0
        self.headers = [(b"x-request-id", request_id)]

    async def send(self, message: Message) -> None:
        """Send a message of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self.headers]
        await self._send(message)

    async def send_file(self, message: Message) -> None:
        """The same for a file of BentoML's, which tells in a form of its own that there is none."""
        if message["type"] == "http.response.start" and message["status"] >= 400:
            await self.refuse(NOT_FOUND)
            self._is_refused = True
        elif not self._is_refused:
            await self.send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Send a refusal, unless an answer has begun."""
        if self.status:
            return
        headers = list(refusal.headers)
        if refusal.body:
            headers += [_JSON, (b"content-length", b"%d" % len(refusal.body))]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": refusal.body})


def _choose_id(headers: Mapping[bytes, bytes]) -> bytes:
    return choose_request_id(headers.get(b"x-request-id"), headers.get(b"traceparent"))


def _read_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    authorization = headers.get(b"authorization")
    if authorization is not None and authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return headers.get(b"x-api-key")
