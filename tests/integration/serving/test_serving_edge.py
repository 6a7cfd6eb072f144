"""The edge of the real service: where it listens, who is answered, what BentoML's own client needs, what the
metrics show."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import bentoml
import httpx
import pytest
from pydantic import SecretStr

from evergreen.errors import AccessDenied
from evergreen.serving.calls.async_client import AsyncClient
from evergreen.serving.calls.client import Client
from evergreen.serving.probe import send_probe_requests
from evergreen.serving.standing import read_service_status
from evergreen.stack.processes.ports import LOOPBACK, find_free_port
from evergreen.stack.servers.probes import build_service_probe
from support.listening import assert_listens_only_on, listening
from support.parcel_case import row
from support.serving_world import NOW, Service, World, environment, running
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("first_champion")

KEY = "a-key-that-is-long-enough"


def test_bentomls_own_client_works(service: Service) -> None:
    with bentoml.SyncHTTPClient(service.url) as client:
        answer = client.predict(data=row())
        assert answer["prediction"] in ("no", "yes")
        assert len(client.predict_batch(data=[row(), row()])["predictions"]) == 2
        assert client.predict_by_key(data={"parcel_id": 17})["parcel_id"] == 17
        assert client.explain(data=row())["contributions"]
        assert client.feedback(prediction_id=answer["prediction_id"], actual="yes")["recorded"] is True
        with pytest.raises(bentoml.exceptions.BentoMLException, match="weight"):
            client.predict(data=row(weight=99))


def test_both_clients_of_ours_work(service: Service) -> None:
    async def ask() -> list[str]:
        async with AsyncClient(service.url) as client:
            answers = await asyncio.gather(*(client.predict(row(parcel_id=n)) for n in range(20)))
            outcomes = [(answer["prediction_id"], "yes") for answer in answers]
            assert await client.feedback_batch(outcomes) == 20
            assert [
                a["parcel_id"] for a in await client.predict_by_keys([{"parcel_id": 3}, {"parcel_id": 1}])
            ]
            return [answer["prediction_id"] for answer in answers]

    assert len(set(asyncio.run(ask()))) == 20
    with Client(service.url) as client:
        assert client.ready()
        assert client.metadata()["use_case"] == "parcel"


def test_a_forged_host_is_refused_on_every_path(service: Service) -> None:
    """Also on those that BentoML answers itself."""
    for path in ("/", "/metadata", "/metrics", "/schema.json", "/static_content/swagger-ui.css"):
        answer = httpx.get(f"{service.url}{path}", headers={"Host": "rebind.attacker.example"})
        assert answer.status_code == 421, path
        assert answer.json()["error"]["hint"]
    body = {"data": {"parcel_id": 17}}
    answer = httpx.post(f"{service.url}/predict_by_key", json=body, headers={"Host": "attacker.example:3000"})
    assert answer.status_code == 421


def test_errors_outside_of_the_app_have_the_same_form(service: Service) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("POST", "/livez", 405), ("GET", "/predict", 405)):
        answer = httpx.request(method, f"{service.url}{path}")
        assert answer.status_code == status
        assert answer.json()["error"]["message"]
        assert answer.headers["x-request-id"]
        assert ("allow" in answer.headers) == (status == 405)


def test_a_thousand_unknown_paths_add_no_series(service: Service) -> None:
    with httpx.Client(base_url=service.url) as http:
        http.get("/nowhere")
        http.post("/predict", json={"data": row(weight=99, colour="red")})
        before = http.get("/metrics").text
        for number in range(1_000):
            http.get(f"/nowhere/{number}")
        after = http.get("/metrics").text

    def list_series(page: str) -> set[str]:
        return {line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")}

    assert list_series(after) - list_series(before) <= {
        series for series in list_series(after) if 'route="/metrics"' in series
    }
    assert 'evergreen_requests_total{method="GET",route="unknown",status="4xx",use_case="parcel"}' in after
    assert 'evergreen_refused_values_total{field="(unknown field)",kind="extra_forbidden"' in after
    assert 'evergreen_refused_values_total{field="weight",kind="less_than_equal"' in after
    assert "/nowhere" not in after


def test_a_huge_bad_batch_does_not_keep_others_waiting(service: Service) -> None:
    rows = [row(**{f"unknown{n}": n for n in range(5)})] * 200
    answer = httpx.post(f"{service.url}/predict_batch", json={"data": rows})
    error = answer.json()["error"]
    assert answer.status_code == 422
    assert len(error["fields"]) == 20
    assert "at least" in error["message"]


def test_a_service_listens_on_its_announced_port_only(service: Service) -> None:
    assert_listens_only_on(service)


def test_what_listens_is_seen() -> None:
    """The test above can fail: ports and sockets of each kind that it forbids are found."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        udp.bind(("127.0.0.1", 0))
        abstract.bind(f"\0evergreen-{os.getpid()}")
        abstract.listen()
        assert {
            f"tcp 127.0.0.1:{tcp.getsockname()[1]}",
            f"udp 127.0.0.1:{udp.getsockname()[1]}",
            f"unix @evergreen-{os.getpid()}",
        } <= listening([os.getpid()])


