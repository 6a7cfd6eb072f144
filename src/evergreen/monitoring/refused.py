"""What requests were refused for in a window: values beyond the declared limits never reach the prediction
log.

A field whose values moved beyond its limits shows no drift there, because its rows were not answered. Their
share is evidence beside the drift of those that were, with a severity of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.store.predictions.refused import RefusedSum
from evergreen.store.records.checks.drift_evidence import RefusedShare
from evergreen.store.records.checks.drift_metric import DriftMetric, Severity
from evergreen.usecase import DriftPolicy

_MOST_TOLD = 3


def compute_refused_shares(
    policy: DriftPolicy, sums: Sequence[RefusedSum], answered: int
) -> tuple[RefusedShare, ...]:
    """Each sum with its share of the rows that were answered or refused for this fault, and its severity by
    the policy's limits: "unknown" where these rows are fewer than `min_rows`.

    A row with two faults stands in two sums, so the shares need not add up to that of all refused rows.
    """
    shares = []
    for each in sums:
        if each.rows > 0:
            rows = answered + each.rows
            share = each.rows / rows
            severity = _judge_share(policy, share, rows)
            shares.append(RefusedShare(each.field, each.kind, each.rows, round(share, 6), severity))
    return tuple(shares)


def build_refused_metrics(policy: DriftPolicy, shares: Sequence[RefusedShare]) -> tuple[DriftMetric, ...]:
    """A row `refused_share` for each field, of its most frequent fault."""
    by_field: dict[str, RefusedShare] = {}
    for share in shares:
        if share.field not in by_field or share.share > by_field[share.field].share:
            by_field[share.field] = share
    return tuple(
        DriftMetric("", field, "refused_share", share.share, policy.refused_threshold, share.severity)
        for field, share in by_field.items()
    )


def describe_refused_warnings(shares: Sequence[RefusedShare]) -> tuple[str, ...]:
    """The shares at the limits of a warning or beyond, in words."""
    return tuple(
        f"{share.share:.1%} refused for {_name_field(share)} ({share.kind})"
        for share in shares
        if share.severity in ("warning", "drift")
    )


def describe_refused_shares(shares: Sequence[RefusedShare]) -> str:
    """The three greatest in words, as the end of a sentence; "" where nothing was refused."""
    if not shares:
        return ""
    greatest = ", ".join(
        f"{share.rows:,} for {_name_field(share)} ({share.kind}, {share.share:.1%})"
        for share in shares[:_MOST_TOLD]
    )
    others = ", and for other faults" if len(shares) > _MOST_TOLD else ""
    return f"; rows refused meanwhile: {greatest}{others}"


def _judge_share(policy: DriftPolicy, share: float, rows: int) -> Severity:
    if rows < policy.min_rows:
        return "unknown"
    if share >= policy.refused_threshold:
        return "drift"
    return "warning" if share >= policy.refused_threshold * policy.warning_share else "none"


def _name_field(share: RefusedShare) -> str:
    return share.field or "the whole row"
