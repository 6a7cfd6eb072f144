"""What counts cannot show: features whose reference has a single bin for every value.

The profile of a column that was constant has bins beside the constant. Profiles of earlier versions have
not, and no name of a column with thousands of names may have been frequent enough for a bin.
"""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.model.reference_profile import FeatureProfile
from evergreen.monitoring.drift.figures.count_pairs import CountPairs


def find_blind_spots(profiles: Sequence[FeatureProfile], pairs: CountPairs) -> dict[tuple[str, str], str]:
    """The comparisons in which a change of the values themselves cannot be seen, by (slice, feature), each
    with the reason in words; "" for a slice, because the words about all rows say the same."""
    spots: dict[tuple[str, str], str] = {}
    for key, profile in zip(pairs.keys, profiles, strict=True):
        if profile.bins or not sum(profile.counts[:-1]):
            continue
        if profile.kind == "numeric":
            reason = "was constant in the reference, whose profile has a single bin for it"
        else:
            reason = "has no value that was frequent enough in the reference for a bin of its own"
        note = f"{profile.feature} {reason}: only a change of its missing values can be seen"
        spots[key] = "" if key[0] else note
    return spots
