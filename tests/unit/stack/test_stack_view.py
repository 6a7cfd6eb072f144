"""How results are written in a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from evergreen.stack.view import render_outcome


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        ({"rows": 1782}, "rows 1,782"),
        ({"seconds": 0.528947}, "seconds 0.5289"),
        ({"loss": 1234567.0}, "loss 1,234,567"),
        ({"loaded": {"facts": 891, "label": 0}}, "loaded facts 891, label 0"),
        ({"loaded": {}}, "loaded"),
        (
            {"tuning": {"params": {"depth": 5, "rate": 0.0774}, "trials": 8}},
            "tuning params (depth 5, rate 0.0774), trials 8",
        ),
        ({"metrics": {"candidate": 0.84151, "champion": None}}, "metrics candidate 0.8415"),
        (
            {"gate": {"passed": True, "checks": [{"name": "floor", "reason": "above 0.6"}]}},
            "gate passed True, checks above 0.6",
        ),
        ({"as_of": "2026-07-01T08:30:00.123456+00:00"}, "as_of 2026-07-01 08:30:00"),
    ],
)
def test_a_fact_is_a_line_that_people_can_read(outcome: dict[str, Any], line: str) -> None:
    assert shown(outcome) == [line]


def test_what_was_told_is_not_told_again() -> None:
    assert shown({"run": "r1", "gate": {"run": "r1", "passed": False}}) == ["run r1", "gate passed False"]


def shown(outcome: dict[str, Any]) -> list[str]:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(render_outcome(outcome))
    return [" ".join(line.split()) for line in captured.get().splitlines()]
