"""The shares of keys that the versions on trial answer: the same keys in every worker and replica."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from evergreen.model.request_inputs import RequestValues

_RANGE = 2**64


class KeyShare:
    """Tells which version on trial answers a row, by a hash of the entity's key.

    Each of `versions` versions has the `share` of the keys; the champion has the rest. `key_count` is how
    many of a row's first values are its key. A row with an incomplete key goes by the id of its prediction.
    Another trial has other keys. With a greater share the keys of the first version's smaller one remain.
    """

    def __init__(self, trial_id: str, share: float, key_count: int, versions: int = 1) -> None:
        self._hash = hashlib.blake2b(trial_id.encode(), digest_size=8)
        self._size = max(1, round(share * _RANGE))
        self._versions = versions
        self._key_count = key_count

    def find_version(self, row: RequestValues, prediction_id: str) -> int | None:
        """The position of the version on trial that answers that row; None for the champion."""
        key: Sequence[object] = row[: self._key_count]
        if None in key:
            key = (prediction_id,)
        place = self._hash.copy()
        # repr: the parts of a key are told apart, and 7 from "7".
        place.update(repr(tuple(key)).encode())
        position = int.from_bytes(place.digest(), "big") // self._size
        return position if position < self._versions else None
