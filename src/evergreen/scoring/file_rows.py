"""The rows of a file to score: each judged by itself, as an ingest and the service judge its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.errors import ValidationFailed
from evergreen.usecase import Contract, FeatureView, UseCase

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.validation.report import Failure, Report


@dataclass(frozen=True)
class FileRows:
    """Keys and stored features of all rows, in the file's order (index: the position, from 0).

    `refusals` has for each refused row, by position, why; of such a row `frame` holds what could be read.
    `reports`, one by view, count what rows break: errors refused them, warnings did not.
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
        """What values break that were scored all the same."""
        return [each for report in self.reports for each in report.failures if each.severity == "warning"]


def judge_rows(use_case: UseCase, raw: pd.DataFrame, path: Path) -> FileRows:
    """Judge each row of a raw frame with the source's column names.

    Raises ValidationFailed when no row can be judged, because the file lacks a column.
    """
    import pandas as pd

    from evergreen.validation.contract import extract_readable_values, validate_rows

    views = [_drop_source_checks(view) for view in use_case.views]
    judged = [validate_rows(use_case, view, raw) for view in views]
    reports = [report for _, _, report in judged]
    if any(len(clean) + len(rejected) < len(raw) for clean, rejected, _ in judged):
        raise build_broken_file_error(use_case, path, reports)
    reasons: dict[int, dict[str, None]] = {}
    for _, rejected, _ in judged:
        for row in rejected:
            reasons.setdefault(row.row - 1, {}).update(dict.fromkeys(row.reasons))
    refused = sorted(reasons)
    frame = _join_views(use_case, [clean.drop(index=refused, errors="ignore") for clean, _, _ in judged])
    if refused:
        rows = raw.iloc[refused].set_axis(refused)
        others = _join_views(use_case, [extract_readable_values(use_case, view, rows) for view in views])
        frame = pd.concat([frame, others]).sort_index() if len(frame) else others
    return FileRows(frame, {row: "; ".join(reasons[row]) for row in refused}, reports)


def build_broken_file_error(
    use_case: UseCase, path: Path, reports: Sequence[Report], *, otherwise: str = ""
) -> ValidationFailed:
    """The error for a file of which nothing is scored; `otherwise` is what else its reader may do."""
    tables = "\n\n".join(report.as_table() for report in reports if not report.ok)
    return ValidationFailed(
        f"{path} breaks the contract of {use_case.name}; nothing was scored\n{tables}",
        hint=f"mend the file{otherwise}; the columns are those of the use case's sources",
    )


def _join_views(use_case: UseCase, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The keys of the first view's frame, and the features of each."""
    import pandas as pd

    keys = frames[0][list(use_case.entity.key_names)]
    features = [frame[list(view.feature_names)] for view, frame in zip(use_case.views, frames, strict=True)]
    return pd.concat([keys, *features], axis=1)


def _drop_source_checks(view: FeatureView) -> FeatureView:
    """The view without its event time (these rows are true now) and without what says something about a
    source and nothing about a few rows: shares of nulls and rejections, uniqueness, freshness."""
    features = tuple(
        replace(f, unique=False, max_null_share=1.0 if f.nullable else 0.0) for f in view.features
    )
    contract = Contract(rules=view.contract.rules)
    return replace(view, event_time=None, max_age=None, features=features, contract=contract)
