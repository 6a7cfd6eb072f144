"""Starts to follow the declaration in the parent process of a service, once circus' arbiter is made."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from evergreen.serving.following.checked_declaration import check_declaration
from evergreen.serving.following.exchange_folder import ExchangeFolder, FollowerState
from evergreen.serving.following.fingerprint import Fingerprint, compute_fingerprint
from evergreen.serving.following.follower import DeclarationFollower, ServiceParts
from evergreen.serving.following.worker_exchange import ServiceStopping, WorkerExchange
from evergreen.serving.metrics.metric_files import archive_dead_files

logger = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
_PAUSE_SECONDS = 15.0
# So much longer may the end of the process take for this thread.
_END_SECONDS = 0.1
_METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def start_following(arbiter: Any, use_case_folder: Path, fingerprint: Fingerprint, held: str) -> None:
    """Follow the declaration in `use_case_folder` in a thread, until the process ends.

    `held` is the digest of the declaration at the start, `fingerprint` that of its files before it was read.
    Where BentoML has not made exactly one group of workers, nothing is followed, and the log says so.
    """
    watchers = list(arbiter.iter_watchers())
    if len(watchers) != 1:
        logger.warning("the declaration is not followed: there are %d groups of workers", len(watchers))
        return
    folder = Path(tempfile.mkdtemp(prefix="evergreen-service-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    exchange_folder = ExchangeFolder(folder)
    exchange_folder.write_follower_state(FollowerState())
    metric_folder = watchers[0].env.get(_METRICS_VARIABLE)
    exchange = WorkerExchange(arbiter, exchange_folder, partial(_archive_metrics, metric_folder))
    follower = DeclarationFollower(
        held,
        fingerprint,
        ServiceParts(
            compute_fingerprint=partial(compute_fingerprint, use_case_folder),
            check=check_declaration,
            take_over=exchange.replace_workers,
            read_champion=lambda: exchange_folder.read_worker_model().champion,
            tell=exchange_folder.write_follower_state,
        ),
    )
    # No daemon: while a former worker hands over its connections, the process waits for it.
    threading.Thread(target=_follow, args=(follower.step,), name="follow-declaration").start()


def _follow(step: Callable[[], None]) -> None:
    """Call `step` every second, and after a failure some seconds later, until the main thread has ended."""
    next_at = time.monotonic() + _POLL_SECONDS
    while threading.main_thread().is_alive():
        time.sleep(_END_SECONDS)
        if time.monotonic() < next_at:
            continue
        pause = _POLL_SECONDS
        try:
            step()
        except ServiceStopping:
            return
        except Exception:
            # Whatever goes wrong, the service goes on with what it has, and it is tried again.
            logger.exception("following the declaration failed")
            pause = _PAUSE_SECONDS
        next_at = time.monotonic() + pause


def _archive_metrics(folder: str | None) -> None:
    """Keep the counters of a worker that has ended, and drop its gauges."""
    if folder:
        archive_dead_files(Path(folder))
