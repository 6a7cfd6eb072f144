"""The keys that a running service accepts: those of its settings, and those of the file as it is now."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from evergreen.errors import EvergreenError
from evergreen.serving.access.api_keys import ApiKey, find_key, parse_keys
from evergreen.serving.access.key_file import read_key_file
from evergreen.settings import Settings
from evergreen.trust import Trust

logger = logging.getLogger(__name__)

PLATFORM = "platform"
_LOOK_SECONDS = 1.0


class KeyRing:
    """Keys to compare a presented one with. The file is looked at once a second at most.

    `fixed` are keys that hold while the process runs. A file that has become unreadable, or whose owner is
    not trusted any more, changes nothing and is logged, so that a slip of an editor locks nobody out; it is
    read as soon as that is mended.
    """

    def __init__(
        self,
        fixed: Sequence[ApiKey],
        path: Path,
        trust: Trust,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fixed = tuple(fixed)
        self._path = path
        self._trust = trust
        self._clock = clock
        self._version = _read_version(path)
        self._keys = (*self._fixed, *self._read())
        self._next_look = clock() + _LOOK_SECONDS
        self._has_guests = _has_guests(self._keys)
        self._trouble = ""

    @property
    def keys(self) -> tuple[ApiKey, ...]:
        """The keys that are accepted now."""
        if self._clock() >= self._next_look:
            self._look()
        return self._keys

    @property
    def has_guests(self) -> bool:
        """Whether anybody but the platform itself has a key now."""
        if self._clock() >= self._next_look:
            self._look()
        return self._has_guests

    def find(self, presented: bytes) -> ApiKey | None:
        """The accepted key that was presented, or None."""
        if self._clock() >= self._next_look:
            self._look()
        return find_key(self._keys, presented)

    def _look(self) -> None:
        self._next_look = self._clock() + _LOOK_SECONDS
        version = _read_version(self._path)
        if version == self._version:
            return
        try:
            self._keys = (*self._fixed, *self._read())
        except EvergreenError as error:
            # The version stays unknown: mended permissions change neither the file's size nor its time.
            if str(error) != self._trouble:
                self._trouble = str(error)
                logger.error("the API keys stay as they were: %s", error)
            return
        self._version, self._trouble = version, ""
        self._has_guests = _has_guests(self._keys)
        logger.info("%d API keys are accepted now", len(self._keys))

    def _read(self) -> list[ApiKey]:
        self._trust.check_file(self._path, "the file of API keys")
        return [each.key for each in read_key_file(self._path)]


def load_key_ring(settings: Settings) -> KeyRing:
    """The keys of the settings and of the file that they name. Raises SettingsError, UntrustedFolder."""
    own = settings.api_key.get_secret_value()
    fixed = parse_keys(settings.api_keys.get_secret_value(), "EVERGREEN_API_KEYS")
    if own:
        fixed += [ApiKey(PLATFORM, key.digest) for key in parse_keys(own, "EVERGREEN_API_KEY")]
    return KeyRing(fixed, settings.api_keys_path, settings.trust)


def _has_guests(keys: Sequence[ApiKey]) -> bool:
    return any(key.name != PLATFORM for key in keys)


def _read_version(path: Path) -> tuple[int, ...]:
    """What changes when the file does; () when there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns)
