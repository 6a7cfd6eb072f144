"""What the guard lets in by `admit`, without an ASGI call, is what it lets in by a call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from evergreen.serving.guard.routes import ROUTES, Route
from evergreen.usecase import UseCase
from support.guarded import TEST_HOST, build_test_guard

KEY = "a-key-that-is-long-enough"
GOOD, BAD = (b"host", TEST_HOST.encode()), (b"host", b"attacker.example")
HOSTS = st.sampled_from([[GOOD], [GOOD], [GOOD], [BAD], [GOOD, BAD], [BAD, GOOD], []])
HEADERS = st.lists(
    st.sampled_from(
        [
            (b"x-api-key", KEY.encode()),
            (b"x-api-key", b"wrong"),
            (b"authorization", f"Bearer {KEY}".encode()),
            (b"origin", b"https://shop.example"),
            (b"content-length", b"20"),
            (b"content-length", b"900000000"),
            (b"content-length", b"-1"),
            (b"x-request-id", b"order-17"),
        ]
    ),
    max_size=4,
)


@pytest.mark.parametrize("options", [{}, {"api_keys": KEY}, {"cors_origins": "https://shop.example"}])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    route=st.sampled_from([route for route in ROUTES if "POST" in route.methods]),
    method=st.sampled_from(["POST", "POST", "POST", "GET", "OPTIONS"]),
    hosts=HOSTS,
    headers=HEADERS,
    more=st.sampled_from([0, 0, 0, 57, 60, 64, 200]),
)
def test_what_is_admitted_would_pass_the_guard(
    parcel: UseCase,
    tmp_path: Path,
    options: dict[str, Any],
    route: Route,
    method: str,
    hosts: list[tuple[bytes, bytes]],
    headers: list[tuple[bytes, bytes]],
    more: int,
) -> None:
    reached: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(True)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        pass

    guard = build_test_guard(app, parcel, tmp_path, **options)
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": route.template,
        "headers": [*hosts, *headers, *[(b"x-more", b"1")] * more],
        "server": ("127.0.0.1", 3000),
    }
    is_admitted = guard.admit(dict(scope), route) is not None
    asyncio.run(guard(scope, receive, send))
    if is_admitted:
        assert reached
    elif reached:
        assert any(name == b"origin" for name, _ in headers)
