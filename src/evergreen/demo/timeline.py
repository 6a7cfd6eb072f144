"""Which days a tour simulates: counted back from its moment, so that every day of the year is alike.

The bank's books are kept in periods of 30 days. Both trainings lie six days after one of them begins, so no
row that decides anything falls on the edge of a window: the outcomes of the period before have come days ago,
and those of this one are days away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Enough history to be worth storing. Of it, the declared half a year before the first training holds five
# periods with known outcomes.
_BEGINS = timedelta(days=666)
_FIRST_TRAINING = timedelta(days=150)
# Four periods of the recession have known outcomes then; the declared half a year before now also holds the
# last one before it.
_RECESSION = timedelta(days=126)


@dataclass(frozen=True)
class Timeline:
    """The moments of a tour, aware UTC in whole seconds, in their order: the first books, the first model's
    training, the recession's first books, and now."""

    begins: datetime
    first_training: datetime
    turns: datetime
    now: datetime

    @classmethod
    def until(cls, now: datetime) -> Timeline:
        """The moments of the tour that is taken at `now` (aware, in any time zone)."""
        now = now.astimezone(UTC).replace(microsecond=0)
        return cls(now - _BEGINS, now - _FIRST_TRAINING, now - _RECESSION, now)

    @property
    def words(self) -> str:
        return (
            f"simulates {self.begins:%Y-%m-%d} to {self.now:%Y-%m-%d} (UTC); "
            f"recession from {self.turns:%Y-%m-%d}, {(self.now - self.turns).days} days before now"
        )

    def to_json(self) -> dict[str, str]:
        return {
            "begins": self.begins.isoformat(),
            "first_training": self.first_training.isoformat(),
            "recession_from": self.turns.isoformat(),
            "now": self.now.isoformat(),
        }
