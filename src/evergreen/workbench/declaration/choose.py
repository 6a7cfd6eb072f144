"""The roles of columns: key, target and time, as people name them, or inferred from names and values."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from evergreen.errors import UseCaseError
from evergreen.sources.read import SourceInput
from evergreen.usecase import Problem
from evergreen.workbench.declaration.column_facts import Column
from evergreen.workbench.declaration.declare import ColumnRoles
from evergreen.workbench.declaration.naming import looks_like_id
from evergreen.workbench.declaration.table_facts import Table, count_repeated_rows

# A text that identifies a row, such as a name or a code, has at most so many characters.
_SHORT = 40


def choose_columns(
    table: Table,
    inputs: Sequence[SourceInput],
    keys: Sequence[str],
    target: str,
    time: str,
    problem: Problem | None,
) -> tuple[ColumnRoles, list[str]]:
    """The columns that are key, target and time, and notes about the choice.

    `keys`, `target` and `time` are names of columns as people gave them; `keys` may be empty and `time` "".
    Raises UseCaseError when a column is missing, has two roles, or does not suit its role.
    """
    for what, column in (*(("--key", key) for key in keys), ("--target", target), ("--time", time)):
        if column and column not in table.columns:
            raise _build_missing_column_error(what, column, table.columns)
    roles = [*keys, target, *([time] if time else [])]
    repeated = sorted({column for column in roles if roles.count(column) > 1})
    if repeated:
        raise UseCaseError(
            f"the column {', '.join(map(repr, repeated))} cannot be two of key, target and time",
            hint="give each of --key, --target and --time a column of its own",
        )
    if time:
        _check_time(table.columns[time])
    notes: list[str] = []
    moments = [each.name for each in table.columns.values() if each.moment and each.name not in roles]
    if moments and not time:
        notes.append(f'"{moments[0]}" looks like a time; with --time it says what was known when.')
    if keys:
        repeats = count_repeated_rows(inputs, (*keys, *([time] if time else [])))
        if repeats:
            raise UseCaseError(
                f"{', '.join((*keys, *([time] if time else [])))} does not identify a row:"
                f" {repeats:,} rows differ from another one of the same key",
                hint="name the columns that do, each with --key"
                + ("" if time else ", or the column of their time with --time"),
            )
        return ColumnRoles(tuple(keys), target, time, problem), notes
    key = _find_key(table, inputs, target, time)
    if key:
        notes.append(f'"{key}" was taken for the key, by its name; another one is chosen with --key.')
    else:
        if len(inputs) > 1:
            raise UseCaseError(
                f"no column names the rows of {len(inputs)} files, and each file counts its own rows",
                hint="say which column identifies a row with --key",
            )
        notes.append(
            "No column names the rows, so a row's number in the file does: new rows belong at its end."
            + _suggest_key(table, inputs, target)
        )
    return ColumnRoles((key,) if key else (), target, time, problem), notes


def _build_missing_column_error(what: str, column: str, columns: Mapping[str, Column]) -> UseCaseError:
    same = [name for name in columns if name.strip().lower() == column.strip().lower()]
    near = same or difflib.get_close_matches(column, list(columns), n=1, cutoff=0.5)
    names = [f"{name[:40]}..." if len(name) > 40 else name for name in list(columns)[:20]]
    some = ", ".join(names) + (" ..." if len(columns) > 20 else "")
    return UseCaseError(
        f"{what}: the table has no column {column!r}",
        hint=(f"did you mean {near[0]!r}? " if near else "") + f"it has {some}",
    )


def _check_time(column: Column) -> None:
    """Raise UseCaseError unless every value is an ISO 8601 time."""
    if column.moment and not column.gaps:
        return
    if column.moment:
        what = f"is missing in {column.gaps:,} of {column.rows:,} rows"
    elif column.numeric:
        what = "holds numbers, which could be seconds, days or years"
    else:
        odd = column.odd.get("time", [])
        what = f"holds {odd[0]!r}, which is no ISO 8601 time" if odd else "holds no times"
    raise UseCaseError(
        f"the time {column.name!r} {what}",
        hint="a time looks like 2026-11-21 or 2026-11-21T08:30:00Z, in every row; leave --time out otherwise",
    )


def _find_key(table: Table, inputs: Sequence[SourceInput], target: str, time: str) -> str:
    """The first column that has the name of a key and identifies the rows; "" if there is none."""
    for column in table.columns.values():
        if column.name in (target, time) or column.gaps or column.empty or column.unusable:
            continue
        fits = column.text or (column.numeric and column.whole)
        if fits and looks_like_id(column.name) and (time or column.distinct):
            identity = (column.name, *([time] if time else []))
            if not count_repeated_rows(inputs, identity, even_exactly=True):
                return column.name
    return ""


def _suggest_key(table: Table, inputs: Sequence[SourceInput], target: str) -> str:
    """A note about the first column that identifies the rows, though its name is not that of a key; or ""."""
    for column in table.columns.values():
        if column.name == target or column.gaps or column.empty or column.unusable or not column.distinct:
            continue
        short = column.text and not column.number and column.characters <= _SHORT
        fits = short or column.code or (column.numeric and column.whole)
        if fits and not count_repeated_rows(inputs, (column.name,), even_exactly=True):
            return (
                f' "{column.name}" is another one in every row: if it names them, say --key "{column.name}".'
            )
    return ""
