"""API keys: how they are written, made and compared. Only their SHA-256 digests are kept.

A key is random and long, so a plain digest is enough: there is no word to guess, as in a password.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from evergreen.errors import SettingsError

_PREFIX = "eg_"
_RANDOM_BYTES = 32
# Whoever chooses a key by hand could choose a word: shorter ones are refused.
_SHORTEST_KEY = 16
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_ENTRY = re.compile(
    r"(?:(?P<name>(?!sha256:)[A-Za-z0-9_.-]{1,40}):)?(?P<value>sha256:[0-9a-f]{64}|[\x21-\x7e]+)"
)


@dataclass(frozen=True)
class ApiKey:
    """A key that a service accepts: the name of who uses it, and the digest of the key."""

    name: str
    digest: bytes

    @property
    def fingerprint(self) -> str:
        """What tells keys apart without showing them."""
        return self.digest.hex()[:8]


def generate_key() -> str:
    """A new random key."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def compute_key_digest(key: str | bytes) -> bytes:
    """The SHA-256 of a key."""
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).digest()


def check_key_name(name: str) -> None:
    """Raise SettingsError for a name that a list of keys cannot hold."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"the key's name {name[:60]!r} is not usable",
            hint="take at most 40 letters, digits and the characters _ . -",
        )


def parse_keys(text: str, place: str) -> list[ApiKey]:
    """The keys of a comma-separated list, each `NAME:KEY`, `NAME:sha256:DIGEST`, or either without a name.

    `place` says in an error where the list stands. Raises SettingsError, which never quotes a key.
    """
    entries = [entry for part in text.split(",") if (entry := part.strip())]
    return [_parse_key(entry, number, place) for number, entry in enumerate(entries, 1)]


def _parse_key(entry: str, number: int, place: str) -> ApiKey:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise SettingsError(
            f"key {number} of {place} is malformed",
            hint="write NAME:KEY or NAME:sha256:DIGEST (64 hexadecimal digits), separated by commas",
        )
    name, value = match["name"] or f"key-{number}", match["value"]
    if value.startswith("sha256:"):
        digest = value.removeprefix("sha256:")
        if len(digest) != 64:
            raise SettingsError(
                f"the digest of key {name} of {place} does not have 64 hexadecimal digits",
                hint="make it with: printf %s KEY | sha256sum",
            )
        return ApiKey(name, bytes.fromhex(digest))
    if len(value) < _SHORTEST_KEY:
        raise SettingsError(
            f"key {name} of {place} is shorter than {_SHORTEST_KEY} characters, so it could be guessed",
            hint="make one with: evergreen keys new NAME",
        )
    return ApiKey(name, compute_key_digest(value))


def find_key(keys: Iterable[ApiKey], presented: bytes) -> ApiKey | None:
    """The key that was presented, or None. Every key is compared, in a time that tells nothing of them."""
    digest = hashlib.sha256(presented).digest()
    match = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            match = key
    return match
