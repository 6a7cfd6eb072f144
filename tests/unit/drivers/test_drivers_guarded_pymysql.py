"""PyMySQL fails where it would otherwise go on without what was asked of it."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pymysql
import pytest
from pymysql.err import OperationalError

from evergreen.drivers.guarded_pymysql import GuardedConnection
from support.rogue_server import RogueServer, rogue_server


def connect(rogue: RogueServer, **options: Any) -> GuardedConnection:
    return GuardedConnection(host="127.0.0.1", port=rogue.port, user="u", connect_timeout=5, **options)


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(b"SECRET")
    return path


@pytest.mark.parametrize(
    "words",
    [
        {"ssl_mode": "REQUIRED"},
        {"ssl_mode": "VERIFY_IDENTITY"},
        {"ssl_verify_identity": True},
        {"ssl_verify_cert": "true"},
        {"ssl_mode": "REQUIRED", "ssl_disabled": "false"},
        {"ssl": {"cipher": "ECDHE-RSA-AES256-GCM-SHA384"}},
    ],
)
def test_a_server_without_tls_gets_no_password(wanted: Path, words: dict[str, Any]) -> None:
    with rogue_server(wanted, ask_for_password=True) as rogue:
        with pytest.raises(OperationalError, match="the server has none") as raised:
            connect(rogue, password="secret", **words)
        assert raised.value.args[0] == 2026
        assert rogue.passwords == []


def test_pymysql_itself_would_send_it(wanted: Path) -> None:
    """The test above can fail."""
    with rogue_server(wanted, ask_for_password=True) as rogue:
        with pytest.raises(OperationalError, match="timed out"):
            # It takes the question for a file for an answer, and waits for the next one.
            pymysql.connect(
                host="127.0.0.1",
                port=rogue.port,
                user="u",
                password="secret",
                ssl_verify_cert=True,
                read_timeout=1,
            )
        assert rogue.passwords == [b"secret\0"]


@pytest.mark.parametrize("mode", ["PREFERRED", "DISABLED"])
def test_who_does_not_ask_for_tls_goes_without(wanted: Path, mode: str) -> None:
    with rogue_server(wanted, ask_for_password=True) as rogue:
        with pytest.raises(OperationalError, match="asked for a file"):
            connect(rogue, password="pass wörd €", ssl_mode=mode)
        # Latin-1 has no euro sign.
        assert rogue.passwords == ["pass wörd €\0".encode()]


@pytest.mark.parametrize(
    "words", [{"ssl_mode": "MAYBE"}, {"ssl": {"ca": "/nowhere.pem"}}, {"ssl_ca": "/nowhere.pem"}]
)
def test_words_that_mean_nothing_are_an_error_of_the_driver(wanted: Path, words: dict[str, Any]) -> None:
    with rogue_server(wanted) as rogue:
        with pytest.raises(OperationalError, match=r"MAYBE|nowhere\.pem") as raised:
            connect(rogue, **words)
        assert raised.value.args[0] == 2026
        assert rogue.questions == []


def test_a_file_is_not_sent_and_the_connection_ends(wanted: Path) -> None:
    with rogue_server(wanted) as rogue:
        with pytest.raises(OperationalError, match="asked for a file") as raised:
            connect(rogue)
        assert raised.value.args[0] == 2000
        assert rogue.questions == [b"SET NAMES utf8mb4"]
        assert rogue.received == b""


def test_a_server_that_says_nothing_has_as_long_as_a_log_in(wanted: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(OperationalError, match="timed out"):
        GuardedConnection(
            host="127.0.0.1", port=mute.getsockname()[1], user="u", connect_timeout=1, read_timeout=3600
        )


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"\x05\0\0\0\x09abcd", b"\0\0\0\0"])
def test_another_program_is_an_error_of_the_driver(greeting: bytes) -> None:
    def greet(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            client.sendall(greeting)
            client.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        with pytest.raises(OperationalError) as raised:
            GuardedConnection(host="127.0.0.1", port=listener.getsockname()[1], user="u", connect_timeout=5)
        thread.join()
    assert raised.value.args[0] == 2013


def test_half_a_surrogate_pair_is_no_text(wanted: Path) -> None:
    """PyMySQL sends some of them as a byte."""
    connection = GuardedConnection(user="u", defer_connect=True)
    connection.server_status = 0
    assert connection.escape("wörld'😀") == "'wörld\\'😀'"
    for half in ("\ud800", "a\udc80"):
        with pytest.raises(UnicodeEncodeError):
            connection.escape(half)


def test_numbers_of_numpy_are_sent_as_mysqlclient_sends_them() -> None:
    connection = GuardedConnection(user="u", defer_connect=True)
    connection.server_status = 0
    assert connection.literal(np.float64(1.5)) == "'1.5'"
    assert connection.literal(np.int64(7)) == "'7'"
    assert [connection.literal(value) for value in (None, True, 7, 0.5, "a'b")] == [
        "NULL",
        "1",
        "7",
        "0.5e0",
        "'a\\'b'",
    ]
