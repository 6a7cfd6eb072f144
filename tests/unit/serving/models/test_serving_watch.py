"""The watch over the champion: each change is reconciled as soon as it can be, one run at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from evergreen.errors import StoreUnreachable
from evergreen.serving.models.watch import ChampionWatch

JOIN_SECONDS = 60.0  # bounds a failing test


class Comparison:
    """Counts its calls, raises the test's fault, and may be held up."""

    def __init__(self) -> None:
        self.calls = 0
        self.fault: Exception | None = None
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self) -> None:
        self.calls += 1
        assert self.may_end.wait(60)
        if self.fault:
            raise self.fault


@pytest.fixture
def comparison() -> Iterator[Comparison]:
    made = Comparison()
    yield made
    made.may_end.set()


def named(version: int, run_id: str = "run") -> Any:
    return SimpleNamespace(version=version, run_id=run_id)


class Threads(list[threading.Thread]):
    """The threads that were started since the test began."""

    def settle(self) -> None:
        """Return when each of them has ended for certain.

        A thread leaves `threading.enumerate()` before `is_alive()` is false; only a join knows the end.
        """
        for thread in self:
            thread.join(JOIN_SECONDS)
            assert not thread.is_alive()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    started = Threads()
    start = threading.Thread.start

    def start_and_keep(thread: threading.Thread) -> None:
        start(thread)
        started.append(thread)

    monkeypatch.setattr(threading.Thread, "start", start_and_keep)
    return started


def test_news_is_compared_once_and_what_is_seen_first_is_news(
    comparison: Comparison, threads: Threads
) -> None:
    watch = ChampionWatch(comparison)
    calls = []
    for seen in (None, None, named(1), named(1), named(1, "made anew"), named(2), None, None, named(2)):
        watch.notice_champion(seen)
        threads.settle()
        calls.append(comparison.calls)
    assert calls == [1, 1, 2, 2, 3, 4, 5, 5, 6]


def test_a_failed_comparison_is_repeated_until_it_succeeds_and_logged_once(
    comparison: Comparison, threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    watch = ChampionWatch(comparison)
    comparison.fault = StoreUnreachable("MariaDB does not answer")
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            watch.notice_champion(named(1))
            threads.settle()
        comparison.fault = None
        for _ in range(3):
            watch.notice_champion(named(1))
            threads.settle()
    assert comparison.calls == 5
    own = [record.message for record in caplog.records if record.name == "evergreen.serving.models.watch"]
    assert own == [
        "the ledger was not compared with the registry, which is tried again: MariaDB does not answer"
    ]


def test_while_one_comparison_lasts_nobody_waits_and_no_other_begins(
    comparison: Comparison, threads: Threads
) -> None:
    watch = ChampionWatch(comparison)
    comparison.may_end.clear()
    watch.notice_champion(named(1))
    for version in range(2, 50):
        watch.notice_champion(named(version))
    assert len(threads) == 1
    comparison.may_end.set()
    threads.settle()
    watch.notice_champion(named(49))
    threads.settle()
    assert comparison.calls == 2


def test_a_process_without_room_for_a_thread_tries_again(
    comparison: Comparison, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    watch = ChampionWatch(comparison)
    with monkeypatch.context() as fault:
        fault.setattr(threading.Thread, "start", full)
        watch.notice_champion(named(1))
    assert comparison.calls == 0
    watch.notice_champion(named(1))
    threads.settle()
    assert comparison.calls == 1
