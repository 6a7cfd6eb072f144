"""A connection over the network is asked for a sign of life while it waits."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from evergreen.drivers.keepalive import keep_watch


@pytest.mark.parametrize("driver", ["pymysql", "mysqlclient"])
def test_a_dead_other_end_is_noticed_within_minutes_and_a_slow_one_is_not_given_up(driver: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as own,
    ):
        connection = SimpleNamespace(_sock=own) if driver == "pymysql" else SimpleNamespace(fileno=own.fileno)
        keep_watch(connection)
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        assert idle < own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000 <= 300
        assert own.gettimeout() is None  # what it waits for may still take long


def test_a_connection_by_a_unix_socket_or_of_an_unknown_driver_is_left_alone() -> None:
    first, second = socket.socketpair()
    with first, second:
        keep_watch(SimpleNamespace(_sock=first))
        assert not first.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    keep_watch(object())
