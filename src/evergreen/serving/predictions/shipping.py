"""The worker's side of shipping: a thread that finishes segments and keeps the shipper running."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from evergreen.serving.child_environment import build_child_environment
from evergreen.serving.predictions.log_counts import LogCounts, read_counts
from evergreen.serving.predictions.segments import list_segments
from evergreen.serving.predictions.spool import Spool

logger = logging.getLogger(__name__)

# A segment is finished this long after its first row: so late is the log of predictions in MariaDB.
_SEGMENT_SECONDS = 0.2
# While MariaDB takes none, few long segments are better than many short ones.
_WAITING_SEGMENTS = 20
_LONG_SEGMENT_SECONDS = 5.0
_MEASURE_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0

# A shipper that has run so long beyond its last start has not failed at once.
_STEADY_SECONDS = 60.0

# Those that end a service, which may reach all of its processes. The shipper ignores them: it must deliver
# what the worker still writes.
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_COMMAND = (sys.executable, "-m", "evergreen.serving.predictions.shipper")


class Shipping:
    """Ships what is in a spool with a shipper process, which it starts and starts again when it ends.

    `observe` is called about once a second, in the thread, with `count_rows`.
    """

    def __init__(self, spool: Spool, observe: Callable[[LogCounts], None] = lambda _: None) -> None:
        self._spool = spool
        self._observe = observe
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._retry_at = 0.0
        self._failures = 0
        self._measure_at = 0.0
        self._segment_seconds = _SEGMENT_SECONDS
        self.bytes = 0

    def count_rows(self) -> LogCounts:
        """Where the rows of this process's spool are. Each number is counted where the rows are, so that a
        row that got lost is missing in the sum of `LogCounts`."""
        rows = self._spool.count_rows()
        # After it: a segment that was shipped meanwhile is on record before it is deleted.
        counts = read_counts(self._spool.folder)
        return {
            "accepted": rows.accepted,
            "adopted": counts.adopted + rows.adopted,
            "spooled": sum(number for segment, number in rows.waiting.items() if segment > counts.segment),
            "written": counts.written,
            "refused": counts.refused,
            "dropped": rows.dropped,
            "spoilt_rows": counts.spoilt_rows,
            "spoilt": counts.spoilt,
            "spool_bytes": self.bytes,
            "spool_age_seconds": round(self._spool.compute_age(), 1),
            "trouble": counts.trouble,
        }

    def start(self) -> None:
        """Start the thread and the shipper."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Let the shipper deliver the rest: whether it has, within `timeout` seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._spool.close()
        process = self._process
        if process is None:
            return False
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
        # The shipper removes the folder when nothing is left.
        return not self._spool.folder.exists()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._keep_shipper()
                if self._spool.wait_for_rows(0.0 if self._stopping.is_set() else 0.5):
                    self._stopping.wait(self._segment_seconds)
                    if self._spool.finish_segment():
                        self._tell_shipper()
                if time.monotonic() >= self._measure_at:
                    self._measure()
            except Exception:
                # Such as a full disk, of which requests are told. Without the thread nothing is shipped.
                logger.exception("the spool is not shipped now")
                self._stopping.wait(1.0)
        # What `observe` puts into the spool at last is shipped too.
        with suppress(OSError):
            self._measure()

    def _measure(self) -> None:
        self._measure_at = time.monotonic() + _MEASURE_SECONDS
        self.bytes = self._spool.measure()
        is_waiting = len(list_segments(self._spool.folder)) >= _WAITING_SEGMENTS
        self._segment_seconds = _LONG_SEGMENT_SECONDS if is_waiting else _SEGMENT_SECONDS
        self._observe(self.count_rows())

    def _keep_shipper(self) -> None:
        """Start the shipper, or start it again when it has ended, each time a little later."""
        if self._process is not None and self._process.poll() is None:
            if time.monotonic() > self._retry_at + _STEADY_SECONDS:
                self._failures = 0
            return
        if time.monotonic() < self._retry_at:
            return
        if self._process is not None:
            logger.warning(
                "the shipper ended with exit code %s; it is started again", self._process.returncode
            )
        self._failures += 1
        self._retry_at = time.monotonic() + min(_LONGEST_RETRY_SECONDS, 2.0 ** (self._failures - 1))
        with block_signals(ENDING_SIGNALS):
            self._process = subprocess.Popen(
                [*_COMMAND, str(self._spool.folder), str(self._spool.lock)],
                stdin=subprocess.PIPE,
                pass_fds=(self._spool.lock,),
                env=build_child_environment(),
            )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)

    def _tell_shipper(self) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            # A full pipe means that the shipper has news enough; a broken one, that it is started again.
            with suppress(OSError):
                os.write(process.stdin.fileno(), b"\n")


@contextmanager
def block_signals(signals: Sequence[signal.Signals]) -> Iterator[None]:
    """Block signals in this thread during the block.

    A process that is started in it inherits that, so that none of them ends it before it ignores them itself.
    """
    former = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
