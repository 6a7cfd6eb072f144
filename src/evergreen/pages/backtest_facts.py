"""What the page of a backtest needs of each policy, read from JSON in which anything may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from evergreen.pages.json_reader import JsonReader
from evergreen.pages.monitoring_parts.words import parse_iso_moment
from evergreen.pages.numbers import parse_number


@dataclass(frozen=True)
class PolicyFacts:
    """A policy's outcome as the page needs it."""

    name: str
    title: str
    kind: str
    declaration: str
    value: float | None
    metrics: Mapping[str, float]
    gain: float | None
    retrains: int
    fits: int
    cpu_seconds: float | None
    curve: tuple[float | None, ...]
    retrained_at: tuple[datetime, ...]
    decisions: tuple[JsonReader, ...]

    @staticmethod
    def from_json(facts: JsonReader) -> PolicyFacts:
        """The policy of an object of the document's `policies`."""
        moments = [parse_iso_moment(str(text)) for text in facts.get_list("retrained_at")]
        name = facts.get_text("name") or "a policy"
        return PolicyFacts(
            name=name,
            title=facts.get_text("title") or name,
            kind=facts.get_text("kind") or "given",
            declaration=facts.get_text("declaration") or "",
            value=facts.get_number("value"),
            metrics=facts.get_numbers("metrics"),
            gain=facts.get_number("gain"),
            retrains=facts.get_count("retrains") or 0,
            fits=facts.get_count("fits") or 0,
            cpu_seconds=facts.get_number("cpu_seconds"),
            curve=tuple(map(parse_number, facts.get_list("curve"))),
            retrained_at=tuple(moment for moment in moments if moment is not None),
            decisions=tuple(facts.get_objects("decisions")),
        )
