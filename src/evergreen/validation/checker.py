"""Checks the raw batches of one part against its contract, and hands back the rows that may be loaded."""

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
from evergreen.validation.domains import build_domain_checks, find_domain_faults, find_rule_breaks
from evergreen.validation.part_columns import (
    build_clean_schema,
    build_missing_column_failure,
    cast_column,
    get_part_name,
    list_declared_columns,
    list_source_columns,
)
from evergreen.validation.report import Failure, RejectedRow, Report
from evergreen.validation.tally import Tally
from evergreen.validation.whole import ALL_ROWS, WholeIngestChecks

__all__ = ["Checker", "RejectedRow"]

# Among so many values that break a check, five different ones are looked for.
_EXAMPLE_CANDIDATES = 50


@dataclass(frozen=True)
class _Breach:
    """A check that some rows of a batch (positions) broke; `shown`: the column that says so best."""

    column: str
    check: str
    severity: Severity
    rows: np.ndarray
    shown: str = ""


class Checker:
    """The contract of one part, applied to batch after batch.

    `clean` each raw batch in the source's order, then `finish`. `as_of` (when the ingest is) is needed for
    freshness, `usual_rows` (an ordinary ingest's count) for the row count; without them these are not judged.
    Rows that break a row-level check are always left out of what `clean` returns; whether the others may
    nevertheless be loaded is the report's to say.
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
        self._checks = {name: build_domain_checks(what) for name, what in self._declared.items()}
        # What rows break, and what whole batches lack.
        self._tally, self._lacking = Tally(), Tally()
        self._whole = WholeIngestChecks(use_case, part, as_of, usual_rows)
        self._rejected: list[RejectedRow] = []
        self._rows = self._unlabelled = self._bad_rows = 0

    def clean(self, raw: pa.Table) -> pa.Table:
        """The rows of one raw batch that may be loaded, as a clean batch (`schema`), in their order.

        Counts what is wrong with the others. A label's rows without an outcome yet are left out too.
        """
        present = raw.column_names
        columns = {name: raw[name].combine_chunks() for name in self.sources if name in present}
        return self.clean_columns(columns, raw.num_rows, present)

    def clean_columns(self, columns: Mapping[str, Values], rows: int, present: Sequence[str]) -> pa.Table:
        """`clean` for columns one by one; `present`: all that the source has, to name the nearest."""
        before = self._rows
        self._rows += rows
        positions = np.arange(before + 1, before + 1 + rows)
        columns, known = self._labelled(columns)
        if known is not None:
            positions = positions[known]
        missing = [name for name in self.sources if name not in columns]
        for name in missing:
            self._lacking.add(build_missing_column_failure(name, set(present) - set(self.sources), rows))
        made, breaches = self._cast(columns, len(positions))
        breaches += self._rules(made, columns, breaches, len(positions))
        bad = np.zeros(len(positions), dtype=bool)
        for breach in breaches:
            self._tell(breach, columns, made)
            if breach.severity == "error":
                bad[breach.rows] = True
        if missing:
            return self.schema.empty_table()
        clean = pa.table([made[name] for name in self.schema.names], schema=self.schema)
        if bad.any():
            self._reject(bad, breaches, columns, positions)
            clean = clean.filter(pa.array(~bad)).combine_chunks()
        self._whole.add(clean)
        return clean

    def take_rejected(self) -> list[RejectedRow]:
        """The rejected rows since the last call; none where the contract allows no partial load."""
        taken, self._rejected = self._rejected, []
        return taken

    def finish(self, more: Sequence[Failure] = (), *, left_out: int = 0) -> Report:
        """The report on all batches, with `more` failures that the caller found.

        `left_out`: how many clean rows the caller does not load (repetitions, rows of the future). With a
        contract that allows partial loads, what only set rows aside is a warning.
        """
        share = self.part.contract.max_rejected_share
        failures = list(self._tally.failures)
        if share and self._bad_rows <= share * (self._rows - self._unlabelled):
            failures = [
                replace(found, check=f"{found.check} (row set aside)", severity="warning")
                if found.severity == "error"
                else found
                for found in failures
            ]
        elif share:
            check = f"more than {share:.1%} of the rows break a check"
            failures.append(Failure(ALL_ROWS, check, self._bad_rows))
        failures += [*self._lacking.failures, *self._whole.failures(self._rows), *more]
        sound = not any(found.severity == "error" for found in failures)
        kept = self._whole.rows - left_out if sound else 0
        name = get_part_name(self.part)
        return Report(self.use_case.name, name, self._rows, kept, tuple(failures), self._bad_rows)

    def report_rows(self) -> Report:
        """The report on what rows break, each check with its declared severity, whatever share of them the
        contract lets load; `kept` counts the clean rows."""
        failures = (*self._tally.failures, *self._lacking.failures)
        name = get_part_name(self.part)
        return Report(self.use_case.name, name, self._rows, self._whole.rows, failures, self._bad_rows)

    def _labelled(self, columns: Mapping[str, Values]) -> tuple[Mapping[str, Values], np.ndarray | None]:
        """Without the rows whose label is not known yet, whatever else they hold or lack; and which rows
        remain (positions), None for all."""
        label = self.part
        if not isinstance(label, Label) or label.source_column not in columns:
            return columns, None
        values, faults = _locate_values(cast_column(columns[label.source_column], label))
        known = values | faults
        unknown = int(len(known) - known.sum())
        if not unknown:
            return columns, None
        self._unlabelled += unknown
        self._tally.count(label.name, "is not known yet (left out)", unknown, (), "warning")
        return {name: _filter_values(column, known) for name, column in columns.items()}, np.flatnonzero(
            known
        )

    def _cast(self, columns: Mapping[str, Values], rows: int) -> tuple[dict[str, pa.Array], list[_Breach]]:
        """Each column as declared, and what its values break. A column that is not there is all missing."""
        made: dict[str, pa.Array] = {}
        breaches: list[_Breach] = []
        for name, what in self._declared.items():
            source = what.source_column
            if source not in columns:
                made[name] = pa.nulls(rows, self.schema.field(name).type)
                continue
            cast = cast_column(columns[source], what)
            made[name] = cast.values
            breaches += [_Breach(name, fault.check, "error", fault.rows, source) for fault in cast.faults]
            severity = what.severity if isinstance(what, Feature) else "error"
            if not (isinstance(what, Feature) and what.nullable):
                breaches += _find_missing_values(name, cast, severity)
            for fault in find_domain_faults(self._checks[name], cast.values):
                breaches.append(_Breach(name, fault.check, severity, fault.rows, source))
        column = self.part.event_time
        if column is None:
            made[EVENT_TIME] = pa.array(np.zeros(rows, np.int64)).cast(TIMESTAMP_TYPE)
        elif column not in columns:
            made[EVENT_TIME] = pa.nulls(rows, TIMESTAMP_TYPE)
        else:
            cast = to_timestamp(columns[column])
            made[EVENT_TIME] = cast.values
            breaches += [_Breach(column, fault.check, "error", fault.rows, column) for fault in cast.faults]
            breaches += _find_missing_values(column, cast, "error")
        return made, breaches

    def _rules(
        self, made: Mapping[str, pa.Array], columns: Mapping[str, Values], found: list[_Breach], rows: int
    ) -> list[_Breach]:
        """The rules that rows break whose values are sound: a rule cannot judge what is no value."""
        rules = [
            rule
            for rule in self.part.contract.rules
            if all(self._declared[name].source_column in columns for name in rule.inputs)
        ]
        if not rules or not rows:
            return []
        sound = np.ones(rows, dtype=bool)
        for breach in found:
            if breach.severity == "error":
                sound[breach.rows] = False
        at = np.flatnonzero(sound)
        breaches = []
        for rule in rules if len(at) else ():
            inputs = {name: _filter_values(made[name], sound) for name in rule.inputs}
            wrong = at[find_rule_breaks(rule, inputs)]
            if len(wrong):
                check = f"breaks the rule {rule.name}" + (f": {rule.meaning}" if rule.meaning else "")
                breaches.append(_Breach(", ".join(rule.inputs), check, rule.severity, wrong))
        return breaches

    def _tell(self, breach: _Breach, columns: Mapping[str, Values], made: Mapping[str, pa.Array]) -> None:
        examples: Iterable[object] = ()
        rows = breach.rows[:_EXAMPLE_CANDIDATES]
        if breach.shown:
            examples = to_plain_objects(_take_values(columns[breach.shown], rows))
        elif breach.check != NO_VALUE:
            names = breach.column.split(", ")
            values = [to_plain_objects(made[name].take(pa.array(rows))) for name in names]
            examples = [
                ", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True))
                for row in zip(*values, strict=True)
            ]
        self._tally.count(breach.column, breach.check, len(breach.rows), examples, breach.severity)

    def _reject(
        self,
        bad: np.ndarray,
        breaches: list[_Breach],
        columns: Mapping[str, Values],
        positions: np.ndarray,
    ) -> None:
        """Count the bad rows; where they are to be set aside, keep them with their reasons."""
        at = np.flatnonzero(bad)
        self._bad_rows += len(at)
        if not self.part.contract.max_rejected_share:
            return
        reasons: dict[int, list[str]] = {row: [] for row in at.tolist()}
        for breach in breaches:
            if breach.severity == "error":
                for row in breach.rows.tolist():
                    reasons[row].append(f"{breach.column} {breach.check}")
        content = {name: to_plain_objects(_take_values(column, at)) for name, column in columns.items()}
        for index, row in enumerate(at.tolist()):
            held = {name: _format_value(values[index]) for name, values in content.items()}
            self._rejected.append(RejectedRow(int(positions[row]), tuple(reasons[row]), held))


def _find_missing_values(column: str, cast: CastResult, severity: Severity) -> list[_Breach]:
    """Where a value is missing that its source did not give, or gave as nothing."""
    if not cast.values.null_count:
        return []
    present, faulty = _locate_values(cast)
    rows = np.flatnonzero(~(present | faulty))
    return [_Breach(column, NO_VALUE, severity, rows)] if len(rows) else []


def _locate_values(cast: CastResult) -> tuple[np.ndarray, np.ndarray]:
    """Where there is a value, and where there is one at fault. Shape (rows,), bool."""
    faulty = np.zeros(len(cast.values), dtype=bool)
    for fault in cast.faults:
        faulty[fault.rows] = True
    return pc.is_valid(cast.values).to_numpy(zero_copy_only=False), faulty


def _filter_values(values: Values, chosen: np.ndarray) -> Values:
    return values.filter(pa.array(chosen)) if isinstance(values, pa.Array) else values[chosen]


def _take_values(values: Values, rows: np.ndarray) -> Values:
    return values.take(pa.array(rows)) if isinstance(values, pa.Array) else values[rows]


def _format_value(value: Any) -> str | None:
    return None if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)
