"""The generator against real sockets: what it counts, and that an open loop hides no delay."""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.serving.load.loops import Ending, run_plan
from benchmarks.serving.load.plan import Plan

STALL = 0.3
Respond = Callable[[int, bytes], bytes]


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *headers, f"Content-Length: {len(body)}", "\r\n"]
    return "\r\n".join(lines).encode() + body


@contextmanager
def serving(respond: Respond) -> Iterator[int]:
    """A server on a free port that answers request number n (from 0, of all) with `respond(n, body)`."""
    numbers = iter(range(1_000_000))
    lock = threading.Lock()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while head := self.read_head():
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = self.rfile.read(length)
                with lock:
                    number = next(numbers)
                data = respond(number, body)
                if not data:
                    return
                self.wfile.write(data)

        def read_head(self) -> bytes:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return b""
                head += line
            return head

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request: object, client_address: object) -> None:
            """The generator closed its connection."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    bodies = tmp_path / "bodies.json"
    bodies.write_text(json.dumps(['{"data": 1}', '{"data": "zwei ü"}']), encoding="utf-8")
    return Plan(
        host="127.0.0.1",
        port=0,
        path="/predict",
        bodies=str(bodies),
        connections=3,
        seconds=0.2,
        warm_seconds=0.05,
        result=str(tmp_path / "figures.json"),
        ids=str(tmp_path / "ids"),
    )


def test_a_closed_loop_sends_the_bodies_in_turn_and_keeps_every_answer(plan: Plan) -> None:
    seen: list[bytes] = []

    def respond(number: int, body: bytes) -> bytes:
        seen.append(body)
        return answer(200, b"n%d" % number)

    with serving(respond) as port:
        done = run_plan(replace(plan, port=port))
    assert done.figures.errors == 0
    assert sorted(done.bodies) == sorted(b"n%d" % number for number in range(len(seen)))
    assert 0 < done.figures.answers <= len(seen)
    assert set(seen) == {b'{"data": 1}', '{"data": "zwei ü"}'.encode()}
    assert abs(seen.count(b'{"data": 1}') - len(seen) / 2) <= 2


def test_another_answer_than_200_is_an_error_and_no_latency(plan: Plan) -> None:
    with serving(lambda number, _: answer(422 if number % 10 == 5 else 200, b"body")) as port:
        done = run_plan(replace(plan, port=port))
    assert done.figures.errors >= 1
    assert done.figures.fault == "422: body"
    assert done.figures.answers > done.figures.errors


def test_a_connection_that_breaks_off_is_an_error_and_made_anew(plan: Plan) -> None:
    with serving(lambda number, _: b"" if number == 5 else answer(200, b"x")) as port:
        done = run_plan(replace(plan, port=port))
    assert done.figures.errors == 1
    assert "closed a connection" in done.figures.fault
    assert len(done.bodies) > 10


def reset_connections(server: socket.socket, count: int) -> None:
    """Take that many connections and close them with their requests unread, as a killed process does."""
    for _ in range(count):
        connection, _ = server.accept()
        connection.recv(1, socket.MSG_PEEK)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    server.close()


def test_a_server_that_goes_ends_the_round_and_unread_requests_are_told_apart(plan: Plan) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=reset_connections, args=(server, plan.connections))
        thread.start()
        done = run_plan(replace(plan, port=port, seconds=60.0, until_gone=True))
        thread.join()
    # A connection more may be waiting when the server closes.
    assert done.figures.unread == done.figures.errors >= plan.connections
    assert done.bodies == []


def test_a_request_that_was_read_and_not_answered_is_not_unread(plan: Plan) -> None:
    with serving(lambda number, _: b"" if number == 5 else answer(200, b"x")) as port:
        figures = run_plan(replace(plan, port=port, until_gone=True)).figures
    assert (figures.errors, figures.unread) == (1, 0)


@pytest.mark.parametrize("rate", [0.0, 50.0])
def test_a_round_that_is_asked_to_end_has_the_answers_of_until_then(plan: Plan, rate: float) -> None:
    ending = Ending()

    def respond(number: int, _: bytes) -> bytes:
        if number == 5:
            ending.ask()
        return answer(200, b"x")

    with serving(respond) as port:
        done = run_plan(replace(plan, port=port, seconds=60.0, rate=rate), ending=ending)
    assert done.figures.errors == 0
    assert len(done.bodies) >= 6


def test_a_server_that_says_close_is_no_error(plan: Plan) -> None:
    def respond(number: int, _: bytes) -> bytes:
        return answer(200, b"x", *(["Connection: close"] if number % 4 == 1 else []))

    with serving(respond) as port:
        done = run_plan(replace(plan, port=port))
    assert done.figures.errors == 0
    assert done.figures.farewells >= len(done.bodies) // 4
    assert len(done.bodies) > 10


def test_an_open_loop_sends_what_is_due_and_no_more(plan: Plan) -> None:
    with serving(lambda *_: answer(200, b"x")) as port:
        done = run_plan(replace(plan, port=port, rate=400.0))
    # 0.25 s at 400 a second, the first at once; 0.2 s of them count.
    assert len(done.bodies) in (100, 101)
    assert done.figures.answers in (79, 80, 81)


def test_an_open_loop_charges_a_stall_to_all_who_waited(plan: Plan) -> None:
    """One stall of one connection: a closed loop would have one long latency, here each request that was due
    meanwhile has its share."""

    def respond(number: int, _: bytes) -> bytes:
        if number == 0:
            time.sleep(STALL)
        return answer(200, b"x")

    with serving(respond) as port:
        done = run_plan(replace(plan, port=port, connections=1, rate=200.0, warm_seconds=0.0, seconds=STALL))
    figures = done.figures
    assert figures.errors == 0
    # The k-th request was due k / 200 s after the first and answered after the stall.
    assert figures.longest >= STALL * 1e3
    assert figures.p50 >= STALL / 2 * 1e3 - 10
    assert len(done.bodies) in (60, 61)


def test_a_server_that_cannot_keep_up_has_the_rate_that_it_managed(plan: Plan) -> None:
    def respond(number: int, _: bytes) -> bytes:
        time.sleep(0.02)
        return answer(200, b"x")

    slow = replace(plan, connections=1, rate=100.0, warm_seconds=0.0, seconds=0.2)
    with serving(respond) as port:
        done = run_plan(replace(slow, port=port))
    assert done.figures.answers >= 20
    assert done.figures.rate <= 51


def test_nobody_who_listens_is_an_error_of_the_system(plan: Plan) -> None:
    with serving(lambda *_: b"") as port:
        pass
    with pytest.raises(OSError):
        run_plan(replace(plan, port=port))


def test_a_plan_comes_back_from_its_file(plan: Plan, tmp_path: Path) -> None:
    sent = replace(plan, headers=(("X-Key", "secret"),), rate=12.5)
    sent.write(tmp_path / "plan.json")
    assert Plan.read(tmp_path / "plan.json") == sent
    first, second = sent.build_requests()
    assert first.startswith(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:0\r\n")
    assert b"\r\nX-Key: secret\r\n" in first
    assert second.endswith('Content-Length: 19\r\n\r\n{"data": "zwei ü"}'.encode())
