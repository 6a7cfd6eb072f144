"""Versions that a service refused: kept for /metadata, and written into the ledger beside the requests."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True)
class Refusal:
    """A version of an MLflow run that was not put into service, why and since when (aware UTC).

    `hint` is what to do next.
    """

    version: int
    run_id: str
    reason: str
    at: datetime
    hint: str = ""


class RefusalLog:
    """The newest refusal of each version, and the thread that has each one written by `record`.

    What `record` raises is logged, and the call is repeated until it succeeds, however long MariaDB is away;
    `record` must write one line for calls with the same version, run and reason. `on_new` is called with the
    first of those with the same version, run and reason. Thread-safe.
    """

    def __init__(
        self,
        record: Callable[[Refusal], object],
        *,
        on_new: Callable[[Refusal], object] = lambda _: None,
        first_pause_seconds: float = _FIRST_PAUSE_SECONDS,
    ) -> None:
        self._record = record
        self._on_new = on_new
        self._first_pause_seconds = first_pause_seconds
        self._lock = threading.Lock()
        self._by_version: dict[tuple[int, str], Refusal] = {}
        self._reported: set[tuple[int, str, str]] = set()
        self._pending: list[Refusal] = []
        self._thread: threading.Thread | None = None

    def find(self, version: int, run_id: str) -> Refusal | None:
        """The refusal of that version; None while it is not refused."""
        with self._lock:
            return self._by_version.get((version, run_id))

    def forget(self, version: int, run_id: str) -> None:
        """The version is good by now; the ledger keeps its line."""
        with self._lock:
            self._by_version.pop((version, run_id), None)

    def report(self, refusal: Refusal) -> None:
        """Keep a refusal and have it written. One that is repeated keeps the moment of the first."""
        with self._lock:
            former = self._by_version.get((refusal.version, refusal.run_id))
            if former is None or former.reason != refusal.reason:
                self._by_version[refusal.version, refusal.run_id] = refusal
            key = (refusal.version, refusal.run_id, refusal.reason)
            if key in self._reported:
                return
            self._reported.add(key)
            self._pending.append(refusal)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)
                self._thread.start()
        self._on_new(refusal)

    def _run(self) -> None:
        pause, trouble = self._first_pause_seconds, ""
        while True:
            with self._lock:
                if not self._pending:
                    self._thread = None
                    return
                refusal = self._pending[0]
            try:
                self._record(refusal)
            except Exception as error:  # noqa: BLE001
                if str(error) != trouble:
                    trouble = str(error)
                    logger.warning("a refusal is not in the ledger yet, which is tried again: %s", trouble)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            with self._lock:
                self._pending.pop(0)
            pause, trouble = self._first_pause_seconds, ""
