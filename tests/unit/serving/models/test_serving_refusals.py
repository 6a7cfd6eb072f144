"""Refused versions: each is written once, however long MariaDB is away, and never beside the requests."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from evergreen.errors import StoreUnreachable
from evergreen.serving.models.refusals import Refusal, RefusalLog
from evergreen.serving.models.time_limit import TimeLimitedCall
from support.waiting import eventually

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def refusal(version: int = 3, reason: str = "another file", minute: int = 0) -> Refusal:
    return Refusal(version, f"run-{version}", reason, NOW + timedelta(minutes=minute))


def test_a_refusal_is_written_once_and_each_reason_by_itself() -> None:
    written: list[Refusal] = []
    log = RefusalLog(written.append)
    for minute in range(5):
        log.report(refusal(minute=minute))
    log.report(refusal(reason="other answers", minute=9))
    log.report(refusal(version=4))
    eventually(lambda: len(written) == 3)
    assert [(each.version, each.reason) for each in written] == [
        (3, "another file"),
        (3, "other answers"),
        (4, "another file"),
    ]


def test_it_is_shown_with_its_first_moment_until_the_version_is_good() -> None:
    log = RefusalLog(lambda _: None)
    log.report(refusal())
    log.report(refusal(minute=5))
    assert log.find(3, "run-3") == refusal()
    assert log.find(3, "another run") is None
    log.report(refusal(reason="other answers", minute=6))
    shown = log.find(3, "run-3")
    assert shown is not None
    assert shown.reason == "other answers"
    log.forget(3, "run-3")
    assert log.find(3, "run-3") is None
    log.forget(3, "run-3")


def test_mariadb_may_be_away_and_nobody_waits_for_it(caplog: pytest.LogCaptureFixture) -> None:
    written: list[Refusal] = []
    away, tries = threading.Event(), []

    def record(each: Refusal) -> None:
        tries.append(each)
        if not away.is_set():
            raise StoreUnreachable("MariaDB does not answer")
        written.append(each)

    log = RefusalLog(record, first_pause_seconds=0.01)
    log.report(refusal())
    log.report(refusal(version=4))
    eventually(lambda: len(tries) > 3)
    assert written == []
    away.set()
    eventually(lambda: [each.version for each in written] == [3, 4])
    assert caplog.text.count("not in the ledger yet") == 1


def test_a_call_that_takes_too_long_is_given_up_and_no_second_one_begins_beside_it() -> None:
    released = threading.Event()
    began: list[int] = []

    def hang() -> int:
        began.append(1)
        released.wait(60)
        return 1

    call: TimeLimitedCall[int] = TimeLimitedCall(0.05)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            call.run(hang)
    assert began == [1]
    released.set()
    call = TimeLimitedCall(60.0)
    assert call.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        call.run(lambda: 1 // 0)
