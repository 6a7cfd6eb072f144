"""What the sections of a card share: contestants in words and tints, and two pieces side by side."""

from __future__ import annotations

from evergreen.pages.colours import AMBER, BLUE, GREEN, SOFT
from evergreen.training.card.evaluation_facts import EvaluationFacts
from evergreen.training.judge.comparison import CONTESTANTS

# The colour of each contestant's dots.
TINTS = dict(zip(CONTESTANTS, (GREEN, BLUE, AMBER, SOFT), strict=True))


def render_pair(left: str, right: str) -> str:
    """Two pieces of HTML side by side where there is room; an empty one takes none."""
    halves = "".join(f"<div>{half}</div>" for half in (left, right) if half)
    return f'<div class="pair">{halves}</div>'


def describe_champion(evaluation: EvaluationFacts) -> str:
    """The champion with its version, where that is known."""
    version = evaluation.champion_version
    return f"champion v{version}" if version is not None else "champion"


def describe_contestant(contestant: str, evaluation: EvaluationFacts) -> str:
    """What the card calls a contestant."""
    names = {"candidate": "this model", "linear": "linear baseline", "dummy": "guess"}
    return names.get(contestant) or describe_champion(evaluation)
