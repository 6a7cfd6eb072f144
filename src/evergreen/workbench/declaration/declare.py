"""A whole use case, made from statistics of a table's columns: views, label, split, gate, drift."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evergreen.errors import UseCaseError
from evergreen.usecase import (
    CATEGORY_CHARACTERS,
    KEY_CHARACTERS,
    PAGE_BYTES,
    ROW_BYTES,
    ROW_NUMBER,
    Between,
    Contract,
    DriftPolicy,
    Entity,
    Feature,
    FeatureView,
    FileSource,
    Floor,
    Gate,
    Key,
    Label,
    Problem,
    Serving,
    Tuning,
    UseCase,
)
from evergreen.workbench.declaration.column_facts import Column
from evergreen.workbench.declaration.declared_features import OmittedColumn, declare_feature, describe_column
from evergreen.workbench.declaration.doubts import find_doubts
from evergreen.workbench.declaration.naming import find_free_name, make_slug, name_columns
from evergreen.workbench.declaration.target import declare_label

# Few trials, and a limit in seconds: on few rows they take seconds, on many each takes long.
_TUNING = Tuning(
    space=(
        Between("depth", 4, 7),
        Between("l2_leaf_reg", 1.0, 10.0, log=True),
        Between("learning_rate", 0.03, 0.2, log=True),
    ),
    trials=8,
    seconds=60.0,
    iterations=400,
)

# Types are inferred too, and may be wrong. Rows that a column cannot hold are set aside, up to a fifth of
# a file: where there are more, it is probably a file of another table.
_CONTRACT = Contract(max_rejected_share=0.2)


@dataclass(frozen=True)
class ColumnRoles:
    """The columns that are `keys` (none: the row number), `target` and `time` ("" for none).

    `problem` is the kind of problem that people chose, None to infer it.
    """

    keys: tuple[str, ...]
    target: str
    time: str = ""
    problem: Problem | None = None


@dataclass(frozen=True)
class Declaration:
    """A use case, comments for its reader by feature, and the columns that became no feature."""

    use_case: UseCase
    comments: Mapping[str, str]
    left_out: tuple[OmittedColumn, ...]


def declare_use_case(
    name: str, source: FileSource, columns: Mapping[str, Column], roles: ColumnRoles, port: int
) -> Declaration:
    """The use case for a table, served at `port`.

    Raises UseCaseError when the target or a key cannot be used, or no other column can be an input.
    """
    role_columns = {*roles.keys, roles.target, roles.time}
    named_first = (*roles.keys, roles.target)
    names = name_columns([*named_first, *(c for c in columns if c not in role_columns)], places=list(columns))
    keys = tuple(_declare_key(columns[column], names[column]) for column in roles.keys) or (
        Key(
            find_free_name("row_no", names.values()),
            "int",
            "Number of the row in its file.",
            column=ROW_NUMBER,
        ),
    )
    event_time = roles.time or None
    label = declare_label(columns[roles.target], names[roles.target], source, event_time, roles.problem)
    features: list[Feature] = []
    comments: dict[str, str] = {}
    left_out: list[OmittedColumn] = []
    for column in (each for each in columns.values() if each.name not in role_columns):
        outcome = declare_feature(column, names[column.name])
        if isinstance(outcome, OmittedColumn):
            left_out.append(outcome)
        else:
            features.append(outcome.feature)
            if outcome.comment:
                comments[outcome.feature.name] = outcome.comment
    features, too_many = _drop_excess_features(features, keys, label)
    left_out += too_many
    inputs = sum(feature.used_by_model for feature in features)
    if not inputs:
        raise UseCaseError(
            f"no column beside {', '.join(sorted(role_columns - {''}))} tells the model anything"
            + (
                f" ({'; '.join(f'{each.column} {each.reason}' for each in left_out[:3])})" if left_out else ""
            ),
            hint=" ".join(find_doubts(columns)) or "give a file with columns whose values return, or numbers",
        )
    rows = columns[roles.target].rows - columns[roles.target].gaps
    use_case = UseCase(
        name=name,
        title=name.replace("_", " ").capitalize(),
        meaning=f'Predicts "{roles.target}" from {inputs} column{"s" if inputs > 1 else ""} of a table.',
        entity=Entity(_name_entity(keys), keys),
        views=(
            FeatureView(
                "facts",
                source,
                tuple(features),
                "What the table says of a row.",
                event_time,
                contract=_CONTRACT,
            ),
        ),
        label=dataclasses.replace(label, contract=_CONTRACT),
        split="time" if event_time else "stratified",
        tuning=_TUNING,
        gate=_declare_gate(label, columns[roles.target], rows),
        drift=DriftPolicy(min_features=min(inputs, 2 + inputs // 10), min_rows=200),
        serving=Serving(port=port),
    )
    return Declaration(use_case, comments, tuple(left_out))


def stratify_holdout(use_case: UseCase) -> UseCase:
    """The same use case with a hold-out drawn from all times."""
    return dataclasses.replace(use_case, split="stratified")


def _declare_key(column: Column, name: str) -> Key:
    """The key of that name. Raises UseCaseError where values are missing, or neither text nor whole."""
    if column.unusable or column.gaps or (column.text and column.empty):
        what = column.unusable or f"has no value in {column.gaps:,} of {column.rows:,} rows"
        raise UseCaseError(
            f"the key {column.name!r} {what}",
            hint="a key identifies every row: choose another column, or leave --key out to use row numbers",
        )
    whole = column.numeric and (column.whole or _all_whole(column))
    if not whole and (not column.text or column.characters > KEY_CHARACTERS):
        what = f"texts of up to {column.characters:,} characters" if column.text else "numbers with fractions"
        raise UseCaseError(
            f"the key {column.name!r} holds {what}",
            hint=f"a key is a whole number or a text of up to {KEY_CHARACTERS} characters",
        )
    meaning = f'Column "{column.name}": {describe_column(column)}.'
    return Key(name, "int" if whole else "text", meaning, column="" if column.name == name else column.name)


def _all_whole(column: Column) -> bool:
    return not column.many and all(float(value).is_integer() for value in column.values)


def _name_entity(keys: Sequence[Key]) -> str:
    """The name of what a row is about, by its key: passenger for passenger_id."""
    first = keys[0]
    if first.column == ROW_NUMBER:
        return "row"
    for ending in ("_id", "_key", "_uuid", "_number", "_no", "_nr"):
        if first.name.endswith(ending):
            return first.name.removesuffix(ending)
    return make_slug(first.name) or "row"


def _declare_gate(label: Label, column: Column, rows: int) -> Gate:
    """The metric for the problem, how far by chance a first model may be behind the baseline, and a floor.

    The floor is what a guess without features reaches: no worse model may go live.
    """
    holdout = max(20.0, 0.2 * rows)
    if label.problem == "regression":
        slack = -_round_to_two_digits(0.4 * column.deviation / math.sqrt(holdout))
        return Gate(
            "rmse", baseline_margin=slack, floors=(Floor("rmse", _round_to_two_digits(column.deviation)),)
        )
    slack = -_round_to_two_digits(min(0.1, max(0.005, 0.4 / math.sqrt(holdout))))
    if label.problem == "binary":
        return Gate("roc_auc", baseline_margin=slack, floors=(Floor("roc_auc", 0.5),))
    commonest = max(column.values.values()) / column.present
    return Gate(
        "accuracy", baseline_margin=slack, floors=(Floor("accuracy", _round_to_two_digits(commonest)),)
    )


def _round_to_two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def _drop_excess_features(
    features: Sequence[Feature], keys: Sequence[Key], label: Label
) -> tuple[list[Feature], list[OmittedColumn]]:
    """As many features as a row of MariaDB holds, and the others.

    Features that the model does not use are dropped first, then the last ones.
    """
    row = sum(4 * KEY_CHARACTERS + 2 for key in keys if key.dtype == "text")
    row += 2 * (4 * CATEGORY_CHARACTERS + 2) * bool(label.classes)
    page = 0
    names: set[str] = set()
    for feature in sorted(features, key=lambda each: not each.used_by_model):
        row_cost = 8 if feature.numeric else 4 * CATEGORY_CHARACTERS + 2 if feature.dtype == "category" else 0
        page_cost = 8 if feature.numeric else 21
        if row + row_cost <= ROW_BYTES and page + page_cost <= PAGE_BYTES:
            row, page = row + row_cost, page + page_cost
            names.add(feature.name)
    reason = "does not fit into a row of the store beside the others"
    dropped = [OmittedColumn(each.source_column, reason) for each in features if each.name not in names]
    return [each for each in features if each.name in names], dropped
