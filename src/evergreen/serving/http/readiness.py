"""The answer to GET /readyz, with a body that says which model is in service and where it came from."""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from evergreen.serving.http.bodies import ReadinessBody

READINESS_PATH = "/readyz"


class ReadinessAnswer:
    """ASGI middleware that answers /readyz itself, because BentoML's own answer has no body.

    200 with a model in service, 503 without one. `state.describe_readiness` gives the body; before it is set,
    and for every other path, the app behind answers.
    """

    def __init__(self, app: ASGIApp, *, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        describe: Callable[[], ReadinessBody] | None = getattr(self._state, "describe_readiness", None)
        is_asked = scope["type"] == "http" and scope["path"] == READINESS_PATH
        if describe is None or not is_asked or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body = describe()
        content = json.dumps(body).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"cache-control", b"no-store"),
        ]
        status = 200 if body["status"] == "ready" else 503
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})
