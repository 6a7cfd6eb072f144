"""Temporary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.usecase import UseCase


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome."""

    outcome_id: str
    prediction_id: str
    actual: str | float
    recorded_at: datetime

    def to_json(self) -> dict[str, str | float]:
        """JSON."""
        return {
            **{n: getattr(self, n) for n in ("outcome_id", "prediction_id", "actual")},
            "recorded_at": self.recorded_at.isoformat(),
        }


def insert_outcomes(engine: sa.Engine, use_case: UseCase, outcomes: Sequence[Outcome]) -> int:
    """Insert."""
    return len(outcomes)
