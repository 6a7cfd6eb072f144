"""The days that a tour simulates. They are counted back from its moment, so that its results do not depend on
the date.

The simulated bank keeps its books in periods of 30 days. Both trainings lie six days after a period begins,
so that no row near the edge of a window decides the outcome: the labels of the period before have been known
for days, and those of the present one are days away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# How long before the tour the books begin. Of this history, the half year of the declared training window
# holds five periods with known outcomes before the first training.
_BEGINS = timedelta(days=666)
_FIRST_TRAINING = timedelta(days=150)
# At the tour's moment four periods of the recession have known outcomes; the half year of the declared
# training window also holds the last period before the recession.
_RECESSION = timedelta(days=126)


@dataclass(frozen=True)
class Timeline:
    """The moments of a tour in their order, aware UTC in whole seconds: when the books begin, the training of
    the first model, when the recession begins, and the moment of the tour."""

    begins: datetime
    first_training: datetime
    recession_from: datetime
    now: datetime

    @classmethod
    def until(cls, now: datetime) -> Timeline:
        """The moments of the tour that is taken at `now` (aware, in any time zone)."""
        now = now.astimezone(UTC).replace(microsecond=0)
        return cls(now - _BEGINS, now - _FIRST_TRAINING, now - _RECESSION, now)

    @property
    def description(self) -> str:
        """The simulated days in words, for a line that begins with the name of the use case."""
        days = (self.now - self.recession_from).days
        return (
            f"simulates {self.begins:%Y-%m-%d} to {self.now:%Y-%m-%d} (UTC); "
            f"recession from {self.recession_from:%Y-%m-%d}, {days} days before now"
        )

    def to_json(self) -> dict[str, str]:
        """The moments as ISO text, for `demo.json`."""
        return {
            "begins": self.begins.isoformat(),
            "first_training": self.first_training.isoformat(),
            "recession_from": self.recession_from.isoformat(),
            "now": self.now.isoformat(),
        }
