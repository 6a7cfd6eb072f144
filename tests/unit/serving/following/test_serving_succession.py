"""What a new worker decides before it answers, and how a former one hands over its connections."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from evergreen.registry.champion import Champion
from evergreen.serving.fast.direct_protocol import find_protocol
from evergreen.serving.following.checked_declaration import CheckedDeclaration, check_declaration
from evergreen.serving.following.declaration_check import find_table_fault
from evergreen.serving.following.exchange_folder import ExchangeFolder, WorkerModel
from evergreen.serving.following.refusal import DeclarationRefusal
from evergreen.serving.following.retirement import hand_over
from evergreen.serving.following.successor import Succession, judge_successor
from evergreen.serving.guard.connections import LimitedProtocol
from evergreen.serving.models.refusals import Refusal, RefusalLog
from evergreen.serving.models.slot import ServedModel
from evergreen.settings import Settings
from evergreen.store.tables.compare import Change
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_serving_digest
from support.edited_parcel import MAXIMUM, WIDER, EditedParcel
from support.parcel_case import declare
from support.uvicorn_server import own_protocols, serving_app

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def slot(current: int | None, champion: int | None, trouble: str = "") -> Any:
    model: Any = SimpleNamespace(version=current, run_id=f"run {current}")
    served = ServedModel(model, NOW, NOW) if current else None
    named = Champion(champion, f"run {champion}", NOW) if champion else None
    return SimpleNamespace(current=served, champion=named, trouble=trouble, check=lambda: True)


@pytest.fixture
def refusals() -> RefusalLog:
    return RefusalLog(lambda _: None)


@pytest.mark.parametrize(
    ("current", "champion", "formerly_served"),
    [(1, 1, 1), (2, 2, 1), (1, None, 1), (None, None, None)],
    ids=["champion", "next champion", "registry away, from the cache", "none now and none before"],
)
def test_a_successor_with_the_champion_takes_over(
    refusals: RefusalLog, current: int | None, champion: int | None, formerly_served: int | None
) -> None:
    assert judge_successor(slot(current, champion), refusals, formerly_served) is None


def test_one_whose_champion_is_refused_does_not(refusals: RefusalLog) -> None:
    refusals.report(Refusal(2, "run 2", "version 2 does not fit", NOW, "train it again"))
    wanted = DeclarationRefusal("version 2 does not fit", "train it again")
    assert judge_successor(slot(None, 2), refusals, 2) == wanted
    # A copy of another version is in its cache.
    assert judge_successor(slot(1, 2), refusals, 2) == wanted


def test_one_without_a_model_does_not_while_there_is_one(refusals: RefusalLog) -> None:
    for refused in (
        judge_successor(slot(None, 2, "MariaDB is away"), refusals, 2),
        judge_successor(slot(None, None, "MLflow is away"), refusals, 2),
    ):
        assert refused is not None
        assert refused.passing
        assert "is away" in refused.reason


def test_a_successor_reports_and_answers_and_tells_nothing_before(
    tmp_path: Path, refusals: RefusalLog
) -> None:
    folder = ExchangeFolder(tmp_path)
    folder.write_worker_model(WorkerModel("1 run 1", 1))
    succession = Succession("new", folder, parent=1)
    succession.write_model(slot(None, 2))
    assert folder.read_worker_model() == WorkerModel("1 run 1", 1)
    assert not succession.is_answering
    succession.wait_for_turn(slot(2, 2), refusals)
    assert succession.is_answering
    succession.write_model(slot(2, 2))
    assert folder.read_worker_model() == WorkerModel("2 run 2", 2)


def test_a_refused_successor_ends_with_its_parent(tmp_path: Path, refusals: RefusalLog) -> None:
    folder = ExchangeFolder(tmp_path)
    folder.write_worker_model(WorkerModel("1 run 1", 1))
    with pytest.raises(SystemExit):  # the parent of this process is another one
        Succession("new", folder, parent=-1).wait_for_turn(slot(None, None, "MLflow is away"), refusals)


def test_other_workers_answer_at_once(refusals: RefusalLog, tmp_path: Path) -> None:
    for succession in (Succession("held", None, None), Succession("held", ExchangeFolder(tmp_path), None)):
        assert succession.is_answering
        succession.wait_for_turn(slot(None, None), refusals)
    assert not Succession("held", None, None).follows


def test_the_declaration_on_disk_is_checked_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path / "home", use_cases=str(tmp_path / "usecases"))
    held = compute_serving_digest(declare(settings))
    monkeypatch.setenv("EVERGREEN_HOME", str(settings.home))
    monkeypatch.setenv("EVERGREEN_USE_CASES", settings.use_cases)
    monkeypatch.setenv("EVERGREEN_USE_CASE", "parcel")
    monkeypatch.setenv("EVERGREEN_MARIADB_PORT", "1")
    assert check_declaration(held) == CheckedDeclaration(held)
    parcel = EditedParcel(settings)
    try:
        wider = parcel.edit(MAXIMUM, WIDER)
        checked = check_declaration(held)
        assert checked.declaration == compute_serving_digest(wider)
        assert checked.refusal is not None
        assert checked.refusal.passing  # MariaDB is away
        parcel.write(WIDER, "1 / 0")
        refusal = check_declaration(held).refusal
        assert refusal is not None
        assert not refusal.passing
        assert "ZeroDivisionError" in refusal.reason
        parcel.write("1 / 0", "__import__('os')._exit(3)")
        refusal = check_declaration(held).refusal
        assert refusal is not None
        assert "(code 3)" in refusal.reason
    finally:
        parcel.restore()


@pytest.mark.parametrize(
    ("kind", "refused"),
    [("add", True), ("retype", True), ("create table", True), ("drop", False), ("migrate", False)],
)
def test_tables_that_lack_something_are_waited_for(
    parcel: UseCase, monkeypatch: pytest.MonkeyPatch, kind: Any, refused: bool
) -> None:
    changes = [Change("parcel__shipment__online", "colour", kind, declared="VARCHAR(255)")]
    monkeypatch.setattr("evergreen.serving.following.declaration_check.diff_tables", lambda *_: changes)
    fault = find_table_fault(Settings(), parcel, "new")
    assert (fault is not None) is refused
    if fault is not None:
        assert fault.passing
        assert "evergreen apply parcel" in fault.hint
        assert fault.declaration == "new"


def test_tables_that_a_service_does_not_work_with_are_none_of_its_concern(
    parcel: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its account may have no right to see histories and labels."""
    changes = [Change(table, "", "create table") for table in ("parcel__shipment", parcel.label_table)]
    monkeypatch.setattr("evergreen.serving.following.declaration_check.diff_tables", lambda *_: changes)
    assert find_table_fault(Settings(), parcel, "new") is None


def test_a_retired_worker_answers_on_open_connections_and_says_that_it_ends() -> None:
    """A connection without a request, one between two requests, and one in the middle of a request."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def run() -> None:
        async with serving_app(answer, find_protocol()) as (server, port):
            await talk(server, port)

    async def talk(server: uvicorn.Server, port: int) -> None:
        links = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        get = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        post = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"
        links[1][1].write(get)
        assert b"connection: close" not in await links[1][0].readuntil(b"\r\n\r\n")
        links[2][1].write(post)
        while len(server.server_state.tasks) < 1:
            await asyncio.sleep(0.01)
        handing_over = asyncio.create_task(hand_over(server, longest_seconds=30))
        await asyncio.sleep(0)
        for (reader, writer), request in zip(links, (get, get, b"{}"), strict=True):
            writer.write(request)
            answered = await asyncio.wait_for(reader.read(), 30)
            assert answered.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answered
        await asyncio.wait_for(handing_over, 30)

    with own_protocols() as patch:
        patch.setattr(LimitedProtocol, "is_ending", False)
        asyncio.run(run())
