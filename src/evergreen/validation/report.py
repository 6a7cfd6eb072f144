"""The report on one part of an ingest: which checks its rows broke, how often, with a few examples.

Its size is bounded: a million bad rows are one line per check, with at most five examples each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from evergreen.usecase import Severity

MAX_EXAMPLES = 5
_EXAMPLE_LENGTH = 60
_CHECK_LENGTH = 120
_MAX_TABLE_FAILURES = 20


class FailureDocument(TypedDict):
    """A Failure as JSON."""

    column: str
    check: str
    count: int
    examples: Sequence[str]
    severity: Severity


class ReportDocument(TypedDict):
    """A Report as JSON. Reports of earlier versions have no `rejected`."""

    use_case: str
    part: str
    rows: int
    kept: int
    failures: Sequence[FailureDocument]
    rejected: NotRequired[int]


@dataclass(frozen=True)
class Failure:
    """One check that `count` values of a column broke, with up to five of them as examples.

    `severity` "error" stops the load, "warning" does not.
    """

    column: str
    check: str
    count: int
    examples: tuple[str, ...] = ()
    severity: Severity = "error"

    def to_json(self) -> FailureDocument:
        """The fields by name."""
        return {
            "column": self.column,
            "check": self.check,
            "count": self.count,
            "examples": self.examples,
            "severity": self.severity,
        }

    @classmethod
    def from_json(cls, document: FailureDocument) -> Failure:
        """The inverse of `to_json`, also after a trip through JSON."""
        return cls(
            document["column"],
            document["check"],
            document["count"],
            tuple(document["examples"]),
            document["severity"],
        )


def build_failure(
    column: str, check: str, count: int, values: Iterable[object] = (), severity: Severity = "error"
) -> Failure:
    """A Failure whose examples are the first five different `values`, each cut to 60 characters."""
    examples: dict[str, None] = {}
    for value in values:
        text = str(value)
        examples[text if len(text) <= _EXAMPLE_LENGTH else f"{text[:_EXAMPLE_LENGTH]}…"] = None
        if len(examples) == MAX_EXAMPLES:
            break
    return Failure(column, check, int(count), tuple(examples), severity)


def build_duplicate_failure(
    identity: Sequence[str], count: int, examples: Iterable[object] = (), *, differing: bool
) -> Failure:
    """`count` rows whose key and event time (the columns `identity`) another row has too.

    Exact repetitions are left out with a warning. `differing` rows are an error, because it is unknown which
    of them is true.
    """
    column = ", ".join(identity)
    if differing:
        return build_failure(column, "stands in rows that differ (duplicate key)", count, examples)
    return build_failure(
        column, "repeats another row exactly (left out)", count, examples, severity="warning"
    )


def build_correction_failure(identity: Sequence[str], count: int, examples: Iterable[object] = ()) -> Failure:
    """A warning of `count` rows that are left out, because a later file has other values for their key and
    event time (the columns `identity`)."""
    check = "is corrected in a later file, which counts (left out)"
    return build_failure(", ".join(identity), check, count, examples, severity="warning")


@dataclass(frozen=True)
class RejectedRow:
    """A row that broke row-level checks: its number in the source (from 1), the checks, and its raw values
    as texts by column."""

    row: int
    reasons: tuple[str, ...]
    content: dict[str, str | None]


@dataclass(frozen=True)
class Report:
    """The outcome for one part (a feature view, or the label) of a use case.

    `rows` were read, `kept` may be loaded, `rejected` broke a row-level check.
    """

    use_case: str
    part: str
    rows: int
    kept: int
    failures: tuple[Failure, ...] = ()
    rejected: int = 0

    @property
    def errors(self) -> tuple[Failure, ...]:
        """The failures that stop the load."""
        return tuple(failure for failure in self.failures if failure.severity == "error")

    @property
    def ok(self) -> bool:
        """Whether the rows may be loaded."""
        return not self.errors

    def to_json(self) -> ReportDocument:
        """Plain dicts and sequences, for a JSON column or XCom."""
        return {
            "use_case": self.use_case,
            "part": self.part,
            "rows": self.rows,
            "kept": self.kept,
            "failures": tuple(failure.to_json() for failure in self.failures),
            "rejected": self.rejected,
        }

    @classmethod
    def from_json(cls, document: ReportDocument) -> Report:
        """The inverse of `to_json`, also after a trip through JSON."""
        return cls(
            document["use_case"],
            document["part"],
            document["rows"],
            document["kept"],
            tuple(Failure.from_json(failure) for failure in document["failures"]),
            document.get("rejected", 0),
        )

    def as_table(self) -> str:
        """A plain-text table with a line for each of the first 20 failures, errors first."""
        head = f"{self.use_case}, {self.part}: {self.rows:,} rows in, {self.kept:,} kept"
        if self.rejected:
            head += f", {self.rejected:,} rejected"
        if not self.failures:
            return f"{head}, nothing to object to"
        failures = sorted(self.failures, key=lambda failure: (failure.severity != "error", -failure.count))
        rows = [("", "column", "check", "values", "examples")]
        rows += [
            (
                failure.severity,
                failure.column,
                failure.check if len(failure.check) <= _CHECK_LENGTH else f"{failure.check[:_CHECK_LENGTH]}…",
                f"{failure.count:,}",
                ", ".join(map(repr, failure.examples)),
            )
            for failure in failures[:_MAX_TABLE_FAILURES]
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            "  ".join(
                [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]
            ).rstrip()
            for row in rows
        ]
        if len(failures) > _MAX_TABLE_FAILURES:
            lines.append(f"... and {len(failures) - _MAX_TABLE_FAILURES} more")
        return "\n".join([head, *lines])
