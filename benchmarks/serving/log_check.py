"""Whether each acknowledged prediction arrives in MariaDB exactly once, and how late."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from benchmarks.serving.world import World

from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.tables.declared import build_prediction_table

# How long the last rows of a round may take to arrive before they count as lost.
_ARRIVAL_SECONDS = 90.0
_IDS_PER_QUERY = 2_000


@dataclass(frozen=True)
class Arrival:
    """Of one round of so many `seconds`: acknowledged predictions, those `left` on their way when its last
    answer had come, and those that were `lost` or `doubled` for good. `late_seconds` after that answer
    MariaDB had as many rows as were acknowledged."""

    seconds: float
    acknowledged: int
    left: int
    lost: int
    doubled: int
    late_seconds: float = 0.0

    @property
    def left_seconds(self) -> float:
        """How many seconds of the round's traffic were left on their way."""
        return self.left * self.seconds / self.acknowledged if self.acknowledged else 0.0


class PredictionTable:
    """The prediction log as the benchmark reads it."""

    def __init__(self, world: World) -> None:
        self._engine = get_engine(world.settings)
        columns = build_prediction_table(world.use_case).c
        self._id, self._channel = columns.prediction_id, columns.channel

    def count_since(self, moment: float) -> int:
        """Answered rows whose id was made since that moment (seconds of the epoch)."""
        # The first 48 bits of a UUIDv7 are the milliseconds of its making, so its text is ordered by time.
        digits = f"{int(moment * 1000):012x}"
        statement = sa.select(sa.func.count(self._id)).where(
            self._id >= f"{digits[:8]}-{digits[8:]}", self._channel.in_(TRAFFIC)
        )
        with self._engine.connect() as connection:
            return int(connection.execute(statement).scalar_one())

    def check_arrival(
        self,
        ids: Sequence[str],
        arrived_at_end: int,
        seconds: float,
        patience: float = _ARRIVAL_SECONDS,
        began: float | None = None,
    ) -> Arrival:
        """Wait until all `ids` are there, for `patience` seconds at most, and count them.

        `arrived_at_end` were there at the round's end, which was just now; `began` is when the round did
        (Unix time), of rounds whose rows arrive alone.
        """
        end = time.monotonic()
        deadline = end + patience
        while began is not None and self.count_since(began) < len(ids) and time.monotonic() < deadline:
            time.sleep(0.1)
        late = time.monotonic() - end
        counts = self._count_by_id(ids)
        while len(counts) < len(set(ids)) and time.monotonic() < deadline:
            time.sleep(0.2)
            counts = self._count_by_id(ids)
        return Arrival(
            seconds=seconds,
            acknowledged=len(ids),
            left=max(0, len(ids) - arrived_at_end),
            lost=len(set(ids) - counts.keys()),
            # An id that was given to two requests would lose one of them as well.
            doubled=sum(count - 1 for count in counts.values()) + len(ids) - len(set(ids)),
            late_seconds=late,
        )

    def _count_by_id(self, ids: Sequence[str]) -> Counter[str]:
        counts: Counter[str] = Counter()
        with self._engine.connect() as connection:
            for start in range(0, len(ids), _IDS_PER_QUERY):
                some = ids[start : start + _IDS_PER_QUERY]
                statement = sa.select(self._id).where(self._id.in_(some))
                counts.update(connection.execute(statement).scalars())
        return counts
