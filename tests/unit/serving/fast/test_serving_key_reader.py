"""Keys that are asked for together are one query; each gets its own vector, or the query's error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from evergreen.errors import StoreUnreachable
from evergreen.serving.fast.key_reader import KeyListReader, KeyReader
from evergreen.store.connection.values import KeyTuple
from evergreen.store.online.vectors import OnlineVector


class FakeStore:
    """Holds a vector for each even key; `release` lets the first query end."""

    def __init__(self) -> None:
        self.queries: list[list[KeyTuple]] = []
        self.release = threading.Event()

    def read(self, keys: Sequence[KeyTuple]) -> dict[KeyTuple, OnlineVector]:
        self.queries.append(list(keys))
        assert self.release.wait(10)
        return {key: OnlineVector({"weight": float(key[0])}) for key in keys if int(key[0]) % 2 == 0}


def test_keys_that_come_while_others_are_read_are_the_next_query() -> None:
    store = FakeStore()

    async def run() -> list[OnlineVector | None]:
        reader = KeyReader(store.read)
        first = reader.submit((0,))
        while not store.queries:
            await asyncio.sleep(0.001)
        others = [reader.submit((number,)) for number in range(1, 5)]
        store.release.set()
        return list(await asyncio.gather(first, *others))

    vectors = asyncio.run(run())
    assert [vector and vector.features["weight"] for vector in vectors] == [0.0, None, 2.0, None, 4.0]
    assert store.queries == [[(0,)], [(1,), (2,), (3,), (4,)]]


def test_an_error_is_that_of_each_key_and_the_next_query_is_asked() -> None:
    errors: list[Exception] = [StoreUnreachable("MariaDB is away", hint="")]

    def read(keys: Sequence[KeyTuple]) -> dict[KeyTuple, OnlineVector]:
        if errors:
            raise errors.pop()
        return {key: OnlineVector({}) for key in keys}

    async def run() -> None:
        reader = KeyReader(read)
        for result in await asyncio.gather(reader.submit((1,)), reader.submit((2,)), return_exceptions=True):
            assert isinstance(result, StoreUnreachable)
        assert await reader.submit((3,)) == OnlineVector({})

    asyncio.run(run())


def test_a_client_that_has_gone_disturbs_no_other() -> None:
    store = FakeStore()

    async def run() -> OnlineVector | None:
        reader = KeyReader(store.read)
        gone, other = reader.submit((2,)), reader.submit((4,))
        gone.cancel()
        store.release.set()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await other

    assert asyncio.run(run()) == OnlineVector({"weight": 4.0})


def test_a_store_that_hangs_is_given_up_and_makes_no_queue() -> None:
    store = FakeStore()

    async def run() -> OnlineVector | None:
        reader = KeyReader(store.read, seconds=0.05)
        first = reader.submit((0,))
        while not store.queries:
            await asyncio.sleep(0.001)
        for waiting in (first, reader.submit((2,))):
            with pytest.raises(StoreUnreachable, match="does not answer"):
                await waiting
        with pytest.raises(StoreUnreachable):
            reader.submit((4,)).result()
        assert store.queries == [[(0,)]]
        store.release.set()
        while True:
            await asyncio.sleep(0.001)
            try:
                return await reader.submit((6,))
            except StoreUnreachable:
                continue

    assert asyncio.run(run()) == OnlineVector({"weight": 6.0})


def test_lists_of_keys_are_given_up_also_while_they_wait_for_a_thread() -> None:
    store = FakeStore()

    async def run() -> None:
        reader = KeyListReader(store.read, seconds=0.05)
        lists = await asyncio.gather(
            *[reader.read([(number,), (2,)]) for number in range(40)], return_exceptions=True
        )
        assert all(isinstance(each, StoreUnreachable) for each in lists)
        assert 0 < len(store.queries) <= 4
        store.release.set()
        patient = KeyListReader(store.read)
        assert await patient.read([(6,), (7,)]) == {(6,): OnlineVector({"weight": 6.0})}
        # What was given up before it had a thread is never read.
        assert len(store.queries) <= 5

    asyncio.run(run())


def test_a_list_raises_what_its_query_raises() -> None:
    def read(_: Sequence[KeyTuple]) -> dict[KeyTuple, OnlineVector]:
        raise StoreUnreachable("MariaDB is away", hint="")

    with pytest.raises(StoreUnreachable, match="away"):
        asyncio.run(KeyListReader(read).read([(1,)]))
