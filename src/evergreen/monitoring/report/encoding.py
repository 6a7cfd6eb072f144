"""Documents of dataclasses as JSON, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any


def encode(value: Any) -> Any:
    """A value as JSON: dataclasses by the names of their fields, moments in ISO 8601, null for a number that
    is not finite, which JSON does not have."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: encode(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): encode(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, datetime) else value


def select_fields(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `data` that are fields of the dataclass `kind`; lists become tuples."""
    return {
        each.name: tuple(data[each.name]) if isinstance(data[each.name], list) else data[each.name]
        for each in fields(kind)
        if each.name in data
    }


def parse_moment(text: str | None) -> datetime | None:
    """The moment that ISO 8601 text names; None for none."""
    return datetime.fromisoformat(text) if text else None


def parse_moments(texts: Iterable[str]) -> tuple[datetime, ...]:
    """Moments in ISO 8601."""
    return tuple(datetime.fromisoformat(text) for text in texts)
