"""What MariaDB knows of the requests: those that were refused, outcomes without a prediction, and clocks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from evergreen.store.predictions.clock_skew import find_future_predictions
from evergreen.store.predictions.outcomes import count_contradicted_outcomes, count_orphan_outcomes
from evergreen.store.records.checks.drift_evidence import RefusedShare
from evergreen.store.records.checks.health import HealthFinding, HealthSeverity
from evergreen.usecase import UseCase

REFUSED_SHARE = 0.05
# A service's clock may be ahead of the database's so far.
CLOCK_TOLERANCE = timedelta(minutes=5)
# An outcome may reach the store before its prediction does, which waits on a service's disk meanwhile.
_ON_THEIR_WAY = timedelta(hours=1)
_MOST_FIELDS = 10


def judge_refused(shares: Sequence[RefusedShare]) -> list[HealthFinding]:
    """A finding for each fault for which more than 5 % of the rows were refused, or one when all is well."""
    many = [share for share in shares if share.share > REFUSED_SHARE]
    if not many:
        rows = sum(share.rows for share in shares)
        sentence = f"{rows:,} rows were refused for their values" if rows else "no row was refused"
        worst = max((share.share for share in shares), default=0.0)
        return [HealthFinding("refused", "", "ok", sentence, worst, REFUSED_SHARE)]
    return [
        HealthFinding(
            "refused",
            share.field,
            "warning",
            f"{share.rows:,} rows were refused for {share.field or 'the whole row'} ({share.kind},"
            f" {share.share:.1%} of the rows)",
            share.share,
            REFUSED_SHARE,
        )
        for share in many[:_MOST_FIELDS]
    ]


def measure_outcomes(engine: sa.Engine, use_case: UseCase, as_of: datetime) -> list[HealthFinding]:
    """Outcomes of the last `drift.window` whose prediction the log does not have, and predictions that were
    given different outcomes in it."""
    after = as_of - use_case.drift.window
    orphans = count_orphan_outcomes(engine, use_case, after=after, before=as_of - _ON_THEIR_WAY)
    contradicted = count_contradicted_outcomes(engine, use_case, after=after, until=as_of)
    return [
        _judge_count("orphans", orphans, "outcomes name predictions that the log does not have"),
        _judge_count(
            "contradictions", contradicted, "predictions were given different outcomes; the newest counts"
        ),
    ]


def measure_clock(engine: sa.Engine, use_case: UseCase, now: datetime) -> list[HealthFinding]:
    """Predictions that are dated after `now` (aware): a service's clock is ahead, and no window has them
    yet."""
    ahead = find_future_predictions(engine, use_case, now + CLOCK_TOLERANCE).rows
    severity: HealthSeverity = "error" if ahead else "ok"
    sentence = f"{ahead:,} predictions are dated more than 5 min ahead of the clock"
    return [HealthFinding("clock", "", severity, sentence, float(ahead), 0.0)]


def _judge_count(subject: str, count: int, text: str) -> HealthFinding:
    severity: HealthSeverity = "warning" if count else "ok"
    return HealthFinding("outcomes", subject, severity, f"{count:,} {text}", float(count), 0.0)
