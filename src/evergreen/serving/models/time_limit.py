"""A call that is waited for no longer than so many seconds, whatever becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class TimeLimitedCall(Generic[Result]):
    """Runs one call at a time in a thread and waits at most `seconds` for it.

    For a server that takes connections and never answers: its driver waits for minutes. A call that was given
    up goes on in its thread; until it has ended no other one begins, so that threads do not pile up.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._thread: threading.Thread | None = None

    def run(self, call: Callable[[], Result]) -> Result:
        """What `call` returns or raises. Raises TimeoutError where it, or the one before, takes longer."""
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(self._seconds)
            if self._thread.is_alive():
                raise TimeoutError
        results: list[Result] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(call())
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        self._thread = threading.Thread(target=work, name="time-limited-call", daemon=True)
        self._thread.start()
        self._thread.join(self._seconds)
        if errors:
            raise errors[0]
        if not results:
            raise TimeoutError
        return results[0]
