"""The slot that holds the model in service: it asks the registry for the champion and swaps while serving.

A request reads `slot.current` once and keeps that object, so one request is answered by one model; the old
model is freed when the last request that holds it is done.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from evergreen.errors import EvergreenError, ModelNotLoaded, NoChampion

if TYPE_CHECKING:
    from evergreen.model.loaded_model import LoadedModel
    from evergreen.registry.champion import Champion

logger = logging.getLogger(__name__)

NO_CHAMPION = "the registry names no champion"
# A version that cannot be loaded is tried again after this many seconds at most.
_LONGEST_RETRY_SECONDS = 60.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class ServedModel:
    """The model in service, and since when. Times are aware UTC."""

    model: LoadedModel
    promoted_at: datetime | None
    loaded_at: datetime

    @property
    def version(self) -> int:
        return int(self.model.version)


class ModelSlot:
    """Holds the champion's model and replaces it in the background when the registry names another.

    `find` asks the registry, `load` fetches a version ready to answer; both may raise EvergreenError,
    which leaves the present model in service and stands in `trouble`. `named` is told each answer of the
    registry, before anything is loaded; it must neither raise nor take its time.
    """

    def __init__(
        self,
        find: Callable[[], Champion | None],
        load: Callable[[int], LoadedModel],
        *,
        poll_seconds: float,
        swapped: Callable[[ServedModel], None] = lambda _: None,
        named: Callable[[Champion | None], None] = lambda _: None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._find = find
        self._load = load
        self._poll_seconds = poll_seconds
        self._swapped = swapped
        self._named = named
        self._clock = clock
        self._current: ServedModel | None = None
        self._none_named = False
        self._failed: dict[int, tuple[int, float]] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.trouble = ""

    @property
    def current(self) -> ServedModel | None:
        """The model in service, or None before the first champion."""
        return self._current

    def require(self) -> ServedModel:
        """The model in service. Raises NoChampion if the registry names none, ModelNotLoaded until then."""
        served = self._current
        if served is not None:
            return served
        if self._none_named:
            raise NoChampion(
                "no model is in service yet: the registry names no champion",
                hint="train the use case; the service loads the champion by itself within seconds",
            )
        raise ModelNotLoaded(
            f"the champion is not loaded yet{f': {self.trouble}' if self.trouble else ''}",
            hint="try again in a few seconds; /metadata says what is in the way",
        )

    def check(self) -> bool:
        """Ask the registry once; load and swap when the champion changed. Returns whether it swapped."""
        try:
            return self._check()
        except EvergreenError as error:
            self._tell(error.message)
        except Exception as error:
            # The poll thread must outlive whatever a registry client throws; the model in service stays.
            logger.exception("asking the registry for the champion failed")
            self.trouble = f"{type(error).__name__}: {error}"
        return False

    def _check(self) -> bool:
        champion = self._find()
        self._none_named = champion is None
        self._named(champion)
        if champion is None:
            # A removed alias does not take a serving model away: an operator stops the service for that.
            self._tell(NO_CHAMPION)
            return False
        current = self._current
        # The run as well: a registered model that was deleted and made anew counts its versions from 1 again.
        if current is not None and (current.version, current.model.run_id) == (
            champion.version,
            champion.run_id,
        ):
            self._tell("")
            return False
        failures, not_before = self._failed.get(champion.version, (0, 0.0))
        if time.monotonic() < not_before:
            return False
        try:
            model = self._load(champion.version)
        except Exception:
            delay = min(_LONGEST_RETRY_SECONDS, self._poll_seconds * 2**failures)
            self._failed[champion.version] = (failures + 1, time.monotonic() + delay)
            raise
        served = ServedModel(model=model, promoted_at=champion.promoted_at, loaded_at=self._clock())
        self._current = served
        self._failed.clear()
        self._tell("")
        logger.info("serving version %d", served.version)
        self._swapped(served)
        return True

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            logger.warning("the champion is not in service: %s", trouble)
        self.trouble = trouble

    def start(self) -> None:
        """Begin to ask the registry, at once and then every `poll_seconds`, in a thread."""
        self._thread = threading.Thread(target=self._run, name="champion-poll", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.check()
            self._stopping.wait(self._poll_seconds)

    def stop(self, timeout: float = 5.0) -> None:
        """Stop asking; the present model stays readable."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout)
