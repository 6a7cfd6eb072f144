"""How the card reads its facts, any of which may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evergreen.pages.colours import AMBER, BLUE, GREEN, SOFT
from evergreen.pages.numbers import parse_number

Facts = Mapping[str, Any]

CONTESTANTS = ("candidate", "champion", "linear", "dummy")
TINTS = dict(zip(CONTESTANTS, (GREEN, BLUE, AMBER, SOFT), strict=True))


def get_mapping(facts: Facts, *names: str) -> Facts:
    """The mapping below these names; empty where there is none."""
    found: Any = facts
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def list_mappings(facts: Facts, name: str) -> Sequence[Facts]:
    """The mappings in the list of that name; none where there is none."""
    return [each for each in facts.get(name) or () if isinstance(each, Mapping)]


def get_numbers(facts: Facts, name: str) -> dict[str, float]:
    """The numbers of the mapping of that name; what is no number is left out."""
    found = {str(key): parse_number(value) for key, value in get_mapping(facts, name).items()}
    return {key: value for key, value in found.items() if value is not None}


def get_interval(facts: Facts, *names: str) -> tuple[float, float] | None:
    """The pair of numbers below these names."""
    *above, last = names
    ends = [parse_number(end) for end in get_mapping(facts, *above).get(last) or ()]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return None
    return ends[0], ends[1]


def describe_champion(evaluation: Facts) -> str:
    version = evaluation.get("champion_version")
    return f"champion v{version}" if version is not None else "champion"


def describe_contestant(contestant: str, evaluation: Facts) -> str:
    """What the card calls a contestant."""
    names = {"candidate": "this model", "linear": "linear baseline", "dummy": "guess"}
    return names.get(contestant) or describe_champion(evaluation)
