"""The guard: what it refuses before anything is read, what it adds to answers, and what it never says."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from starlette.types import Message, Receive, Scope, Send

from evergreen.serving.access.key_file import add_key, remove_keys
from evergreen.serving.guard.body_limits import ROW_BYTES, compute_body_limits
from evergreen.serving.guard.request_ids import get_request_id
from evergreen.usecase import UseCase
from support.guarded import TEST_HOST, build_test_guard

KEY = "a-key-that-is-long-enough"


class App:
    """Answers everything that gets through, and keeps what it got."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.ids: list[str] = []
        self.bodies: list[bytes] = []
        self.messages = 0
        self.error: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        self.ids.append(get_request_id())
        body, more = b"", True
        while more:
            message = await receive()
            self.messages += 1
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        if self.error:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
def app() -> App:
    return App()


def connect(app: App, use_case: UseCase, home: Path, **options: Any) -> httpx.AsyncClient:
    guard = build_test_guard(app, use_case, home, **options)
    return httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url=f"http://{TEST_HOST}")


def ask(
    app: App, use_case: UseCase, home: Path, method: str = "POST", path: str = "/predict", **more: Any
) -> httpx.Response:
    request = {name: more.pop(name) for name in ("headers", "content", "json") if name in more}

    async def run() -> httpx.Response:
        async with connect(app, use_case, home, **more) as client:
            return await client.request(method, path, **request)

    return asyncio.run(run())


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"type", "message", "hint", "fields"}
    return error


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:3000", "127.0.0.1:3000", "127.3.2.1", "[::1]:3000", "LOCALHOST.", TEST_HOST],
)
def test_loopback_and_declared_names_are_answered(
    app: App, parcel: UseCase, tmp_path: Path, host: str
) -> None:
    assert ask(app, parcel, tmp_path, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "rebind.attacker.example",
        "127.0.0.1.attacker.example",
        "localhost.attacker.example:3000",
        "attacker.example#localhost",
        "localhost@attacker.example",
        "10.0.0.9",
        "",
        "a" * 5_000,
        f"{TEST_HOST}:3000:1",
        "0x7f.1",
    ],
)
def test_a_forged_host_is_misdirected(app: App, parcel: UseCase, tmp_path: Path, host: str) -> None:
    """A page of a name that was rebound to 127.0.0.1 sends that name."""
    error_of(ask(app, parcel, tmp_path, path="/predict_by_key", headers={"host": host}), 421)
    assert app.paths == []


def test_health_is_told_under_any_name(app: App, parcel: UseCase, tmp_path: Path) -> None:
    answer = ask(app, parcel, tmp_path, "GET", "/readyz", headers={"host": "node-7.internal"})
    assert answer.status_code == 200


def test_two_hosts_are_none(app: App, parcel: UseCase, tmp_path: Path) -> None:
    hosts = [("host", TEST_HOST), ("host", "attacker.example")]
    for headers in (hosts, hosts[::-1]):
        error_of(ask(app, parcel, tmp_path, headers=headers), 421)


def test_too_many_headers_are_refused_on_every_path(app: App, parcel: UseCase, tmp_path: Path) -> None:
    headers = [("Host", TEST_HOST), *((f"X-{number % 90}", "") for number in range(100))]
    for path in ("/predict", "/readyz", "/nowhere"):
        assert "headers" in error_of(ask(app, parcel, tmp_path, "GET", path, headers=headers), 431)["message"]
    assert app.paths == []


def test_unknown_paths_and_wrong_methods_reach_nothing(app: App, parcel: UseCase, tmp_path: Path) -> None:
    error_of(ask(app, parcel, tmp_path, "GET", "/nowhere"), 404)
    wrong = ask(app, parcel, tmp_path, "GET", "/predict")
    error_of(wrong, 405)
    assert wrong.headers["allow"] == "POST"
    assert ask(app, parcel, tmp_path, "DELETE", "/livez").headers["allow"] == "GET, HEAD"
    assert app.paths == []


def test_a_key_is_required_where_others_can_reach_the_service(
    app: App, parcel: UseCase, tmp_path: Path
) -> None:
    exposed: dict[str, Any] = {"listening": ("0.0.0.0",), "api_keys": f"shop:{KEY}"}
    refused = ask(app, parcel, tmp_path, **exposed)
    assert error_of(refused, 401)["type"] == "AccessDenied"
    assert refused.headers["www-authenticate"].startswith("Bearer")
    for headers in (
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {KEY}"},
        {"x-api-key": KEY[:-1]},
        {"x-api-key": ""},
        {"x-api-key": f"{KEY} "[:0]},
    ):
        error_of(ask(app, parcel, tmp_path, headers=headers, **exposed), 401)
    assert app.paths == []
    for headers in (
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"x-api-key": KEY},
    ):
        assert ask(app, parcel, tmp_path, headers=headers, **exposed).status_code == 200