def start_refused(made: World, folder: Path, *command: str, **more: str) -> str:
    """The log of a service that does not start."""
    process = subprocess.run(
        [sys.executable, "-m", *command],
        env={**environment(made.settings, "parcel", folder), **more},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode not in (0, None)
    return process.stdout + process.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("evergreen.serving.launch", "--host", "0.0.0.0"),
        ("bentoml", "serve", "evergreen.serving.service:service", "--host", "0.0.0.0"),
        # BentoML's own default is to listen everywhere.
        ("bentoml", "serve", "evergreen.serving.service:service"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_service_for_everybody_does_not_start_without_a_key(
    made: World, tmp_path: Path, command: tuple[str, ...]
) -> None:
    port = find_free_port()
    log = start_refused(made, tmp_path, *command, "--port", str(port))
    assert "no API key is set" in log
    assert "evergreen keys new" in log
    assert "Traceback" not in log
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port))


def test_a_service_with_keys_answers_who_has_one(made: World, tmp_path: Path) -> None:
    """Loopback, with a caller's key and the platform's own; its log is JSON without a caller's values."""
    more = {
        "EVERGREEN_API_KEYS": f"shop:{KEY}",
        "EVERGREEN_API_KEY": "the-platforms-own-key",
        "EVERGREEN_LOG_FORMAT": "json",
        "EVERGREEN_METRICS_ACCESS": "key",
        "EVERGREEN_REQUEST_SECONDS": "1",
    }
    with running(made, tmp_path, more=more, ready=False) as service:
        with Client(service.url) as client, pytest.raises(AccessDenied, match="API key"):
            client.metadata()
        for key in (KEY, "the-platforms-own-key"):
            with Client(service.url, api_key=key) as client:
                eventually(client.ready)
                assert client.predict(row(note="a secret of the customer"))["prediction_id"]
        with bentoml.SyncHTTPClient(service.url, token=KEY) as stock:
            assert stock.predict(data=row())["prediction_id"]
        for path in ("/", "/metrics", "/openapi.json", "/schema.json"):
            assert httpx.get(f"{service.url}{path}").status_code == 401, path
        for path in ("/livez", "/readyz", "/healthz"):
            assert httpx.get(f"{service.url}{path}").status_code == 200, path
        assert_the_platform_signs_in(made, service)
        assert send_half_a_body(service.url).startswith("HTTP/1.1 408 ")
    lines = (tmp_path / "service.log").read_text().splitlines()
    records = [json.loads(line) for line in lines if line.startswith('{"time"')]
    assert any(record["logger"].startswith("evergreen.serving") for record in records)
    assert not [line for line in lines if "secret of the customer" in line or KEY in line]


def assert_the_platform_signs_in(made: World, service: Service) -> None:
    """Status, the supervisor's probe and deploy's probe requests have the platform's key, and need it."""
    own = made.settings.model_copy(update={"api_key": SecretStr("the-platforms-own-key")})
    version = made.versions[0]
    status = read_service_status(own, service.url, made.use_case, None)
    assert status.serves == version
    with pytest.raises(AccessDenied):
        read_service_status(made.settings, service.url, made.use_case, None)
    rows = made.rows(3, seed=8)
    assert send_probe_requests(own, made.use_case, service.url, version, rows).passed
    port = httpx.URL(service.url).port
    assert port is not None
    assert build_service_probe(port, "the-platforms-own-key")(NOW) == ""


def send_half_a_body(url: str) -> str:
    """The answer to a request whose body stops in the middle, up to the end of the connection."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port), timeout=30) as connection:
        head = (
            f"POST /predict HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        connection.sendall(head.encode())
        return connection.makefile().read()
