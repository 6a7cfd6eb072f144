"""What requests were refused for in a window: values beyond the declared limits never reach the prediction
log.

A field whose values moved beyond its limits shows no drift there, because its rows were not answered. Their
number is evidence beside the drift of those that were.
"""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.store.predictions.refused import RefusedSum
from evergreen.store.records.drift import RefusedShare

_MOST_TOLD = 3


def compute_refused_shares(sums: Sequence[RefusedSum], answered: int) -> tuple[RefusedShare, ...]:
    """Each sum with its share of the rows that were answered or refused for this fault.

    A row with two faults stands in two sums, so the shares need not add up to that of all refused rows.
    """
    return tuple(
        RefusedShare(each.field, each.kind, each.rows, round(each.rows / (answered + each.rows), 6))
        for each in sums
        if each.rows > 0
    )


def describe_refused_shares(shares: Sequence[RefusedShare]) -> str:
    """The three greatest in words, as the end of a sentence; "" where nothing was refused."""
    if not shares:
        return ""
    told = ", ".join(
        f"{share.rows:,} for {share.field or 'the whole row'} ({share.kind}, {share.share:.1%})"
        for share in shares[:_MOST_TOLD]
    )
    others = ", and for other faults" if len(shares) > _MOST_TOLD else ""
    return f"; rows refused meanwhile: {told}{others}"
