"""The load generator cuts answers out of any split of the bytes."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.serving.load.answers import Answer, AnswerReader, BadAnswer

PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n6;note=x\r\npedia \r\n0\r\n\r\n"
)
CLOSING = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
# A body that holds what ends a head, and a header whose name ends like the length's.
TRICKY = b"HTTP/1.1 422 Unprocessable\r\nx-content-length: 99\r\nContent-Length:  8\r\n\r\nab\r\n\r\ncd"
STREAM = PLAIN + CHUNKED + TRICKY + CLOSING
ANSWERS = [
    Answer(200, b"hello", False),
    Answer(201, b"wikipedia ", False),
    Answer(422, b"ab\r\n\r\ncd", False),
    Answer(503, b"", True),
]


def test_answers_that_come_together_are_told_apart() -> None:
    reader = AnswerReader()
    assert reader.feed(STREAM) == ANSWERS
    assert reader.is_empty


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=12))
def test_however_the_bytes_are_split_the_answers_are_the_same(cuts: list[int]) -> None:
    reader, answers = AnswerReader(), []
    edges = [0, *sorted(set(cuts)), len(STREAM)]
    for start, end in itertools.pairwise(edges):
        answers += reader.feed(STREAM[start:end])
    assert answers == ANSWERS
    assert reader.is_empty


def test_byte_by_byte_each_answer_comes_with_its_last_byte() -> None:
    reader = AnswerReader()
    ends = [number for number in range(len(STREAM)) if reader.feed(STREAM[number : number + 1])]
    lengths = [len(PLAIN), len(CHUNKED), len(TRICKY), len(CLOSING)]
    assert ends == [sum(lengths[: count + 1]) - 1 for count in range(4)]


def test_what_is_left_of_a_pipelined_answer_waits_for_its_rest() -> None:
    reader = AnswerReader()
    assert reader.feed(PLAIN + PLAIN[:20]) == ANSWERS[:1]
    assert not reader.is_empty
    assert reader.feed(PLAIN[20:]) == ANSWERS[:1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "neither a length nor chunks"),
        (b"ICY 200 OK\r\ncontent-length: 0\r\n\r\n", "no status line"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "no size of a chunk"),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        AnswerReader().feed(data)
