"""The one loop that waits."""

from __future__ import annotations

import pytest

from evergreen.waiting import wait_until


def test_the_first_true_answer_is_returned() -> None:
    answers = iter(["", "", "ready", "late"])
    assert wait_until(lambda: next(answers), poll_seconds=0.0) == "ready"
    assert next(answers) == "late"


def test_without_time_it_asks_once_and_returns_the_last_answer() -> None:
    calls: list[int] = []

    def check() -> int:
        calls.append(1)
        return 0

    assert wait_until(check, 0.0) == 0
    assert len(calls) == 1
    assert wait_until(check, 0.05, poll_seconds=0.01) == 0
    assert len(calls) > 2


def test_what_the_check_raises_ends_the_wait() -> None:
    def check() -> bool:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        wait_until(check, 60.0)
