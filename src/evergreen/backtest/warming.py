"""Fits that a policy will surely ask for, made side by side before it asks for them one after the other."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from evergreen.backtest.engine import Replay
from evergreen.backtest.past.model import PastModel
from evergreen.monitoring.governor.training_window import plan_training_window


class WarmingReplay(Replay[PastModel]):
    """A replay that only fits, in any order: what a policy trains on whose windows do not depend on its
    decisions before."""

    def warm(self, moment: datetime) -> None:
        """Fit what a retrain at that moment fits."""
        oldest = self.task.find_oldest(moment)
        self._train(moment, plan_training_window(self.policy, moment, None, oldest))


def warm_fits(
    replay: WarmingReplay, moments: Sequence[datetime], threads: int, stop: threading.Event
) -> None:
    """Fit for retrains at those moments, `threads` at a time, until `stop` is set. An error ends it: whoever
    asks for that fit in earnest gets it."""
    with ThreadPoolExecutor(threads, "warm") as pool:

        def warm(moment: datetime) -> None:
            if not stop.is_set():
                replay.warm(moment)

        futures = [pool.submit(warm, moment) for moment in moments]
        if any(future.exception() is not None for future in futures):
            pool.shutdown(wait=False, cancel_futures=True)
