"""The real service under requests that mean harm: each is a 4xx or a time-out, nothing is given away, the
service stays up and its memory within bounds. The last test sends what schemathesis makes of the document."""

from __future__ import annotations

import functools
import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
import sqlalchemy as sa

from evergreen.serving.access.key_file import add_key, remove_keys
from evergreen.serving.guard.routes import ROUTES
from evergreen.store.connection.database import get_engine
from support.parcel_case import row
from support.raw_http import Connection, build_head, connect, exchange
from support.serving_world import PARCELS, Service, World, running
from support.waiting import eventually

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.fuzz.campaign import fuzz_service

REQUEST_SECONDS = 2
# Bodies of this use case have 2 MB at most. Usual growth is a tenth of this.
MOST_GROWTH_MB = 250
HUGE = 100_000_000
CASES, SEED = 15, 20260601
JSON = "application/json"
ID = "019e0b3c-5a10-7c2e-9d41-6f0c2b7a8e15"
# A body per route, with one value to be replaced.
BODIES: dict[str, Any] = {
    "/predict": {"data": row(weight="VALUE")},
    "/predict_batch": {"data": [row(), row(weight="VALUE")]},
    "/predict_by_key": {"data": [{"parcel_id": 1}, {"parcel_id": "VALUE"}]},
    "/explain": {"data": row(weight="VALUE")},
    "/feedback": {"prediction_id": ID, "actual": "VALUE"},
    "/feedback_batch": {"data": [{"prediction_id": ID, "actual": "VALUE"}]},
}
GOOD = {"/feedback": "yes", "/feedback_batch": "yes"}
DEEP = 100_000
VALUES = {
    **{name: name.encode() for name in ("NaN", "Infinity", "-Infinity", "1e308", "-1e308", "1e400", "null")},
    "digits": b"9" * 5000,
    "lists": b"[" * DEEP + b"]" * DEEP,
    "open lists": b"[" * DEEP,
    "objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "surrogate": b'"\\ud800"',
    "zero": b'"\\u0000"',
    "raw zero": b'"\x00"',
    "not UTF-8": b'"\xff\xfe"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "SQL": b'"1\'; DROP TABLE parcel__prediction; -- "',
    "template": b'"{{7*7}}${7*7}{0.__class__}%(x)s%s"',
    "long text": b'"' + b"x" * 500_000 + b'"',
}
FIELDS = {
    "surrogate": b'"\\ud800": 1',
    "not UTF-8": b'"\xff": 1',
    "template": b'"{0.__class__}%s": 1',
    "SQL": b'"x`; DROP TABLE parcel__prediction; -- ": 1',
    "dunder": b'"__class__": {"__init__": 1}, "__proto__": 1',
    "many": b", ".join(b'"x%d": 1' % number for number in range(20_000)),
}
INSIDE = ("Traceback", 'File "', "site-packages", "pydantic", "sqlalchemy", "MariaDB", "evergreen_")


@functools.cache
def build_bomb() -> bytes:
    """100 MB as 100 KB."""
    return gzip.compress(b" " * HUGE, 1)


class Attacked(NamedTuple):
    """The service, its address, and a key where one is asked for; `secrets` no answer may hold."""

    service: Service
    url: str
    http: httpx.Client
    key: str
    secrets: tuple[str, ...]

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.key} if self.key else {}

    def build_head(self, method: str, path: str, *headers: str, **more: str) -> bytes:
        own = (f"X-API-Key: {self.key}",) if self.key else ()
        return build_head(method, path, *own, *headers, **more)

    def post(self, path: str, body: bytes, content_type: str | None = JSON, **headers: str) -> httpx.Response:
        typed = {"content-type": content_type} if content_type else {}
        return self.http.post(self.url + path, content=body, headers={**self.headers, **typed, **headers})

    def assert_refused(self, status: int, text: str) -> None:
        """A 4xx in the form of every error, which gives nothing away."""
        assert 400 <= status < 500, (status, text[:300])
        error = json.loads(text)["error"]
        assert set(error) == {"type", "message", "hint", "fields"}
        assert error["message"]
        assert len(text) < 10_000
        for secret in (*INSIDE, *self.secrets):
            assert secret not in text, secret

    def assert_well(self) -> None:
        """A good request is answered."""
        answer = self.post("/predict", build_body("/predict"))
        assert answer.status_code == 200, answer.text
        assert answer.json()["prediction"] in ("no", "yes")


