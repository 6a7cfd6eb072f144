"""The rows of a file to score, each checked against the contract by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from evergreen.errors import ValidationFailed
from evergreen.usecase import Contract, FeatureView, UseCase
from evergreen.validation.contract import extract_readable_values, validate_rows
from evergreen.validation.report import Failure, Report


@dataclass(frozen=True)
class FileRows:
    """The rows of a file after the check of their values.

    `frame` has the keys and stored features of all rows in the file's order (index: the position, from 0).
    `refusals` maps the position of each refused row to the reason; of such a row `frame` holds the values
    that could be read. `reports`, one for each view, count the broken checks: those with the severity "error"
    refused a row, those with "warning" did not.
    """

    frame: pd.DataFrame
    refusals: Mapping[int, str]
    reports: Sequence[Report]

    @property
    def sound(self) -> pd.DataFrame:
        """The rows that may be scored."""
        return self.frame.drop(index=list(self.refusals)) if self.refusals else self.frame

    @property
    def warnings(self) -> list[Failure]:
        """The broken checks that refuse no row."""
        return [each for report in self.reports for each in report.failures if each.severity == "warning"]


def judge_rows(use_case: UseCase, raw: pd.DataFrame, path: Path) -> FileRows:
    """Check each row of a frame of raw values, whose columns have the source's names.

    Raises ValidationFailed when no row can be judged, because the file lacks a column.
    """
    views = [_drop_source_checks(view) for view in use_case.views]
    verdicts = [validate_rows(use_case, view, raw) for view in views]
    reports = [report for _, _, report in verdicts]
    if any(len(clean) + len(faulty_rows) < len(raw) for clean, faulty_rows, _ in verdicts):
        raise build_broken_file_error(use_case, path, reports)
    reasons: dict[int, dict[str, None]] = {}
    for _, faulty_rows, _ in verdicts:
        for row in faulty_rows:
            reasons.setdefault(row.row - 1, {}).update(dict.fromkeys(row.reasons))
    refused_positions = sorted(reasons)
    frame = _join_views(
        use_case, [clean.drop(index=refused_positions, errors="ignore") for clean, _, _ in verdicts]
    )
    if refused_positions:
        rows = raw.iloc[refused_positions].set_axis(refused_positions)
        others = _join_views(use_case, [extract_readable_values(use_case, view, rows) for view in views])
        frame = pd.concat([frame, others]).sort_index() if len(frame) else others
    return FileRows(frame, {row: "; ".join(reasons[row]) for row in refused_positions}, reports)


def build_broken_file_error(
    use_case: UseCase, path: Path, reports: Sequence[Report], *, otherwise: str = ""
) -> ValidationFailed:
    """The error for a file of which nothing is scored; `otherwise` is added to the hint."""
    tables = "\n\n".join(report.as_table() for report in reports if not report.ok)
    return ValidationFailed(
        f"{path} breaks the contract of {use_case.name}; nothing was scored\n{tables}",
        hint=f"mend the file{otherwise}; the columns are those of the use case's sources",
    )


def _join_views(use_case: UseCase, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The keys of the first view's frame, and the features of each."""
    keys = frames[0][list(use_case.entity.key_names)]
    features = [frame[list(view.feature_names)] for view, frame in zip(use_case.views, frames, strict=True)]
    return pd.concat([keys, *features], axis=1)


def _drop_source_checks(view: FeatureView) -> FeatureView:
    """The view without the checks of a source as a whole: shares of nulls and rejections, uniqueness, age.

    It has no event time either, because the rows of a file to score are true now.
    """
    features = tuple(
        replace(f, unique=False, max_null_share=1.0 if f.nullable else 0.0) for f in view.features
    )
    contract = Contract(rules=view.contract.rules)
    return replace(view, event_time=None, max_age=None, features=features, contract=contract)
