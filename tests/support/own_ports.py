"""Ports of its own for a stack of a test, so that two stacks can start at one moment.

A stack takes its usual ports where they are free. Two that look at the same moment would find the same ones.
"""

from __future__ import annotations

from pathlib import Path

from evergreen.stack.deploy.facts import SERVICE_PREFIX
from evergreen.stack.processes import process_table
from evergreen.stack.processes.ports import find_free_port
from evergreen.stack.processes.stack_state import StackState, write_state
from evergreen.stack.servers.server_list import USUAL_PORTS


def reserve_ports(home: Path, *use_cases: str) -> dict[str, int]:
    """Note free ports in the home of a stack that was never up, as those of its last start; returns them.

    There is one for each server, and for the service of each use case.
    """
    names = [*USUAL_PORTS, *(SERVICE_PREFIX + name for name in use_cases)]
    ports: dict[str, int] = {}
    while len(ports) < len(names):
        port = find_free_port()
        if port not in ports.values():
            ports[names[len(ports)]] = port
    write_state(home, StackState(id=process_table.compute_stack_id(home), ports=ports))
    return ports