def build_body(path: str, value: bytes | None = None) -> bytes:
    """The body of a route with that JSON in one place; a good body without."""
    good = GOOD.get(path, 17)
    return json.dumps(BODIES[path]).encode().replace(b'"VALUE"', value or json.dumps(good).encode(), 1)


def measure_peak(service: Service) -> float:
    """The most memory that each process of the service ever had, together, in MB."""
    processes = [psutil.Process(service.process.pid), *psutil.Process(service.process.pid).children(True)]
    peaks = 0
    for process in processes:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        peaks += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return peaks / 1024


@pytest.fixture(scope="module")
def service(made: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with short time-outs, whose memory and metrics are looked at when all tests are over."""
    more = {"EVERGREEN_REQUEST_SECONDS": str(REQUEST_SECONDS)}
    with running(made, tmp_path_factory.mktemp("service"), more=more) as started:
        pids = {process.pid for process in psutil.Process(started.process.pid).children(True)}
        before = measure_peak(started)
        yield started
        assert measure_peak(started) - before < MOST_GROWTH_MB
        assert {process.pid for process in psutil.Process(started.process.pid).children(True)} == pids
        page = httpx.get(f"{started.url}/metrics").text
        routes = {part.split('"')[0] for part in page.split('route="')[1:]}
        assert routes <= {"unknown", "/static_content/{file}", *(route.template for route in ROUTES)}
        log = started.log.read_text(encoding="utf-8", errors="replace")
        assert "Traceback" not in log
        assert " failed: " not in log


@pytest.fixture(scope="module", params=["open", "with keys"])
def attacked(request: pytest.FixtureRequest, made: World, service: Service) -> Iterator[Attacked]:
    settings = made.settings
    secrets = (
        *(str(settings.home), str(settings.mariadb_socket), settings.mariadb_user, settings.mariadb_database),
        settings.mariadb_password.get_secret_value(),
    )
    with httpx.Client(trust_env=False, timeout=60) as http:
        if request.param == "open":
            yield Attacked(service, service.url, http, "", secrets)
            return
        key = add_key(settings.api_keys_path, "shop")
        eventually(lambda: http.get(f"{service.url}/metadata").status_code == 401)
        yield Attacked(service, service.url, http, key, secrets)
        remove_keys(settings.api_keys_path, "shop")
        eventually(lambda: http.get(f"{service.url}/metadata").status_code == 200)


@pytest.fixture(params=BODIES)
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("content_type", [JSON, "application/x+json"], ids=["in front", "behind"])
def test_values_of_every_kind_are_refused(attacked: Attacked, path: str, content_type: str) -> None:
    for value in VALUES.values():
        answer = attacked.post(path, build_body(path, value), content_type)
        attacked.assert_refused(answer.status_code, answer.text)
    good = build_body(path)
    for field in FIELDS.values():
        end = good.rstrip(b"}]")
        answer = attacked.post(path, end + b", " + field + good[len(end) :], content_type)
        attacked.assert_refused(answer.status_code, answer.text)
    for body in (b"", b"null", b"[]", b"7", good[:-1], good + b"}", b"[" * DEEP, b"\x00" * 1000, b"\xff\xfe"):
        answer = attacked.post(path, body, content_type)
        attacked.assert_refused(answer.status_code, answer.text)
    attacked.assert_well()


def test_texts_are_kept_as_they_came(made: World, attacked: Attacked) -> None:
    """What looks like SQL or a template is a text as any other; of two values of a name the last counts."""
    texts = [
        "'; DROP TABLE parcel__prediction; -- ",
        "{{7*7}} ${7*7} %s {0}",
        "a\x00b",
        "\U0001f4a3\u202e",
        "\\",
    ]
    ids = []
    for text in texts:
        body = json.dumps({"data": row(note=text)}).encode().replace(b'"weight"', b'"weight": 1, "weight"')
        answer = attacked.post("/predict", body)
        assert answer.status_code == 200, answer.text
        ids.append(answer.json()["prediction_id"])
    statement = sa.text("SELECT note, weight FROM parcel__prediction WHERE prediction_id = :id")

    def read() -> list[tuple[Any, ...]]:
        with get_engine(made.settings).connect() as database:
            return [tuple(each) for id in ids for each in database.execute(statement, {"id": id})]

    eventually(lambda: len(read()) == len(ids))
    assert read() == [(text, row()["weight"]) for text in texts]


def test_types_charsets_and_encodings(attacked: Attacked, path: str) -> None:
    """Each is refused, or is a good request in spite of what it calls itself."""
    good = build_body(path)
    refused = [
        (good, "text/plain", {}),
        (good, "application/x-www-form-urlencoded", {}),
        (good, "multipart/form-data; boundary=x", {}),
        (good, "application/xml", {}),
        (good, "x" * 5000, {}),
        (gzip.compress(good), JSON, {"content-encoding": "gzip"}),
        (good[1:], JSON, {"content-encoding": "gzip, br, zstd"}),
        (build_bomb(), JSON, {"content-encoding": "gzip"}),
        ("{}é".encode("latin-1"), f"{JSON}; charset=latin-1", {}),
        (good.decode().encode("cp037"), f"{JSON}; charset=cp037", {}),
    ]
    for body, content_type, headers in refused:
        answer = attacked.post(path, body, content_type, **headers)
        attacked.assert_refused(answer.status_code, answer.text)
    for content_type in (None, f"{JSON}; charset=utf-16", f"{JSON}; charset=klingon", ""):
        for body in (good, good.decode().encode("utf-16")):
            answer = attacked.post(path, body, content_type)
            if answer.status_code != 200:
                attacked.assert_refused(answer.status_code, answer.text)
    attacked.assert_well()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with its length", "in chunks"])
def test_a_huge_body_is_refused(attacked: Attacked, path: str, is_chunked: bool) -> None:
    part = b" " * 100_000
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {HUGE}"
    parts = [b"%x\r\n%s\r\n" % (len(part), part) if is_chunked else part] * (HUGE // len(part))
    with connect(attacked.url) as connection:
        connection.send(attacked.build_head("POST", path, f"Content-Type: {JSON}", framing))
        sent = connection.flood(parts)
        answer = connection.read()
    assert answer is not None
    assert answer.status == 413
    attacked.assert_refused(answer.status, answer.body.decode())
    assert sent < HUGE
    attacked.assert_well()


def test_slow_and_half_closed_connections_end(attacked: Attacked) -> None:
    """All at once, so that they are waited for once; good requests are answered meanwhile."""
    head = attacked.build_head("POST", "/predict", f"Content-Type: {JSON}", "Content-Length: 900")
    chunked = attacked.build_head("POST", "/predict_batch", "Transfer-Encoding: chunked")
    denied = build_head("POST", "/predict", "Content-Length: 900", host="evil.example")
    starts = {
        "nothing": (b"", None),
        "half a line": (b"POST /pred", 408),
        "half the headers": (head[:30], 408),
        "no body": (head, 408),
        "half a body": (head + b'{"data": {', 408),
        "half a chunk": (chunked + b"ffff\r\n{", 408),
        "a body after a refusal": (denied, 421),
    }
    connections: dict[str, Connection] = {}
    try:
        for name, (start, _) in starts.items():
            connections[name] = Connection(attacked.url)
            connections[name].send(start)
        # Slowly, a byte at a time, as slowloris does.
        ended = time.monotonic() + REQUEST_SECONDS + 1.5
        while time.monotonic() < ended:
            attacked.assert_well()
            for name, connection in connections.items():
                connection.flood([b"x" if name != "nothing" else b""])
            time.sleep(0.3)
        for name, (_, status) in starts.items():
            answer = connections[name].read()
            assert (answer.status if answer is not None else None) == status, name
            assert connections[name].read() is None, name
    finally:
        for connection in connections.values():
            connection.close()
    for start in (head, head + b"{", b"GET /liv", attacked.build_head("GET", "/metadata")):
        with connect(attacked.url) as connection:
            connection.send(start)
            connection.socket.shutdown(1)
            connection.read()
            assert connection.read() is None
    attacked.assert_well()


def test_forged_hosts_are_refused(attacked: Attacked, path: str) -> None:
    body = build_body(path)
    length = f"Content-Length: {len(body)}"
    hosts = ("evil.example", "localhost.evil.example", "localhost@evil", "10.0.0.1", "", "[::1", "a" * 300)
    for host in hosts:
        request = attacked.build_head("POST", path, length, f"Content-Type: {JSON}", host=host) + body
        answer = exchange(attacked.url, request)
        assert answer is not None
        assert answer.status == 421, host
        attacked.assert_refused(answer.status, answer.body.decode())
    twice = attacked.build_head("POST", path, length, "Host: evil.example") + body
    assert exchange(attacked.url, twice).status in (400, 421)  # type: ignore[union-attr]
    attacked.assert_well()


def test_floods_of_headers_are_refused(attacked: Attacked, path: str) -> None:
    floods = (
        [f"X-{number}: 1" for number in range(1000)],
        ["X-Same: 1"] * 1000,
        ["X-Long: " + "x" * 100_000],
        ["X-" + "n" * 100_000 + ": 1"],
        [f"Cookie: {'c' * 8000}"] * 20,
    )
    for headers in floods:
        for body in (b"", build_body(path)):
            framing = (f"Content-Length: {len(body)}", f"Content-Type: {JSON}")
            answer = exchange(attacked.url, attacked.build_head("POST", path, *headers, *framing) + body)
            assert answer is not None
            assert answer.status == 431
            attacked.assert_refused(answer.status, answer.body.decode())
    odd = attacked.post(path, build_body(path), **{"traceparent": "x" * 999, "x-request-id": "'\"<"})
    assert odd.status_code in (200, 404)
    assert "<" not in odd.headers["x-request-id"]
    attacked.assert_well()


def test_methods_that_a_route_does_not_have(attacked: Attacked) -> None:
    for route in ROUTES:
        for method in {"GET", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "HEAD", "PROPFIND"} - {
            *route.methods
        }:
            answer = exchange(attacked.url, attacked.build_head(method, route.template))
            assert answer is not None
            assert answer.status == 405, (method, route.template)
            assert answer.headers["allow"] == ", ".join(route.methods)
    for request in (b"HACK / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\xa5\x01\r\n\r\n", b"GET /\r\n\r\n"):
        answer = exchange(attacked.url, request)
        assert answer is not None
        attacked.assert_refused(answer.status, answer.body.decode())
    for request in (
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        answer = exchange(attacked.url, request)
        assert answer is None or 400 <= answer.status < 500
    attacked.assert_well()


def test_paths_lead_nowhere_else(attacked: Attacked) -> None:
    outside = "/etc/passwd"
    paths = (
        *("/%00", "/predict%00", "/predict/", "//predict", "/%ff", "/predict;x", "/PREDICT", "/nowhere"),
        *(
            f"/..{outside}",
            f"/static_content/../../../../../../..{outside}",
            "/static_content/",
            "/static_content",
        ),
        *(f"/static_content/{'%2e%2e/' * 12}{outside}", f"/static_content/{'..%2f' * 12}{outside}"),
        *(f"/static_content//{outside}", f"/static_content/%2f{outside}", "/static_content/x%00.css"),
        *("/static_content/%ff", "/static_content/" + "x" * 5000, "/static_content/x?" + "y" * 5000),
        *("http://evil.example/nowhere", "*", "/%", "/%zz"),
    )
    for target in paths:
        for method in ("GET", "POST"):
            answer = exchange(attacked.url, attacked.build_head(method, target))
            assert answer is not None, target
            assert 400 <= answer.status < 500, (target, answer)
            attacked.assert_refused(answer.status, answer.body.decode())
    attacked.assert_well()


def test_old_and_odd_http(attacked: Attacked) -> None:
    good = build_body("/predict")
    plain = attacked.build_head("POST", "/predict", f"Content-Type: {JSON}", f"Content-Length: {len(good)}")
    old = plain.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert exchange(attacked.url, old + good).status == 200  # type: ignore[union-attr]
    nameless = old.replace(b"Host: localhost\r\n", b"")
    assert exchange(attacked.url, nameless + good).status == 421  # type: ignore[union-attr]
    assert exchange(attacked.url, b"GET /livez HTTP/1.0\r\n\r\n").status == 200  # type: ignore[union-attr]
    with connect(attacked.url) as connection:
        connection.send((plain + good) * 50)
        assert {connection.read().status for _ in range(50)} == {200}  # type: ignore[union-attr]
    expecting = plain.replace(b"Host", b"Expect: 100-continue\r\nHost")
    with connect(attacked.url) as connection:
        connection.send(expecting)
        assert connection.read().status == 100  # type: ignore[union-attr]
        connection.send(good)
        assert connection.read().status == 200  # type: ignore[union-attr]
    huge = expecting.replace(b"Content-Length: ", b"Content-Length: 9999")
    assert exchange(attacked.url, huge).status == 413  # type: ignore[union-attr]
    smuggled = plain.replace(b"Host", b"Transfer-Encoding: chunked\r\nHost")
    wrong = (
        *(smuggled, plain.replace(b"Content-Length: ", b"Content-Length: -")),
        plain.replace(b"Content-Length: ", b"Content-Length: " + b"9" * 5000),
        plain.replace(b"Content-Length: ", b"Content-Length: 3\r\nContent-Length: "),
        attacked.build_head("POST", "/predict", "Transfer-Encoding: chunked") + b"zz\r\n",
        attacked.build_head("POST", "/predict", "Transfer-Encoding: chunked") + b"f" * 40 + b"\r\n",
        attacked.build_head("POST", "/predict", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
        plain.replace(b"Host: ", b"Host : "),
        plain.replace(b"Host: ", b"X: a\x00b\r\nHost: "),
        plain.replace(b"Host: ", b" folded\r\nHost: "),
    )
    for request in wrong:
        answer = exchange(attacked.url, request + good)
        assert answer is not None, request[:80]
        attacked.assert_refused(answer.status, answer.body.decode())
    attacked.assert_well()


def test_without_a_key_there_is_nothing_to_attack(attacked: Attacked, path: str) -> None:
    if not attacked.key:
        pytest.skip("this service asks for none")
    for value in VALUES.values():
        for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer " + "é" * 99}):
            encoded = {name: text.encode("latin-1") for name, text in headers.items()}
            answer = attacked.http.post(attacked.url + path, content=build_body(path, value), headers=encoded)
            assert answer.status_code == 401
            attacked.assert_refused(answer.status_code, answer.text)


def test_what_the_document_allows_and_forbids(attacked: Attacked) -> None:
    """A few hundred requests made from it: no 5xx, and every answer is as documented."""
    if not attacked.key:
        pytest.skip("with a key there are more checks")
    keys = [{"parcel_id": number} for number in range(1, PARCELS + 1)]
    report = fuzz_service(attacked.url, CASES, seed=SEED, api_key=attacked.key, known_keys=keys)
    assert report.describe() == ""
    assert report.server_errors == 0
    documented = {route.template for route in ROUTES} - {
        "/",
        "/docs",
        "/openapi.json",
        "/docs.json",
        "/schema.json",
    }
    assert {call.split()[1] for call in report.cases} == documented
    assert min(report.cases.values()) >= CASES
    assert all(report.statuses[f"POST {path}"][200] for path in BODIES)
