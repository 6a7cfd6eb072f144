"""Short turns of a processor: the kernel's own account of them."""

from __future__ import annotations

import platform
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from evergreen.serving import processor_turns
from evergreen.serving.processor_turns import take_short_turns


def read_turn() -> int:
    """The length of the calling thread's turns in nanoseconds, as the kernel shows it."""
    path = Path("/proc/thread-self/sched")
    match = re.search(r"se\.slice\s*:\s*(\d+)", path.read_text(encoding="utf-8")) if path.exists() else None
    if match is None:
        pytest.skip("this kernel does not show a thread's turns")
    return int(match[1])


def run_in_thread(function: Callable[[], None]) -> None:
    """Run it in a thread of its own: what it chooses ends with the thread."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001  raised again by the test's own thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in errors:
        raise error


def test_a_thread_takes_short_turns_and_the_threads_that_it_starts_do_not() -> None:
    usual = read_turn()

    def check() -> None:
        if not take_short_turns():
            pytest.skip("this system does not let a thread choose its turns")
        chosen = read_turn()
        if chosen == usual:
            pytest.skip("this kernel takes the wish and changes nothing")
        assert chosen == 100_000
        run_in_thread(lambda: assert_turn(usual))

    def assert_turn(expected: int) -> None:
        assert read_turn() == expected

    run_in_thread(check)
    assert read_turn() == usual


@pytest.mark.parametrize("name", ["Darwin", "Windows"])
def test_other_systems_change_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: name)
    assert take_short_turns() is False


def test_a_system_that_refuses_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger=processor_turns.__name__)
    assert take_short_turns(thread=2**22 + 1) is False  # beyond the greatest number of a thread
    assert "the system sets no turns" in caplog.text
