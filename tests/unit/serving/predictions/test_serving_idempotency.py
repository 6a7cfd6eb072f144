"""Ids that callers make: taken only when they are well-formed and of now, and the same for every attempt."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils import uuid7

from evergreen.serving.predictions.idempotency import derive_row_ids, read_idempotency_key

ID = "019e0b3c-5a10-7c2e-9d41-6f0c2b7a8e15"
NOW = 0x019E0B3C5A10 / 1000


def test_a_fresh_key_is_the_id() -> None:
    for seconds in (-299.0, 0.0, 299.0):
        assert read_idempotency_key(ID.encode(), NOW + seconds) == ID
    for seconds in (-301.0, 301.0, 1e9):
        assert read_idempotency_key(ID.encode(), NOW + seconds) is None


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"order-17",
        ID.upper().encode(),
        ID.replace("-", "").encode(),
        f" {ID}".encode(),
        f"{ID}0".encode(),
        ID.replace("-7c2e", "-4c2e").encode(),
        ID.replace("-9d41", "-1d41").encode(),
        b"\xff" * 36,
    ],
)
def test_what_is_no_such_id_is_left_aside(header: bytes) -> None:
    assert read_idempotency_key(header, NOW) is None


@given(st.integers(0, 2**62 - 1), st.integers(1, 50))
def test_rows_have_ids_of_their_own_and_the_same_each_time(random: int, count: int) -> None:
    first = str(UUID(int=(UUID(ID).int & ~(2**62 - 1)) | random))
    ids = derive_row_ids(first, count)
    assert ids[0] == first
    assert len(set(ids)) == count
    assert ids == derive_row_ids(first, count)
    assert all(read_idempotency_key(each.encode(), NOW) == each for each in ids)


def test_what_the_clients_make_is_taken() -> None:
    key = str(uuid7())
    made_at = int(key[:8] + key[9:13], 16) / 1000
    assert read_idempotency_key(key.encode(), made_at) == key
