"""Typed reading of a JSON document of which any part may be missing, null or of another kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evergreen.pages.model_charts.search import ParameterValue
from evergreen.pages.numbers import format_value, parse_number

Interval = tuple[float, float]


@dataclass(frozen=True)
class JsonReader:
    """A JSON value. Each method reads the entry of that name.

    A value that is no object has no entries.
    """

    document: object

    def get_value(self, name: str) -> Any:
        """The entry as it is; None where it is missing."""
        return self.document.get(name) if isinstance(self.document, Mapping) else None

    def get_text(self, name: str) -> str | None:
        """The entry as text; None where it is missing, null or empty."""
        value = self.get_value(name)
        return None if value is None or value == "" else str(value)

    def get_number(self, name: str) -> float | None:
        """The entry as a finite number."""
        return parse_number(self.get_value(name))

    def get_count(self, name: str) -> int | None:
        """The entry as a whole number."""
        number = self.get_number(name)
        return None if number is None else int(number)

    def get_flag(self, name: str) -> bool | None:
        """The entry as true or false; None where it is missing or null."""
        value = self.get_value(name)
        return None if value is None else bool(value)

    def get_numbers(self, name: str) -> dict[str, float]:
        """The finite numbers of an object; what is no number is left out."""
        return {
            key: number for key, value in self._items(name) if (number := parse_number(value)) is not None
        }

    def get_intervals(self, name: str) -> dict[str, Interval]:
        """The pairs of finite numbers of an object."""
        return {key: ends for key, value in self._items(name) if (ends := _parse_interval(value)) is not None}

    def get_parameters(self, name: str) -> dict[str, ParameterValue]:
        """The scalars of an object; lists are written as text."""
        return {
            key: value if value is None or isinstance(value, str | float | int) else format_value(value)
            for key, value in self._items(name)
        }

    def get_object(self, name: str) -> JsonReader:
        """A reader of the entry."""
        return JsonReader(self.get_value(name))

    def get_objects(self, name: str) -> list[JsonReader]:
        """Readers of the objects in a list."""
        return [JsonReader(each) for each in self.get_list(name) if isinstance(each, Mapping)]

    def get_list(self, name: str) -> list[Any]:
        """The values of a list; none where the entry is no list."""
        value = self.get_value(name)
        return list(value) if isinstance(value, list | tuple) else []

    def get_number_list(self, name: str) -> list[float]:
        """The finite numbers of a list."""
        return [number for each in self.get_list(name) if (number := parse_number(each)) is not None]

    @property
    def is_empty(self) -> bool:
        """Whether there is no object here, or one without entries."""
        return not isinstance(self.document, Mapping) or not self.document

    def _items(self, name: str) -> list[tuple[str, Any]]:
        value = self.get_value(name)
        return [(str(key), each) for key, each in value.items()] if isinstance(value, Mapping) else []


def _parse_interval(value: object) -> Interval | None:
    ends = [parse_number(end) for end in value] if isinstance(value, list | tuple) else []
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return None
    return ends[0], ends[1]
