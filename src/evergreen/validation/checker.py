"""The check of one part's raw batches against its contract; returns the rows that may be loaded.

A part is a feature view or the label. Its contract consists of the declared types and domains, required
values, rules across columns, and limits on the ingest as a whole (`whole_ingest`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.usecase import EVENT_TIME, Feature, FeatureView, Label, Severity, UseCase
from evergreen.validation.casting import TIMESTAMP_TYPE, CastResult, Values, to_plain_objects, to_timestamp
from evergreen.validation.domain_words import NO_VALUE
from evergreen.validation.domains import find_domain_faults
from evergreen.validation.part_columns import (
    build_clean_schema,
    build_missing_column_failure,
    cast_column,
    get_part_name,
    list_declared_columns,
    list_source_columns,
)
from evergreen.validation.report import Failure, RejectedRow, Report
from evergreen.validation.rules import find_rule_breaks
from evergreen.validation.tally import Tally
from evergreen.validation.whole_ingest import ALL_ROWS, WholeIngestChecks

__all__ = ["Checker", "RejectedRow"]

# Examples of a check, at most five different ones, are taken from its first so many rows in a batch.
_EXAMPLE_CANDIDATES = 50


@dataclass(frozen=True)
class _Breach:
    """A check that some rows of a batch (positions) broke.

    `column` is the name in the report; `example_column` the raw column whose values are its examples, "" to
    take the clean values of the columns that `column` lists.
    """

    column: str
    check: str
    severity: Severity
    rows: np.ndarray
    example_column: str = ""


class Checker:
    """The contract of one part, applied to batch after batch.

    `clean` each raw batch in the source's order, then `finish`. `as_of`, the moment of the ingest, is needed
    to check freshness, `usual_rows`, the row count of an ordinary ingest, to check the number of rows;
    without them these checks are left out. Rows that break a row-level check are never in what `clean`
    returns; whether the others may nevertheless be loaded is said by the report.
    """

    def __init__(
        self,
        use_case: UseCase,
        part: FeatureView | Label,
        *,
        as_of: datetime | None = None,
        usual_rows: float | None = None,
    ) -> None:
        self.use_case, self.part = use_case, part
        self.sources = list_source_columns(use_case, part)
        self.schema = build_clean_schema(use_case, part)
        self._declared = list_declared_columns(use_case, part)
        self._row_tally, self._missing_column_tally = Tally(), Tally()
        self._whole = WholeIngestChecks(use_case, part, as_of, usual_rows)
        self._rejected: list[RejectedRow] = []
        self._rows = self._unlabelled = self._bad_rows = 0

    def clean(self, raw: pa.Table) -> pa.Table:
        """The rows of one raw batch that may be loaded, as a clean batch (`schema`), in their order.

        The failures of the others are added up. A label's rows without an outcome yet are left out too.
        """
        present = raw.column_names
        columns = {name: raw[name].combine_chunks() for name in self.sources if name in present}
        return self.clean_columns(columns, raw.num_rows, present)

    def clean_columns(self, raw: Mapping[str, Values], rows: int, present: Sequence[str]) -> pa.Table:
        """`clean` for a batch given as its raw columns by name, of `rows` values each.

        `present` names all columns of the source: the report suggests one of them for a column that is
        missing.
        """
        positions = np.arange(self._rows + 1, self._rows + 1 + rows)
        self._rows += rows
        raw, labelled_rows = self._filter_labelled_rows(raw)
        if labelled_rows is not None:
            positions = positions[labelled_rows]
        missing = [name for name in self.sources if name not in raw]
        for name in missing:
            failure = build_missing_column_failure(name, set(present) - set(self.sources), rows)
            self._missing_column_tally.add(failure)
        clean, breaches = self._cast_columns(raw, len(positions))
        breaches += self._check_rules(clean, raw, breaches, len(positions))
        bad = np.zeros(len(positions), dtype=bool)
        for breach in breaches:
            self._count_breach(breach, raw, clean)
            if breach.severity == "error":
                bad[breach.rows] = True
        if missing:
            return self.schema.empty_table()
        batch = pa.table([clean[name] for name in self.schema.names], schema=self.schema)
        if bad.any():
            self._reject_rows(bad, breaches, raw, positions)
            batch = batch.filter(pa.array(~bad)).combine_chunks()
        self._whole.add(batch)
        return batch

    def take_rejected(self) -> list[RejectedRow]:
        """The rejected rows since the last call; none where the contract allows no partial load."""
        rows, self._rejected = self._rejected, []
        return rows

    def finish(self, added_failures: Sequence[Failure] = (), *, left_out: int = 0) -> Report:
        """The report on all batches, with `added_failures` of the caller.

        `left_out` counts the clean rows that the caller does not load (repetitions, rows of the future).
        Where the contract allows partial loads and their share is not exceeded, row-level errors become
        warnings.
        """
        share = self.part.contract.max_rejected_share
        failures = list(self._row_tally.failures)
        if share and self._bad_rows <= share * (self._rows - self._unlabelled):
            failures = [
                replace(failure, check=f"{failure.check} (row set aside)", severity="warning")
                if failure.severity == "error"
                else failure
                for failure in failures
            ]
        elif share:
            check = f"more than {share:.1%} of the rows break a check"
            failures.append(Failure(ALL_ROWS, check, self._bad_rows))
        failures += [
            *self._missing_column_tally.failures,
            *self._whole.list_failures(self._rows),
            *added_failures,
        ]
        sound = not any(failure.severity == "error" for failure in failures)
        return self._build_report(failures, self._whole.rows - left_out if sound else 0)

    def report_rows(self) -> Report:
        """The report on row-level checks and missing columns alone, each with its declared severity, whatever
        share of rejected rows the contract allows; `kept` counts the clean rows."""
        failures = (*self._row_tally.failures, *self._missing_column_tally.failures)
        return self._build_report(failures, self._whole.rows)

    def _build_report(self, failures: Sequence[Failure], loadable_rows: int) -> Report:
        name = get_part_name(self.part)
        return Report(self.use_case.name, name, self._rows, loadable_rows, tuple(failures), self._bad_rows)

    def _filter_labelled_rows(
        self, raw: Mapping[str, Values]
    ) -> tuple[Mapping[str, Values], np.ndarray | None]:
        """The columns without the rows whose label is not known yet, whatever else these hold or lack, and
        the positions of the rows that remain, None for all."""
        label = self.part
        if not isinstance(label, Label) or label.source_column not in raw:
            return raw, None
        values, faults = _locate_values(cast_column(raw[label.source_column], label))
        labelled = values | faults
        unlabelled = int(len(labelled) - labelled.sum())
        if not unlabelled:
            return raw, None
        self._unlabelled += unlabelled
        self._row_tally.count(label.name, "is not known yet (left out)", unlabelled, (), "warning")
        columns = {name: _filter_values(column, labelled) for name, column in raw.items()}
        return columns, np.flatnonzero(labelled)

    def _cast_columns(
        self, raw: Mapping[str, Values], rows: int
    ) -> tuple[dict[str, pa.Array], list[_Breach]]:
        """Each column as declared, by its declared name, and the checks that its values break. A column that
        is missing in the source has no values."""
        clean: dict[str, pa.Array] = {}
        breaches: list[_Breach] = []
        for name, declaration in self._declared.items():
            source = declaration.source_column
            if source not in raw:
                clean[name] = pa.nulls(rows, self.schema.field(name).type)
                continue
            cast = cast_column(raw[source], declaration)
            clean[name] = cast.values
            breaches += [_Breach(name, fault.check, "error", fault.rows, source) for fault in cast.faults]
            severity = declaration.severity if isinstance(declaration, Feature) else "error"
            if not (isinstance(declaration, Feature) and declaration.nullable):
                breaches += _find_missing_values(name, cast, severity)
            for fault in find_domain_faults(declaration, cast.values):
                breaches.append(_Breach(name, fault.check, severity, fault.rows, source))
        column = self.part.event_time
        if column is None:
            clean[EVENT_TIME] = pa.array(np.zeros(rows, np.int64)).cast(TIMESTAMP_TYPE)
        elif column not in raw:
            clean[EVENT_TIME] = pa.nulls(rows, TIMESTAMP_TYPE)
        else:
            cast = to_timestamp(raw[column])
            clean[EVENT_TIME] = cast.values
            breaches += [_Breach(column, fault.check, "error", fault.rows, column) for fault in cast.faults]
            breaches += _find_missing_values(column, cast, "error")
        return clean, breaches

    def _check_rules(
        self,
        clean: Mapping[str, pa.Array],
        raw: Mapping[str, Values],
        value_breaches: Iterable[_Breach],
        rows: int,
    ) -> list[_Breach]:
        """The rules that rows break, applied to the rows without an error among `value_breaches`: a value
        that could not be cast cannot be given to a rule."""
        rules = [
            rule
            for rule in self.part.contract.rules
            if all(self._declared[name].source_column in raw for name in rule.inputs)
        ]
        if not rules or not rows:
            return []
        sound = np.ones(rows, dtype=bool)
        for breach in value_breaches:
            if breach.severity == "error":
                sound[breach.rows] = False
        positions = np.flatnonzero(sound)
        breaches = []
        for rule in rules if len(positions) else ():
            inputs = {name: _filter_values(clean[name], sound) for name in rule.inputs}
            broken_rows = positions[find_rule_breaks(rule, inputs)]
            if len(broken_rows):
                check = f"breaks the rule {rule.name}" + (f": {rule.meaning}" if rule.meaning else "")
                breaches.append(_Breach(", ".join(rule.inputs), check, rule.severity, broken_rows))
        return breaches

    def _count_breach(
        self, breach: _Breach, raw: Mapping[str, Values], clean: Mapping[str, pa.Array]
    ) -> None:
        """Add a breach to the tally, with examples."""
        examples: Iterable[object] = ()
        rows = breach.rows[:_EXAMPLE_CANDIDATES]
        if breach.example_column:
            examples = to_plain_objects(_take_values(raw[breach.example_column], rows))
        elif breach.check != NO_VALUE:
            names = breach.column.split(", ")
            values = [to_plain_objects(clean[name].take(pa.array(rows))) for name in names]
            examples = [
                ", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True))
                for row in zip(*values, strict=True)
            ]
        self._row_tally.count(breach.column, breach.check, len(breach.rows), examples, breach.severity)

    def _reject_rows(
        self,
        bad: np.ndarray,
        breaches: list[_Breach],
        raw: Mapping[str, Values],
        positions: np.ndarray,
    ) -> None:
        """Count the bad rows; where the contract allows partial loads, keep them with their reasons."""
        bad_rows = np.flatnonzero(bad)
        self._bad_rows += len(bad_rows)
        if not self.part.contract.max_rejected_share:
            return
        reasons: dict[int, list[str]] = {row: [] for row in bad_rows.tolist()}
        for breach in breaches:
            if breach.severity == "error":
                for row in breach.rows.tolist():
                    reasons[row].append(f"{breach.column} {breach.check}")
        values = {name: to_plain_objects(_take_values(column, bad_rows)) for name, column in raw.items()}
        for index, row in enumerate(bad_rows.tolist()):
            content = {name: _format_value(column[index]) for name, column in values.items()}
            self._rejected.append(RejectedRow(int(positions[row]), tuple(reasons[row]), content))


def _find_missing_values(column: str, cast: CastResult, severity: Severity) -> list[_Breach]:
    """A breach of the rows whose value is missing or empty in the source; values at fault are not missing."""
    if not cast.values.null_count:
        return []
    present, faulty = _locate_values(cast)
    rows = np.flatnonzero(~(present | faulty))
    return [_Breach(column, NO_VALUE, severity, rows)] if len(rows) else []


def _locate_values(cast: CastResult) -> tuple[np.ndarray, np.ndarray]:
    """Which rows have a value, and which have one at fault. Shape (rows,), bool."""
    faulty = np.zeros(len(cast.values), dtype=bool)
    for fault in cast.faults:
        faulty[fault.rows] = True
    return pc.is_valid(cast.values).to_numpy(zero_copy_only=False), faulty


def _filter_values(values: Values, mask: np.ndarray) -> Values:
    return values.filter(pa.array(mask)) if isinstance(values, pa.Array) else values[mask]


def _take_values(values: Values, rows: np.ndarray) -> Values:
    return values.take(pa.array(rows)) if isinstance(values, pa.Array) else values[rows]


def _format_value(value: Any) -> str | None:
    return None if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)
