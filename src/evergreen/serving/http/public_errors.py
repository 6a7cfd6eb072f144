"""What callers are told of an error whose own words are for the operator, because they may name servers,
databases and folders: those words are in the log of the service."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final, NamedTuple

from evergreen.errors import (
    EvergreenError,
    ModelNotLoaded,
    PredictionLogFull,
    RegistryUnreachable,
    SchemaMismatch,
    StoreRefused,
    StoreUnreachable,
)

logger = logging.getLogger(__name__)

# An outage fails every request with the same words.
_PAUSE_SECONDS = 10.0
_MOST_REMEMBERED = 100


class PublicWords(NamedTuple):
    """Message and hint of an answer."""

    message: str
    hint: str


_STORE: Final = PublicWords(
    "the feature store does not answer now", "try again in some seconds, or send the features to /predict"
)
_WORDS: Final[dict[type[EvergreenError], PublicWords]] = {
    StoreUnreachable: _STORE,
    StoreRefused: _STORE,
    SchemaMismatch: PublicWords(
        "the feature store does not have what this service needs", "the log of the service says what it lacks"
    ),
    RegistryUnreachable: PublicWords("the registry does not answer now", "try again in some seconds"),
    ModelNotLoaded: PublicWords(
        "the champion is not loaded yet", "try again in a few seconds; /metadata says what is in the way"
    ),
    PredictionLogFull: PublicWords(
        "the prediction log takes nothing now, so nothing is answered",
        "try again in some seconds; /metadata says what is in the way",
    ),
}


class ThrottledLog:
    """Logs each text once in ten seconds. Thread-safe, and bounded however many texts there are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}

    def warn(self, text: str) -> None:
        """Log a text, unless that was done lately."""
        now = time.monotonic()
        with self._lock:
            if now < self._next.get(text, 0.0):
                return
            if len(self._next) >= _MOST_REMEMBERED:
                self._next.clear()
            self._next[text] = now + _PAUSE_SECONDS
        logger.warning("requests cannot be answered now: %s", text)


_log = ThrottledLog()


def choose_public_words(error: EvergreenError) -> PublicWords:
    """The words for a caller; where they are not the error's own, the log gets these."""
    for error_class, words in _WORDS.items():
        if isinstance(error, error_class):
            _log.warn(error.message)
            return words
    return PublicWords(error.message, error.hint)
