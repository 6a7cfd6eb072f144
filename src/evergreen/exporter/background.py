"""A collector of the exporter reads in a thread of its own, so that whoever asks for values never waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from evergreen.errors import EvergreenError
from evergreen.exporter.samples import Sample, Samples

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collected:
    """What a collection ended with. `at` is in seconds since 1970, `took` in seconds; `is_whole` is whether
    everything could be read."""

    samples: tuple[Sample, ...]
    is_whole: bool
    took: float
    at: float


@dataclass
class BackgroundCollector:
    """Collects every `interval` seconds: one collection at a time, and never two.

    `read` adds the values. A collection that raises leaves no values. One that takes longer than
    `limit_seconds` counts as failed, and its former values are not shown, until it ends.
    """

    name: str
    read: Callable[[Samples], None]
    interval: float
    limit_seconds: float
    clock: Callable[[], float] = time.monotonic
    _last: Collected | None = field(default=None, init=False)
    _began: float | None = field(default=None, init=False)
    _trouble: str = field(default="", init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)

    @property
    def last(self) -> Collected | None:
        """The last collection that ended; None before the first."""
        return self._last

    @property
    def is_up(self) -> bool:
        """Whether the last collection was whole, and none takes too long."""
        return self._last is not None and self._last.is_whole and not self._is_late

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The values to show now."""
        return () if self._last is None or self._is_late else self._last.samples

    @property
    def _is_late(self) -> bool:
        began = self._began
        return began is not None and self.clock() - began > self.limit_seconds

    def start(self) -> None:
        """Collect from now on, until `stop`."""
        threading.Thread(target=self._run, name=f"exporter-{self.name}", daemon=True).start()

    def stop(self) -> None:
        """Begin no further collection."""
        self._stop.set()

    def collect(self) -> None:
        """Collect once, in this thread. Never raises: what is wrong is logged, once until it changes."""
        samples = Samples()
        self._began = began = self.clock()
        try:
            self.read(samples)
        except EvergreenError as error:
            samples = Samples()
            samples.troubles.append(error.message)
        except Exception as error:  # noqa: BLE001  the thread must live on, and the other collectors with it
            samples = Samples()
            samples.troubles.append(f"{type(error).__name__} in {_find_place(error)}")
        self._last = Collected(
            samples=tuple(samples.values),
            is_whole=not samples.troubles,
            took=self.clock() - began,
            at=time.time(),
        )
        self._began = None
        self._log_trouble("; ".join(samples.troubles))

    def _run(self) -> None:
        while not self._stop.is_set():
            self.collect()
            assert self._last is not None
            self._stop.wait(max(0.0, self.interval - self._last.took))

    def _log_trouble(self, trouble: str) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble:
            logger.warning("%s cannot be read: %s", self.name, trouble)
        else:
            logger.info("%s can be read again", self.name)


def _find_place(error: BaseException) -> str:
    """Module and line of the innermost frame: the message of an unexpected error may quote data."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_globals.get('__name__')}:{frame.tb_lineno}" if frame else "?"
