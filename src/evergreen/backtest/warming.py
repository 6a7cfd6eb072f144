"""Fits that a policy will ask for one after the other, made side by side before it does."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from evergreen.backtest.fits.cache import KeptFits
from evergreen.backtest.past.store_task import StoreTask
from evergreen.backtest.window_fit import train_best_window
from evergreen.monitoring.governor.training_window import plan_training_window
from evergreen.usecase import RetrainPolicy


def warm_fits(
    cache: KeptFits,
    task: StoreTask,
    policy: RetrainPolicy,
    moments: Sequence[datetime],
    threads: int,
    stop: threading.Event,
) -> None:
    """Fit for retrains at those moments, `threads` at a time, until `stop` is set.

    For a policy that retrains at all of them, and whose windows do not depend on what it did before. An error
    ends it quietly: whoever asks for that fit in earnest gets the same one.
    """

    def warm(moment: datetime) -> None:
        if not stop.is_set():
            plan = plan_training_window(policy, moment, None, task.find_oldest(moment))
            train_best_window(task, cache, moment, plan)

    with ThreadPoolExecutor(threads, "warm") as pool:
        futures = [pool.submit(warm, moment) for moment in moments]
        if any(future.exception() is not None for future in futures):
            pool.shutdown(wait=False, cancel_futures=True)
