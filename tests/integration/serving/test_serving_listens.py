"""A running service opens its announced port and nothing else."""

from __future__ import annotations

import os
import socket

from support.listening import assert_listens_only_on, listening
from support.serving_world import Service


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
