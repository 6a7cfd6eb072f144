"""What validation found: bounded, so that a million bad rows still read as a few lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evergreen.usecase import Severity

MAX_EXAMPLES = 5
_EXAMPLE_LENGTH = 60
_CHECK_LENGTH = 120
_FAILURES_SHOWN = 20


@dataclass(frozen=True)
class Failure:
    """One check that `count` values of a column broke, with up to five of them. A warning stops nothing."""

    column: str
    check: str
    count: int
    examples: tuple[str, ...] = ()
    severity: Severity = "error"


def build_failure(
    column: str, check: str, count: int, values: Iterable[object] = (), severity: Severity = "error"
) -> Failure:
    """A Failure with the first five different values as short texts."""
    shown: dict[str, None] = {}
    for value in values:
        text = str(value)
        shown[text if len(text) <= _EXAMPLE_LENGTH else f"{text[:_EXAMPLE_LENGTH]}…"] = None
        if len(shown) == MAX_EXAMPLES:
            break
    return Failure(column, check, int(count), tuple(shown), severity)


def build_duplicate_failure(
    identity: Sequence[str], count: int, examples: Iterable[object] = (), *, differing: bool
) -> Failure:
    """`count` rows with the key and event time of another row: exact repetitions, which are left out, or
    `differing` ones, of which nobody knows which is true."""
    column = ", ".join(identity)
    if differing:
        return build_failure(column, "stands in rows that differ (duplicate key)", count, examples)
    return build_failure(
        column, "repeats another row exactly (left out)", count, examples, severity="warning"
    )


def build_correction_failure(identity: Sequence[str], count: int, examples: Iterable[object] = ()) -> Failure:
    """`count` rows, left out, whose key and event time a later file gives again with other values."""
    check = "is corrected in a later file, which counts (left out)"
    return build_failure(", ".join(identity), check, count, examples, severity="warning")


@dataclass(frozen=True)
class RejectedRow:
    """A row that broke row-level checks: its number (1 is the first row read), why, and what it held."""

    row: int
    reasons: tuple[str, ...]
    content: dict[str, str | None]


@dataclass(frozen=True)
class Report:
    """The outcome for one part (a feature view, or the label) of a use case: `rows` came in, `kept` go on,
    `rejected` broke a row-level check."""

    use_case: str
    part: str
    rows: int
    kept: int
    failures: tuple[Failure, ...] = ()
    rejected: int = 0

    @property
    def errors(self) -> tuple[Failure, ...]:
        return tuple(found for found in self.failures if found.severity == "error")

    @property
    def ok(self) -> bool:
        """Whether the rows may be loaded."""
        return not self.errors

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists, for a JSON column or XCom."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        """The inverse of `to_json`, also after a trip through JSON."""
        failures = tuple(
            Failure(**{**item, "examples": tuple(item["examples"])}) for item in data["failures"]
        )
        return cls(**{**data, "failures": failures})

    def as_table(self) -> str:
        """A plain-text table, errors first, of 20 lines at most."""
        head = f"{self.use_case}, {self.part}: {self.rows:,} rows in, {self.kept:,} kept"
        if self.rejected:
            head += f", {self.rejected:,} rejected"
        if not self.failures:
            return f"{head}, nothing to object to"
        ordered = sorted(self.failures, key=lambda found: (found.severity != "error", -found.count))
        rows = [("", "column", "check", "values", "examples")]
        rows += [
            (
                found.severity,
                found.column,
                found.check if len(found.check) <= _CHECK_LENGTH else f"{found.check[:_CHECK_LENGTH]}…",
                f"{found.count:,}",
                ", ".join(map(repr, found.examples)),
            )
            for found in ordered[:_FAILURES_SHOWN]
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            "  ".join(
                [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]
            ).rstrip()
            for row in rows
        ]
        if len(ordered) > _FAILURES_SHOWN:
            lines.append(f"... and {len(ordered) - _FAILURES_SHOWN} more")
        return "\n".join([head, *lines])
