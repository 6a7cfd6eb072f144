"""How the card reads its facts, any of which may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evergreen.pages.colours import AMBER, BLUE, GREEN, SOFT
from evergreen.pages.numbers import finite

Facts = Mapping[str, Any]

CONTESTANTS = ("candidate", "champion", "linear", "dummy")
TINTS = dict(zip(CONTESTANTS, (GREEN, BLUE, AMBER, SOFT), strict=True))


def part(facts: Facts, *names: str) -> Facts:
    """The mapping below these names; empty where there is none."""
    found: Any = facts
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def parts(facts: Facts, name: str) -> Sequence[Facts]:
    """The mappings in the list of that name; none where there is none."""
    return [each for each in facts.get(name) or () if isinstance(each, Mapping)]


def numbers(facts: Facts, name: str) -> dict[str, float]:
    """The numbers of the mapping of that name; what is no number is left out."""
    found = {str(key): finite(value) for key, value in part(facts, name).items()}
    return {key: value for key, value in found.items() if value is not None}


def interval(facts: Facts, *names: str) -> tuple[float, float] | None:
    """The pair of numbers below these names."""
    *above, last = names
    ends = [finite(end) for end in part(facts, *above).get(last) or ()]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return None
    return ends[0], ends[1]


def champion_name(evaluation: Facts) -> str:
    version = evaluation.get("champion_version")
    return f"champion v{version}" if version is not None else "champion"


def contestant_name(contestant: str, evaluation: Facts) -> str:
    """What the card calls a contestant."""
    names = {"candidate": "this model", "linear": "linear baseline", "dummy": "guess"}
    return names.get(contestant) or champion_name(evaluation)
