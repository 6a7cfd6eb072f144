"""Counter-based random numbers: each is a hash of a seed, the name of a stream, and counters.

So a customer's month gets the same values whether it is drawn alone, in a year of months, or in another
order. Method: counter-based generation (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
2011) with the finalizer of SplitMix64 (Steele et al., OOPSLA 2014).
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


class RandomNumbers:
    """Random numbers for arrays of counters, e.g. one per customer and month; streams are independent."""

    def __init__(self, seed: int, *counters: Integers | int) -> None:
        state = np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)
        for counter in counters:
            state = _mix(state ^ (np.atleast_1d(np.asarray(counter)).astype(np.uint64) + _GOLDEN))
        self._state = state

    def uniform(self, stream: str) -> Floats:
        """One number per counter, uniform in the open interval (0, 1)."""
        mixed = _mix(self._state ^ _mix(np.array([zlib.crc32(stream.encode())], dtype=np.uint64)))
        return (((mixed >> np.uint64(11)).astype(np.float64)) + 0.5) * 2.0**-53

    def normal(self, stream: str) -> Floats:
        """One standard normal number per counter (Box and Muller, 1958)."""
        radius = np.sqrt(-2.0 * np.log(self.uniform(stream)))
        return np.asarray(radius * np.cos(2.0 * np.pi * self.uniform(f"{stream}, angle")), dtype=np.float64)


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The SplitMix64 step, in arithmetic modulo 2**64."""
    state = state + _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))
