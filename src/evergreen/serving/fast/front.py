"""The ASGI app in front of BentoML's: it answers requests for predictions, and passes everything else on.

BentoML's middlewares and FastAPI cost a request several times what its prediction costs, so such requests do
not pass them. A body that this app does not understand goes on to the FastAPI app, whose models
decide whether it is right, and word what is wrong with it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from evergreen.serving.calls.exchange import CHANNEL_HEADER, IDEMPOTENCY_HEADER
from evergreen.serving.channels import ONLINE, PROBE_CHANNEL, PROBE_CHANNELS
from evergreen.serving.fast.fast_path import FastPath, RequestLabels
from evergreen.serving.predictions.idempotency import read_idempotency_key

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


_CHANNEL_HEADER = CHANNEL_HEADER.lower().encode()
_IDEMPOTENCY_HEADER = IDEMPOTENCY_HEADER.lower().encode()
_CHANNELS = {ONLINE.encode(): ONLINE, **{name.encode(): PROBE_CHANNEL for name in PROBE_CHANNELS}}
_JSON = b"application/json"

_Values = TypeVar("_Values")


class Front:
    """Answers predictions from the fast path, once there is one, and passes other requests to an app."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None
        self.fast_path: FastPath | None = None

    def wrap_app(self, app: ASGIApp) -> ASGIApp:
        """The app to serve instead of BentoML's."""
        self._app = app
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request, as ASGI 3 defines."""
        fast_path = self.fast_path
        if fast_path is not None and scope.get("method") == "POST":
            path = scope["path"]
            if path == "/predict":
                await self._answer(fast_path, fast_path.decode_row, fast_path.predict, scope, receive, send)
                return
            if path == "/predict_by_key":
                await self._answer(
                    fast_path, fast_path.decode_key, fast_path.predict_by_key, scope, receive, send
                )
                return
            if path == "/predict_batch":
                await self._answer_many(fast_path, scope, receive, send)
                return
            if fast_path.takes_many(path):
                await self._pass_on(fast_path, scope, receive, send)
                return
        assert self._app is not None, "wrap_app comes first"
        await self._app(scope, receive, send)

    async def _answer(
        self,
        fast_path: FastPath,
        decode: Callable[[bytes], _Values | None],
        predict: Callable[[_Values, RequestLabels], Awaitable[bytes]],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        labels = read_labels(scope["headers"])
        if labels is None:
            await self._pass_on(fast_path, scope, receive, send)
            return
        message = await receive()
        # A body in several parts is long, or slow: the app limits both.
        is_whole = message["type"] == "http.request" and not message.get("more_body")
        values = decode(message["body"]) if is_whole else None
        if values is None:
            await self._pass_on(fast_path, scope, _repeat_message(message, receive), send)
            return
        try:
            content = await predict(values, labels)
        except Exception as error:  # noqa: BLE001  every error has an answer
            await fast_path.build_error_response(scope["path"], error)(scope, receive, send)
            return
        await _send_json(content, send)

    async def _answer_many(self, fast_path: FastPath, scope: Scope, receive: Receive, send: Send) -> None:
        labels = read_labels(scope["headers"])
        if labels is None:
            await self._pass_on(fast_path, scope, receive, send)
            return
        body = await _receive_body(receive)
        if body is None:
            return
        try:
            content = await fast_path.predict_many(body, labels)
        except Exception as error:  # noqa: BLE001  every error has an answer
            await fast_path.build_error_response(scope["path"], error)(scope, receive, send)
            return
        if content is None:
            assert self._app is not None, "wrap_app comes first"
            await self._app(scope, _repeat_body(body, receive), send)
            return
        await _send_json(content, send)

    async def _pass_on(self, fast_path: FastPath, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer, which parses a body as a whole: a large one is checked first."""
        assert self._app is not None, "wrap_app comes first"
        if fast_path.takes_many(scope["path"]):
            body = await _receive_body(receive)
            if body is None:
                return
            try:
                await fast_path.check_large(scope["path"], body)
            except Exception as error:  # noqa: BLE001  every error has an answer
                await fast_path.build_error_response(scope["path"], error)(scope, receive, send)
                return
            receive = _repeat_body(body, receive)
        await self._app(scope, receive, send)


async def _receive_body(receive: Receive) -> bytearray | None:
    """The whole body of a request; None where the client has gone away."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _send_json(content: bytes, send: Send) -> None:
    headers = [(b"content-type", _JSON), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _repeat_body(body: bytearray, receive: Receive) -> Receive:
    """A `receive` that begins with a whole body that was received already."""
    return _repeat_message({"type": "http.request", "body": bytes(body), "more_body": False}, receive)


def _repeat_message(first: Message, receive: Receive) -> Receive:
    """A `receive` that begins with a message that was received already."""
    messages: list[Message] = [first]

    async def _receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return _receive_again


def read_labels(headers: Iterable[tuple[bytes, bytes]]) -> RequestLabels | None:
    """How a request of such headers is logged; None for one that the app must see: no JSON, or an unknown
    channel."""
    channel: str | None = ONLINE
    prediction_id: str | None = None
    is_json = False
    for name, value in headers:
        if name == b"content-type":
            is_json = value == _JSON or value.split(b";")[0].strip().lower() == _JSON
        elif name == _CHANNEL_HEADER:
            channel = _CHANNELS.get(value.lower())
        elif name == _IDEMPOTENCY_HEADER:
            prediction_id = read_idempotency_key(value, time.time())
        elif name == b"content-encoding":
            return None
    return RequestLabels(channel, prediction_id) if is_json and channel is not None else None
