"""Simulated windows of a stream, as counts: what a check of rows would count, without the rows.

A stream has 22 features: 17 numbers with ten bins, of which three have missing values, and 5 categories.
Rows are independent, and so are features, so the counts of a feature over its bins are multinomial: they are
drawn as such. A number is standard normal: the probability of a bin lies between its edges, which are
quantiles of the reference's sample of it, also when the number is shifted. The reference is a sample, as in a
training: the true shares of its bins differ from those counted, and stay so for the whole stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from evergreen.model.reference_profile import FeatureProfile
from evergreen.model.slice_groups import ALL_ROWS

REFERENCE_ROWS = 20_000
WINDOW_ROWS = 2_000
NUMBERS, CATEGORIES = 17, 5
FEATURES = NUMBERS + CATEGORIES
_BINS = 10
_MISSING = (0.3, 0.05, 0.001)

Counts = dict[str, dict[str, npt.NDArray[np.int64]]]


@dataclass(frozen=True)
class Stream:
    """The reference of a stream, and the true shares of the bins of each feature."""

    reference: Mapping[str, Mapping[str, FeatureProfile]]
    shares: Mapping[str, npt.NDArray[np.float64]]

    def draw_window(self, rng: np.random.Generator, rows: int) -> Counts:
        """The counts of a window of so many rows."""
        return {ALL_ROWS: {name: rng.multinomial(rows, shares) for name, shares in self.shares.items()}}

    def shift(self, name: str, deviations: float) -> Stream:
        """The same stream with one of its numbers moved by so many standard deviations."""
        edges = np.array(self.reference[ALL_ROWS][name].bins, dtype=np.float64)
        missing = self.shares[name][-1]
        return Stream(self.reference, {**self.shares, name: _compute_shares(edges, deviations, missing)})


def simulate_stream(rng: np.random.Generator, reference_rows: int = REFERENCE_ROWS) -> Stream:
    """A stream with a reference of its own."""
    profiles: dict[str, FeatureProfile] = {}
    shares: dict[str, npt.NDArray[np.float64]] = {}
    for number in range(NUMBERS):
        name = f"number_{number:02}"
        missing = _MISSING[number] if number < len(_MISSING) else 0.0
        absent = int(rng.binomial(reference_rows, missing))
        values = np.sort(rng.standard_normal(reference_rows - absent))
        places = np.ceil(np.arange(1, _BINS) / _BINS * len(values)).astype(int) - 1
        edges = values[places]
        counts = np.diff(np.concatenate([[0], places + 1, [len(values)]]))
        profiles[name] = FeatureProfile(name, "numeric", tuple(edges.tolist()), (*counts.tolist(), absent))
        shares[name] = _compute_shares(edges, 0.0, missing)
    for number in range(CATEGORIES):
        name = f"category_{number}"
        names = tuple(f"name {place:02}" for place in range(3 + 4 * number))
        # Zipf's law; what is left over are rare names.
        weights = np.array([1 / place for place in range(1, len(names) + 1)] + [0.05, 0.0])
        shares[name] = weights / weights.sum()
        counts = rng.multinomial(reference_rows, shares[name])
        profiles[name] = FeatureProfile(name, "category", names, tuple(counts.tolist()))
    return Stream({ALL_ROWS: profiles}, shares)


def _compute_shares(edges: npt.NDArray[np.float64], shift: float, missing: float) -> npt.NDArray[np.float64]:
    """The shares of the bins of a standard normal number that is shifted, and of missing values."""
    below = np.concatenate([[0.0], ndtr(edges - shift), [1.0]])
    return np.concatenate([np.diff(below) * (1 - missing), [missing]])