def test_health_needs_no_key_and_metrics_as_they_are_set(app: App, parcel: UseCase, tmp_path: Path) -> None:
    exposed: dict[str, Any] = {"listening": ("0.0.0.0",), "api_keys": KEY}
    local: dict[str, Any] = {"api_keys": KEY}
    for path in ("/livez", "/healthz", "/readyz"):
        assert ask(app, parcel, tmp_path, "GET", path, **exposed).status_code == 200
    for access, options, status in (
        ("auto", exposed, 401),
        ("open", exposed, 200),
        ("auto", local, 200),
        ("key", local, 401),
    ):
        answer = ask(app, parcel, tmp_path, "GET", "/metrics", metrics_access=access, **options)
        assert answer.status_code == status, (access, options)
    for path in ("/", "/openapi.json", "/metadata", "/schema.json"):
        assert ask(app, parcel, tmp_path, "GET", path, **exposed).status_code == 401


def test_on_loopback_the_platforms_own_key_shuts_nobody_out(
    app: App, parcel: UseCase, tmp_path: Path
) -> None:
    assert ask(app, parcel, tmp_path, api_key=KEY).status_code == 200
    error_of(ask(app, parcel, tmp_path, api_key=KEY, api_keys="shop:another-long-enough-key"), 401)


def test_keys_come_and_go_while_the_service_runs(app: App, parcel: UseCase, tmp_path: Path) -> None:
    """A second key of one name, then the first one revoked: nobody is refused in between."""
    path = tmp_path / "api-keys"
    first = add_key(path, "shop")

    async def run() -> list[int]:
        statuses = []
        async with connect(app, parcel, tmp_path, listening=("0.0.0.0",)) as client:
            ring = client._transport.app._access.keys  # type: ignore[attr-defined]

            async def try_key(key: str) -> None:
                ring._next_look = 0.0
                statuses.append((await client.post("/predict", headers={"x-api-key": key})).status_code)

            await try_key(first)
            second = add_key(path, "shop")
            await try_key(first)
            await try_key(second)
            remove_keys(path, ring.find(first.encode()).fingerprint)
            await try_key(first)
            await try_key(second)
            path.write_text("no key at all\n")
            await try_key(second)
        return statuses

    assert asyncio.run(run()) == [200, 200, 200, 401, 200, 200]


def test_a_body_is_limited_by_its_length_and_by_what_comes(app: App, parcel: UseCase, tmp_path: Path) -> None:
    error = error_of(ask(app, parcel, tmp_path, content=b"x" * 1_000_001), 413)
    assert "1,000,000 bytes" in error["message"]
    assert app.paths == []

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100_000

    error_of(ask(app, parcel, tmp_path, content=chunks()), 413)
    assert app.bodies == []


def test_a_body_that_does_not_come_is_not_waited_for(app: App, parcel: UseCase, tmp_path: Path) -> None:
    """The first part arrives, the second never does."""
    guard = build_test_guard(app, parcel, tmp_path, request_seconds=0.05)
    parts = [{"type": "http.request", "body": b"{", "more_body": True}]
    sent: list[Message] = []

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(guard(build_scope(), receive, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert "in time" in json.loads(sent[1]["body"])["error"]["message"]


def test_a_slow_but_timely_body_arrives_whole(app: App, parcel: UseCase, tmp_path: Path) -> None:
    guard = build_test_guard(app, parcel, tmp_path)
    parts = [b"a", b"b", b"c"]
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(0)
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(guard(build_scope(), receive, send))
    assert app.bodies == [b"abc"]
    assert sent[0]["status"] == 200


def test_a_caller_that_goes_away_cancels_what_waits_for_its_body(
    app: App, parcel: UseCase, tmp_path: Path
) -> None:
    guard = build_test_guard(app, parcel, tmp_path)

    async def receive() -> Message:
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    async def run() -> None:
        task = asyncio.create_task(guard(build_scope(), receive, send))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def build_scope(**changes: Any) -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "headers": [(b"host", b"localhost")],
        "server": ("127.0.0.1", 3000),
        **changes,
    }


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-request-id": "order-17"}, "order-17"),
        (
            {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
            "4bf92f3577b34da6a3ce929d0e0e4736",
        ),
        ({"x-request-id": 'a b"c', "traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-01"}, None),
        ({"x-request-id": "x" * 65}, None),
        ({"x-request-id": ""}, None),
        ({}, None),
    ],
)
def test_a_request_has_an_id(
    app: App, parcel: UseCase, tmp_path: Path, headers: dict[str, str], expected: str | None
) -> None:
    answer = ask(app, parcel, tmp_path, headers=headers)
    request_id = answer.headers["x-request-id"]
    assert app.ids == [request_id]
    if expected:
        assert request_id == expected
    else:
        assert len(request_id) == 32
        assert int(request_id, 16)
        assert ask(app, parcel, tmp_path, headers=headers).headers["x-request-id"] != request_id


