"""The share of keys that the challenger of a canary answers: the same keys in every worker and replica."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from evergreen.model.request_inputs import RequestValues

_RANGE = 2**64


class KeyShare:
    """Tells the rows of a trial's share, by a hash of the entity's key.

    `key_count` is how many of a row's first values are its key. A row with an incomplete key goes by the id
    of its prediction. Another trial has other keys. With a greater share the keys of a smaller one remain.
    """

    def __init__(self, trial_id: str, share: float, key_count: int) -> None:
        self._hash = hashlib.blake2b(trial_id.encode(), digest_size=8)
        self._limit = round(share * _RANGE)
        self._key_count = key_count

    def contains(self, row: RequestValues, prediction_id: str) -> bool:
        """Whether the challenger answers that row."""
        key: Sequence[object] = row[: self._key_count]
        if None in key:
            key = (prediction_id,)
        place = self._hash.copy()
        # repr: the parts of a key are told apart, and 7 from "7".
        place.update(repr(tuple(key)).encode())
        return int.from_bytes(place.digest(), "big") < self._limit
