"""Requests that arrive together are one batch; each gets its own answer, or its own error."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from evergreen.serving.fast.micro_batch import MOST_REQUESTS, MicroBatch


def test_requests_of_one_moment_are_one_batch() -> None:
    sizes: list[int] = []

    def answer(requests: Sequence[int]) -> list[int]:
        sizes.append(len(requests))
        return [10 * request for request in requests]

    async def run() -> list[int]:
        batch = MicroBatch(answer)
        return list(await asyncio.gather(*(batch.submit(n) for n in range(5))))

    assert asyncio.run(run()) == [0, 10, 20, 30, 40]
    assert sizes == [5]


def test_a_later_request_is_a_batch_of_its_own() -> None:
    sizes: list[int] = []

    def answer(requests: Sequence[int]) -> list[int]:
        sizes.append(len(requests))
        return list(requests)

    async def run() -> None:
        batch = MicroBatch(answer)
        assert await batch.submit(1) == 1
        assert await batch.submit(2) == 2

    asyncio.run(run())
    assert sizes == [1, 1]


def test_a_burst_is_divided() -> None:
    sizes: list[int] = []

    def answer(requests: Sequence[int]) -> list[int]:
        sizes.append(len(requests))
        return list(requests)

    async def run() -> list[int]:
        batch = MicroBatch(answer)
        return list(await asyncio.gather(*(batch.submit(n) for n in range(MOST_REQUESTS + 3))))

    assert asyncio.run(run()) == list(range(MOST_REQUESTS + 3))
    assert sizes == [MOST_REQUESTS, 3]


def test_a_request_at_fault_fails_alone() -> None:
    def answer(requests: Sequence[int]) -> list[int]:
        if 2 in requests:
            raise ValueError("two")
        return list(requests)

    async def run() -> list[int | BaseException]:
        batch = MicroBatch(answer)
        return list(await asyncio.gather(*(batch.submit(n) for n in range(4)), return_exceptions=True))

    zero, one, two, three = asyncio.run(run())
    assert (zero, one, three) == (0, 1, 3)
    assert isinstance(two, ValueError)


@pytest.mark.parametrize("is_failing", [False, True])
def test_a_request_whose_client_has_gone_disturbs_no_other(is_failing: bool) -> None:
    def answer(requests: Sequence[int]) -> list[int]:
        if is_failing and len(requests) > 1:
            raise ValueError
        return list(requests)

    async def run() -> int:
        batch = MicroBatch(answer)
        first, second = batch.submit(1), batch.submit(2)
        first.cancel()
        return await second

    assert asyncio.run(run()) == 2
