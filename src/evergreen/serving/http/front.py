"""The ASGI app in front of BentoML's: it answers `POST /predict`, and passes everything else on.

BentoML's middlewares and FastAPI cost a request several times what its prediction costs, so requests for one
prediction do not pass them. A body that this app does not understand goes on to the FastAPI app, whose models
decide whether it is right, and word what is wrong with it.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from evergreen.serving.channels import ONLINE, PROBE_CHANNEL, PROBE_CHANNELS
from evergreen.serving.client import CHANNEL_HEADER
from evergreen.serving.http.error_bodies import build_fault_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from evergreen.serving.fast_path import FastPath

_CHANNEL_HEADER = CHANNEL_HEADER.lower().encode()
_CHANNELS = {ONLINE.encode(): ONLINE, **{name.encode(): PROBE_CHANNEL for name in PROBE_CHANNELS}}
_JSON = b"application/json"


class Front:
    """Answers `POST /predict` from the fast path, once there is one, and passes other requests to an app."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None
        self.fast_path: FastPath | None = None

    def wrap_app(self, app: ASGIApp) -> ASGIApp:
        """The app to serve instead of BentoML's."""
        self._app = app
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request, as ASGI 3 defines."""
        if scope.get("path") == "/predict" and scope.get("method") == "POST" and self.fast_path is not None:
            channel = _read_channel(scope)
            if channel is not None:
                await self._predict(self.fast_path, channel, scope, receive, send)
                return
        assert self._app is not None, "wrap_app comes first"
        await self._app(scope, receive, send)

    async def _predict(
        self, fast_path: FastPath, channel: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        message = await receive()
        if message.get("more_body") or message["type"] != "http.request":
            # A body in several parts is long, or slow: the app limits both.
            await self._pass_on(message, scope, receive, send)
            return
        values = fast_path.decode(message["body"])
        if values is None:
            await self._pass_on(message, scope, receive, send)
            return
        try:
            body = await fast_path.submit(values, channel)
        except Exception as error:  # noqa: BLE001  every error has an answer
            await build_fault_response(scope["path"], error)(scope, receive, send)
            return
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", _JSON), (b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _pass_on(self, first: Message, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on of which a message has been received."""
        messages: list[Message] = [first]

        async def _receive_again() -> MutableMapping[str, Any]:
            return messages.pop() if messages else await receive()

        assert self._app is not None, "wrap_app comes first"
        await self._app(scope, _receive_again, send)


def _read_channel(scope: Scope) -> str | None:
    """The channel to log under; None for a request that the app must see: no JSON, or an unknown channel."""
    channel: str | None = ONLINE
    is_json = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            is_json = value == _JSON or value.split(b";")[0].strip().lower() == _JSON
        elif name == _CHANNEL_HEADER:
            channel = _CHANNELS.get(value.lower())
        elif name == b"content-encoding":
            return None
    return channel if is_json else None
