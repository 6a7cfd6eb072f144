"""Brings the prediction log's table up to date with this version, beside the service's writes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 60.0


class TableUpdate:
    """Runs `migrate` once in a thread of its own, and again a minute after it has failed.

    The service writes meanwhile, in the form that a table of the version before takes, until it is `done`.
    """

    def __init__(self, migrate: Callable[[], list[str]]) -> None:
        self._migrate = migrate
        self._thread: threading.Thread | None = None
        self._retry_at = 0.0
        self.done = False

    def start(self) -> None:
        """Begin unless it is done or under way. Called by the one thread that writes the log."""
        if self.done or time.monotonic() < self._retry_at or (self._thread and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._run, name="prediction-table", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            applied = self._migrate()
        except Exception as error:  # noqa: BLE001  a thread's error would be seen by nobody
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            logger.warning("the prediction log's table is not up to date yet: %s", error)
            return
        self.done = True
        if applied:
            logger.info("brought up to date: %s", ", ".join(applied))
