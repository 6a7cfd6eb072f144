"""The lock that a demo of a use case holds: scheduled runs of that use case that begin meanwhile are skipped.

A demo simulates months that its runs then work as of. A scheduled run in between, such as the ingest of
midnight, works as of the present: it moves the ingest's watermark past everything that the demo has not
simulated yet. The lock is MariaDB's, so it is seen from every machine and is free again when its holder dies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from evergreen.errors import AnotherDemo
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.connection.locks import hold_lock, is_locked


@contextmanager
def hold_demo_lock(settings: Settings, use_case_name: str) -> Iterator[None]:
    """Hold the lock of that use case's demo. Raises AnotherDemo when another demo of it holds it."""

    def build_refusal() -> AnotherDemo:
        return AnotherDemo(
            f"another demo of {use_case_name} is under way",
            hint="wait until it has ended, or end it with Ctrl-C",
        )

    with (
        get_engine(settings).connect() as connection,
        hold_lock(connection, _build_lock_name(use_case_name), 0.0, idle=True, build_refusal=build_refusal),
    ):
        yield


def is_demo_running(settings: Settings, use_case_name: str) -> bool:
    """Whether a demo of that use case holds its lock."""
    with get_engine(settings).connect() as connection:
        return is_locked(connection, _build_lock_name(use_case_name))


def _build_lock_name(use_case_name: str) -> str:
    return f"demo.{use_case_name}"
