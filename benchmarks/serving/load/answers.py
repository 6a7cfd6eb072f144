"""HTTP/1.1 answers out of a stream of bytes: the status, the body, and whether the server closes."""

from __future__ import annotations

import re
from typing import NamedTuple

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


class BadAnswer(Exception):
    """The bytes are no HTTP/1.1 answer that tells its own length."""


class Answer(NamedTuple):
    """One answer. `closes`: the server ends the connection after it."""

    status: int
    body: bytes
    closes: bool


class AnswerReader:
    """Cuts one connection's bytes into answers, however they are split into packets."""

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def is_empty(self) -> bool:
        """Whether nothing of an answer waits for its rest."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Answer]:
        """The answers that are complete with `data`; the rest is kept. Raises BadAnswer."""
        buffer = self._buffer + data if self._buffer else data
        answers: list[Answer] = []
        start = 0
        while (head_end := buffer.find(_HEAD_END, start)) >= 0:
            body_start = head_end + len(_HEAD_END)
            # With one line end, so that the last header is matched like the others.
            head = buffer[start : head_end + 2]
            status = _STATUS.match(head)
            if status is None:
                raise BadAnswer(f"no status line: {head[:80]!r}")
            length = _LENGTH.search(head)
            if length is not None:
                end = body_start + int(length[1])
                if len(buffer) < end:
                    break
                body = buffer[body_start:end]
            elif _CHUNKED.search(head):
                joined = _join_chunks(buffer, body_start)
                if joined is None:
                    break
                body, end = joined
            else:
                raise BadAnswer(f"neither a length nor chunks: {head[:200]!r}")
            answers.append(Answer(int(status[1]), body, _CLOSE.search(head) is not None))
            start = end
        self._buffer = buffer[start:] if start else buffer
        return answers


def _join_chunks(buffer: bytes, start: int) -> tuple[bytes, int] | None:
    """The body and where it ends; None while a part is missing. Raises BadAnswer for a malformed size."""
    parts: list[bytes] = []
    while True:
        line_end = buffer.find(b"\r\n", start)
        if line_end < 0:
            return None
        try:
            size = int(buffer[start:line_end].split(b";")[0], 16)
        except ValueError:
            raise BadAnswer(f"no size of a chunk: {buffer[start:line_end][:80]!r}") from None
        chunk_start = line_end + 2
        if size == 0:
            # Trailers are not expected: the body ends with an empty line.
            end = chunk_start + 2
            return (b"".join(parts), end) if len(buffer) >= end else None
        if len(buffer) < chunk_start + size + 2:
            return None
        parts.append(buffer[chunk_start : chunk_start + size])
        start = chunk_start + size + 2
