"""The update of the prediction log's table beside the service's writes."""

from __future__ import annotations

import threading

import pytest

from evergreen.errors import StoreUnreachable
from evergreen.serving.predictions import table_update
from evergreen.serving.predictions.table_update import TableUpdate
from support.waiting import eventually


def test_it_runs_once_and_holds_up_nobody() -> None:
    release = threading.Event()
    calls: list[int] = []

    def migrate() -> list[str]:
        calls.append(1)
        release.wait(10)
        return ["toy__prediction: channel_as_text"]

    update = TableUpdate(migrate)
    for _ in range(3):
        update.start()
    assert not update.done
    release.set()
    eventually(lambda: update.done)
    update.start()
    assert len(calls) == 1


def test_it_is_tried_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_update, "_RETRY_SECONDS", 0.0)
    answers = [StoreUnreachable("MariaDB is away", hint=""), None]

    def migrate() -> list[str]:
        if (error := answers.pop(0)) is not None:
            raise error
        return []

    update = TableUpdate(migrate)

    def is_done() -> bool:
        update.start()
        return update.done

    eventually(is_done)
    assert answers == []
