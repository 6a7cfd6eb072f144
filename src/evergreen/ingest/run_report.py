"""What a run's record says of the checks of its rows: a report for each part, or the error that ended the
run.

It is kept as JSON in the column `ingest_run.report`; `RunReport` is its form within the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict, cast

from evergreen.ingest.input_notes import InputsDocument
from evergreen.validation.report import Report, ReportDocument

if TYPE_CHECKING:
    from evergreen.store.records.ingest_run import IngestRun

# Longest error text in a record: a database driver's message holds the whole statement with all values.
_ERROR_CHARACTERS = 4000


class RunColumns(TypedDict, total=False):
    """Columns of `ingest_run`, by name, as `update_ingest` takes them."""

    rows_in: int
    rows_rejected: int
    inputs: InputsDocument
    report: dict[str, ReportDocument] | dict[str, str]
    declaration: str
    code_version: str


@dataclass(frozen=True)
class RunReport:
    """The reports of a run's parts by name, or the text of the error that ended the run before its checks
    did."""

    parts: Mapping[str, Report] = field(default_factory=dict)
    error: str = ""

    @property
    def rejected(self) -> int:
        """How many rows broke a row-level check while the contract lets the others load."""
        return sum(report.rejected for report in self.parts.values())

    def to_columns(self) -> RunColumns:
        """The columns of the run's record that hold this report."""
        if self.error:
            return RunColumns(report={"error": self.error[:_ERROR_CHARACTERS]})
        reports = {name: report.to_json() for name, report in self.parts.items()}
        return RunColumns(report=reports, rows_rejected=self.rejected)


def parse_run_report(run: IngestRun) -> RunReport:
    """The report in a run's record; without parts where nothing was checked yet."""
    document = run.report or {}
    error = document.get("error")
    # A feature view may be called "error": its report is an object.
    if isinstance(error, str):
        return RunReport(error=error)
    parts = cast("Mapping[str, ReportDocument]", document)
    return RunReport({name: Report.from_json(part) for name, part in parts.items()})
