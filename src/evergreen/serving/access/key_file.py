"""The file of API keys: a line per key with its name, digest and date. `evergreen keys` writes it, services
read it again when it changes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evergreen.errors import SettingsError
from evergreen.private import make_private_folder, write_private_file
from evergreen.serving.access.api_keys import ApiKey, check_key_name, compute_key_digest, generate_key

_HEAD = (
    "# API keys of Evergreen's services, by digest. Kept by `evergreen keys`; services follow its changes.\n"
)
_LINE = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,40}):sha256:(?P<digest>[0-9a-f]{64})(?: +(?P<made>\S+))?")


@dataclass(frozen=True)
class FiledKey:
    """A key of the file, and when it was made (ISO 8601, UTC; "" where a person wrote the line)."""

    key: ApiKey
    made_at: str


def read_key_file(path: Path) -> list[FiledKey]:
    """The keys of the file, none when it does not exist. Raises SettingsError for a line that is none."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the API keys in {path} cannot be read: {error}") from None
    return [
        _parse_line(line.strip(), number, path)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]


def _parse_line(line: str, number: int, path: Path) -> FiledKey:
    match = _LINE.fullmatch(line)
    if match is None:
        raise SettingsError(
            f"line {number} of {path} is no API key",
            hint="a line is NAME:sha256:DIGEST; `evergreen keys new NAME` writes one",
        )
    return FiledKey(ApiKey(match["name"], bytes.fromhex(match["digest"])), match["made"] or "")


def add_key(path: Path, name: str, now: datetime | None = None) -> str:
    """Add a new key of that name to the file and return the key, which is kept nowhere.

    Several keys may have one name: the new one is given out before the old one is revoked. Raises
    SettingsError.
    """
    check_key_name(name)
    keys = read_key_file(path)
    secret = generate_key()
    made_at = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
    _write_keys(path, [*keys, FiledKey(ApiKey(name, compute_key_digest(secret)), made_at)])
    return secret


def remove_keys(path: Path, name_or_fingerprint: str) -> list[FiledKey]:
    """Remove the keys of that name, or the one of that fingerprint, and return them. Raises SettingsError."""
    keys = read_key_file(path)
    removed = [each for each in keys if name_or_fingerprint in (each.key.name, each.key.fingerprint)]
    if not removed:
        known = ", ".join(sorted({each.key.name for each in keys})) or "none"
        raise SettingsError(
            f"{path} has no key {name_or_fingerprint[:60]!r}; it has: {known}",
            hint="see `evergreen keys list`; keys of EVERGREEN_API_KEYS are revoked there",
        )
    _write_keys(path, [each for each in keys if each not in removed])
    return removed


def _write_keys(path: Path, keys: list[FiledKey]) -> None:
    lines = [f"{each.key.name}:sha256:{each.key.digest.hex()} {each.made_at}".rstrip() for each in keys]
    try:
        make_private_folder(path.parent)
        write_private_file(path, _HEAD + "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise SettingsError(f"the API keys cannot be written to {path}: {error}") from None
