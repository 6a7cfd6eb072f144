"""What a campaign finds in a service with planted faults, and when it passes."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.fuzz.__main__ import CASES, QUICK_CASES, build_text, has_passed, parse_arguments
from benchmarks.fuzz.campaign import Finding, Report, fuzz_service, replace_key

SIZE = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
BODY = {"required": True, "content": {"application/json": {"schema": SIZE}}}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "planted", "version": "1"},
    "paths": {"/measure": {"post": {"requestBody": BODY, "responses": {"200": {"description": "measured"}}}}},
}


class Planted(BaseHTTPRequestHandler):
    """Fails on negative sizes, and refuses what is no size with a status that is not documented."""

    def do_GET(self) -> None:
        self.answer(200, DOCUMENT)

    def do_POST(self) -> None:
        try:
            size = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))["size"]
            self.answer(500 if size < 0 else 200, {})
        except (ValueError, KeyError, TypeError):
            self.answer(418, {})

    def answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


def test_planted_faults_are_found_and_the_same_seed_finds_them_again() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Planted)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        reports = [fuzz_service(url, 10, seed=7) for _ in range(2)]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    for report in reports:
        assert report.server_errors
        assert {call for call, _ in report.findings} == {"POST /measure"}
        assert "Server error" in {check for _, check in report.findings}
        assert "curl" in report.describe()
        assert not has_passed(report, 1)
    assert reports[0].statuses == reports[1].statuses


def test_a_service_that_is_not_there_is_a_fault() -> None:
    report = fuzz_service("http://127.0.0.1:9", 1, seed=1)
    assert "cannot be read" in report.describe()
    assert not has_passed(report, 0)


def test_it_passes_only_with_enough_requests_to_each_endpoint() -> None:
    report = Report(1, Counter({"GET /a": 9, "POST /b": 10}), {"GET /a": Counter({200: 9})})
    assert not has_passed(report, 10)
    assert has_passed(report, 9)
    assert "every answer is as documented" in build_text(report)
    report.findings["GET /a", "x"] = Finding("GET /a", "x", "odd", "curl /a", 2)
    assert not has_passed(report, 9)
    assert json.loads(json.dumps(report.to_json()))["findings"][0]["count"] == 2


def test_the_words_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_arguments([]).cases == CASES >= 5_000
    assert parse_arguments(["--quick", "--seed", "3"]).cases == QUICK_CASES
    assert parse_arguments([]).seed != parse_arguments([]).seed
    with pytest.raises(SystemExit):
        parse_arguments(["--cases", "0"])
    assert "at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "data", [{"id": 2**63}, {"id": -(2**63) - 2}, {"id": 2.0}, {"id": True}, {"no": 2}, [2], None]
)
def test_a_wrong_key_is_sent_as_it_is(data: Any) -> None:
    assert replace_key({"data": data}, [{"id": 7}]) == {"data": data}
    assert replace_key(data, [{"id": 7}]) == data


def test_every_other_right_key_is_a_known_one_and_the_rest_of_the_body_stays() -> None:
    known = [{"id": 70}, {"id": 71}]
    sent = [replace_key({"data": {"id": n}, "extra": n}, known) for n in (-(2**63), -1, 0, 2, 3, 2**63 - 1)]
    assert [body["data"]["id"] for body in sent] == [70, -1, 70, 71, 3, 2**63 - 1]
    assert [body["extra"] for body in sent] == [-(2**63), -1, 0, 2, 3, 2**63 - 1]
