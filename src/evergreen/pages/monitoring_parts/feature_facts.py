"""A feature of a check as its page needs it, read from JSON in which anything may be missing or malformed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.pages.json_reader import Interval, JsonReader
from evergreen.pages.monitoring_parts.words import read_severity
from evergreen.pages.numbers import format_number, parse_number

OTHER, MISSING = "(other)", "(missing)"


@dataclass(frozen=True)
class Bin:
    """A bin of a feature's values: its name, and the shares of rows in the reference and in the window.

    `upper` is the upper edge of a bin of numbers, None for the last one and for bins of names. `count` is its
    rows in the window.
    """

    name: str
    reference: float
    current: float
    count: int = 0
    upper: float | None = None

    @property
    def change(self) -> float:
        """By how much the share has grown."""
        return self.current - self.reference


@dataclass(frozen=True)
class FeatureFacts:
    """A feature: how far it moved, by its severity and PSI, its bins, and its PSI over the periods.

    `bins` of numbers are in the order of the values, those of names by falling share; `missing` is apart and
    None where no row lacks the value.
    """

    name: str
    severity: str
    psi: float | None
    limit: float | None
    chance: float | None
    meaning: str
    reason: str
    numeric: bool
    bins: tuple[Bin, ...]
    missing: Bin | None
    unseen: Interval | None
    timeline: tuple[float | None, ...]
    since: str | None
    js_distance: float | None
    p_value: float | None

    @staticmethod
    def from_json(facts: JsonReader) -> FeatureFacts:
        """The facts of an object of the document's `features`."""
        edges = facts.get_number_list("edges")
        bins, missing = _read_bins(facts, edges)
        pairs = {"unseen": facts.get_number_list("unseen")}
        unseen = pairs["unseen"]
        return FeatureFacts(
            name=facts.get_text("feature") or "a feature",
            severity=read_severity(facts),
            psi=facts.get_number("psi"),
            limit=facts.get_number("limit"),
            chance=facts.get_number("chance"),
            meaning=facts.get_text("meaning") or "",
            reason=facts.get_text("reason") or "",
            numeric=facts.get_text("kind") == "numeric",
            bins=bins,
            missing=missing,
            unseen=(unseen[0], unseen[1]) if len(unseen) == 2 else None,
            timeline=tuple(map(parse_number, facts.get_list("timeline"))),
            since=facts.get_text("since"),
            js_distance=facts.get_number("js_distance"),
            p_value=facts.get_number("p_value"),
        )

    @property
    def largest_change(self) -> Bin | None:
        """The bin whose share changed most, missing values included; None without bins that have rows."""
        every = [*self.bins, *([self.missing] if self.missing else [])]
        with_change = [each for each in every if each.change]
        return max(with_change, key=lambda each: abs(each.change)) if with_change else None


def _read_bins(facts: JsonReader, edges: Sequence[float]) -> tuple[tuple[Bin, ...], Bin | None]:
    """The bins with rows on either side, and that of missing values; none where the counts do not fit."""
    names = [str(name) for name in facts.get_list("bins")]
    reference, current = _read_counts(facts, "reference"), _read_counts(facts, "current")
    if not names or not len(names) == len(reference) == len(current):
        return (), None
    before, now = sum(reference) or 1, sum(current) or 1
    numeric = facts.get_text("kind") == "numeric"
    has_edges = numeric and names[-1] == MISSING and len(edges) == len(names) - 2
    uppers: list[float | None] = [*edges, None] if has_edges else [None] * (len(names) - 1)
    every = [
        Bin(name, reference[i] / before, current[i] / now, int(current[i]), upper)
        for i, (name, upper) in enumerate(zip(names, [*uppers, None], strict=True))
    ]
    missing = every.pop() if names[-1] == MISSING else None
    if has_edges:
        every = [_name_bin(each, low) for each, low in zip(every, [None, *edges], strict=True)]
    if not numeric:
        every = [each for each in every if each.reference or each.current]
        every.sort(key=lambda each: (each.name == OTHER, -max(each.reference, each.current)))
    has_missing = missing is not None and (missing.reference or missing.current)
    return tuple(every), missing if has_missing else None


def _name_bin(each: Bin, low: float | None) -> Bin:
    """A bin of numbers with a name in words, from the edges beside it."""
    if low is None and each.upper is None:
        name = "any value"
    elif low is None:
        name = f"up to {format_number(each.upper)}"
    elif each.upper is None:
        name = f"above {format_number(low)}"
    else:
        name = f"{format_number(low)} to {format_number(each.upper)}"
    return Bin(name, each.reference, each.current, each.count, each.upper)


def _read_counts(facts: JsonReader, name: str) -> list[float]:
    """Counts of rows by bin; what is no number, or negative, counts as none."""
    return [max(0.0, parse_number(count) or 0.0) for count in facts.get_list(name)]