def test_no_web_page_may_call_unless_its_origin_is_named(app: App, parcel: UseCase, tmp_path: Path) -> None:
    page = {"origin": "https://shop.example"}
    preflight = {**page, "access-control-request-method": "POST"}
    closed = ask(app, parcel, tmp_path, "OPTIONS", headers=preflight)
    error_of(closed, 405)
    assert "access-control-allow-origin" not in closed.headers
    assert "access-control-allow-origin" not in ask(app, parcel, tmp_path, headers=page).headers

    opened: dict[str, Any] = {"cors_origins": "https://shop.example, http://localhost:5173"}
    answer = ask(app, parcel, tmp_path, "OPTIONS", headers=preflight, **opened)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "X-API-Key" in answer.headers["access-control-allow-headers"]
    assert app.paths == ["/predict"]
    answer = ask(app, parcel, tmp_path, headers=page, **opened)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["vary"] == "Origin"
    other = ask(app, parcel, tmp_path, headers={"origin": "https://shop.example.attacker.example"}, **opened)
    assert "access-control-allow-origin" not in other.headers
    # A refusal too must be readable by the page.
    locked = {**opened, "listening": ("0.0.0.0",), "api_keys": KEY}
    refused = ask(app, parcel, tmp_path, headers=page, **locked)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://shop.example"


def test_an_unexpected_error_is_told_to_nobody(
    app: App, parcel: UseCase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app.error = ValueError("could not convert 'Jane Doe' to float")
    with caplog.at_level(logging.ERROR):
        answer = ask(app, parcel, tmp_path, headers={"x-request-id": "order-17"})
    error_of(answer, 500)
    assert "Jane" not in answer.text
    assert "Jane" not in caplog.text
    assert "ValueError" in caplog.text
    assert "test_serving_guard.py" in caplog.text


def test_unknown_paths_add_no_series(app: App, parcel: UseCase, tmp_path: Path) -> None:
    registry = CollectorRegistry()

    async def run() -> tuple[int, int]:
        async with connect(app, parcel, tmp_path, registry=registry) as client:
            for path in ("/predict", "/nowhere"):
                await client.post(path)
            await client.request("BREW", "/predict")
            client._transport.app._metrics.flush()  # type: ignore[attr-defined]
            before = generate_latest(registry).count(b"\n")
            for number in range(1_000):
                await client.post(f"/nowhere/{number}?{number}")
                await client.request(f"BREW{number}", "/predict")
            client._transport.app._metrics.flush()  # type: ignore[attr-defined]
        return before, generate_latest(registry).count(b"\n")

    before, after = asyncio.run(run())
    assert before == after
    labels = {"use_case": "parcel", "route": "unknown", "method": "POST", "status": "4xx"}
    assert registry.get_sample_value("evergreen_requests_total", labels) == 1_001
    labels = {"use_case": "parcel", "route": "/predict"}
    assert registry.get_sample_value("evergreen_request_seconds_count", labels) == 1_002


def test_web_sockets_are_closed(app: App, parcel: UseCase, tmp_path: Path) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    scope = build_scope(type="websocket")
    asyncio.run(build_test_guard(app, parcel, tmp_path)(scope, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_large_bodies_share_a_bounded_memory(app: App, parcel: UseCase, tmp_path: Path) -> None:
    """Two of the largest are held together; what a third would hold is refused, and free again afterwards."""
    limit = compute_body_limits(parcel)["rows"]
    assert limit > 2 * ROW_BYTES
    guard = build_test_guard(app, parcel, tmp_path)

    async def run() -> None:
        go = asyncio.Event()

        async def send_slowly() -> AsyncIterator[bytes]:
            yield b" " * (limit - 1)
            await go.wait()
            yield b" "

        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{TEST_HOST}") as client:
            large = [
                asyncio.create_task(client.post("/predict_batch", content=send_slowly())) for _ in range(2)
            ]
            while app.messages < 2:
                await asyncio.sleep(0)
            third = await client.post("/predict_batch", content=b" " * (ROW_BYTES + 10))
            assert "memory" in error_of(third, 503)["message"]
            assert third.headers["retry-after"] == "5"
            assert (await client.post("/predict", content=b"{}")).status_code == 200
            go.set()
            assert [answer.status_code for answer in await asyncio.gather(*large)] == [200, 200]
            again = await client.post("/predict_batch", content=b" " * (ROW_BYTES + 10))
            assert again.status_code == 200

    asyncio.run(run())
