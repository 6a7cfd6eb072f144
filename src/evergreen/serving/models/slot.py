"""The model in service, replaced in the background when the registry names another champion.

A request reads `slot.current` once and keeps that object, so one request is answered by one model. The model
before it stays in memory, so that a rollback needs no loading. It is freed when a third one goes into
service, and not before, because loading may fail: while one is loaded, three models are in memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from evergreen.errors import (
    EvergreenError,
    ModelNotLoaded,
    NoChampion,
    RegistryError,
    RegistryUnreachable,
    StoreUnreachable,
)

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
    """The model in service, when it became champion and since when it is in service (aware UTC).

    `verified_at` is set for a model from the home's cache, put into service because MLflow or MariaDB did not
    answer: when this home verified it.
    """

    model: LoadedModel
    promoted_at: datetime | None
    loaded_at: datetime
    verified_at: datetime | None = None

    @property
    def version(self) -> int:
        """The registered version."""
        return int(self.model.version)

    @property
    def from_cache(self) -> bool:
        """Whether it was put into service because MLflow or MariaDB did not answer."""
        return self.verified_at is not None

    @property
    def identity(self) -> tuple[int, str]:
        """The version and its run, because a registered model that was deleted and made anew counts its
        versions from 1 again."""
        return self.version, self.model.run_id

    def is_version_of(self, champion: Champion) -> bool:
        """Whether it is the champion's version."""
        return self.identity == (champion.version, champion.run_id)


class ModelSlot:
    """Holds the champion's model and replaces it in the background when the registry names another.

    `read_champion` asks the registry and `load_model` fetches a version ready to predict. Where one of them
    raises, the present model stays in service and `trouble` holds the message; where there is none yet,
    `load_cached_model` gives one of before the start, if it can: that champion, where it is known and no
    fault of its own, or the last one. `on_champion` is called with each answer of the registry before
    anything is loaded; it must return at once and not raise. `on_swap` is called with each model that was
    put into service.
    """

    def __init__(
        self,
        read_champion: Callable[[], Champion | None],
        load_model: Callable[[int], LoadedModel],
        *,
        poll_seconds: float,
        load_cached_model: Callable[[Champion | None], ServedModel | None] = lambda _: None,
        on_swap: Callable[[ServedModel], None] = lambda _: None,
        on_champion: Callable[[Champion | None], None] = lambda _: None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._read_champion = read_champion
        self._load_model = load_model
        self._load_cached_model = load_cached_model
        # The champions for which a model of before the start was looked for; None: without knowing one.
        self._tried_champions: set[tuple[int, str] | None] = set()
        self._poll_seconds = poll_seconds
        self._on_swap = on_swap
        self._on_champion = on_champion
        self._clock = clock
        self._current: ServedModel | None = None
        self._former: ServedModel | None = None
        self._champion: Champion | None = None
        self._has_no_champion = False
        # By version: how often loading it failed in a row, and when it is tried again (monotonic seconds).
        self._failures: dict[int, tuple[int, float]] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.trouble = ""

    @property
    def current(self) -> ServedModel | None:
        """The model in service, or None before the first champion."""
        return self._current

    @property
    def champion(self) -> Champion | None:
        """The champion when the registry answered last; None before, or where it names none."""
        return self._champion

    def require(self) -> ServedModel:
        """The model in service. Raises NoChampion if the registry names none, ModelNotLoaded until then."""
        current = self._current
        if current is not None:
            return current
        if self._has_no_champion:
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
            self._set_trouble(error.message)
        except Exception as error:
            # Whatever a registry client raises, the thread must go on asking; the model in service stays.
            logger.exception("asking the registry for the champion failed")
            self.trouble = f"{type(error).__name__}: {error}"
        return False

    def _check(self) -> bool:
        """Do the work of `check`, and raise what the registry or the loading raises."""
        try:
            champion = self._read_champion()
        except RegistryError:
            self._serve_cached_model(None)
            raise
        self._champion = champion
        self._has_no_champion = champion is None
        self._on_champion(champion)
        if champion is None:
            # A removed alias leaves the model in service: to end it, an operator stops the service.
            self._set_trouble(NO_CHAMPION)
            return False
        current = self._current
        # One from the cache is loaded again, and verified, now that the registry answers.
        if current is not None and not current.from_cache and current.is_version_of(champion):
            self._set_trouble("")
            return False
        return self._swap_back(champion) or self._load_and_swap(champion)

    def _swap_back(self, champion: Champion) -> bool:
        """Put the former model into service where it is the champion; whether that was done."""
        former = self._former
        if former is None or not former.is_version_of(champion):
            return False
        self._swap(replace(former, promoted_at=champion.promoted_at, loaded_at=self._clock()))
        return True

    def _load_and_swap(self, champion: Champion) -> bool:
        """Load the champion and put it into service, unless it failed lately; whether that was done."""
        count, not_before = self._failures.get(champion.version, (0, 0.0))
        if time.monotonic() < not_before:
            return False
        try:
            model = self._load_model(champion.version)
        except (RegistryUnreachable, StoreUnreachable):
            # No fault of the version: it is tried again as soon as they answer.
            self._serve_cached_model(champion)
            raise
        except Exception:
            delay = min(_LONGEST_RETRY_SECONDS, self._poll_seconds * 2**count)
            self._failures[champion.version] = (count + 1, time.monotonic() + delay)
            self._serve_cached_model(None)
            raise
        self._swap(ServedModel(model, champion.promoted_at, self._clock()))
        return True

    def _serve_cached_model(self, champion: Champion | None) -> None:
        """Where no model is in service, put one of before the start into service; tried once per champion."""
        identity = (champion.version, champion.run_id) if champion else None
        if self._current is not None or identity in self._tried_champions:
            return
        self._tried_champions.add(identity)
        try:
            cached = self._load_cached_model(champion)
        except EvergreenError as error:
            logger.warning("no model of before the start is served instead: %s", error.message)
        except Exception:
            logger.exception("the model of before the start cannot be loaded")
        else:
            if cached is not None:
                logger.warning("serving version %d of before the start", cached.version)
                self._current = cached
                self._on_swap(cached)

    def _swap(self, new: ServedModel) -> None:
        """Put a model into service. The present one becomes the former one, and the former one is freed,
        unless it is the same version that is loaded again."""
        current = self._current
        is_reloaded = current is not None and current.identity == new.identity
        if not is_reloaded:
            self._former = current
        self._current = new
        self._failures.clear()
        self._set_trouble("")
        logger.info("serving version %d", new.version)
        self._on_swap(new)

    def _set_trouble(self, trouble: str) -> None:
        """Keep why the champion is not in service; "" when it is. A new reason is logged."""
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
