"""The split of a new use case, tried on its table: the hold-out must have what judging a model needs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evergreen.errors import NotEnoughData
from evergreen.training.data.split import split_for_validation, split_training_set
from evergreen.usecase import EVENT_TIME, TIMELESS, UseCase
from evergreen.workbench.declaration.column_facts import Column
from evergreen.workbench.declaration.declare import ColumnRoles, Declaration, stratify_holdout
from evergreen.workbench.declaration.table_facts import Table


def choose_fair_split(
    declaration: Declaration, table: Table, roles: ColumnRoles
) -> tuple[Declaration, list[str]]:
    """The declaration with a split that a model can be trained and judged with, and notes about the choice.

    The declared split is tried on a sample of the table. A split by time that leaves a side without enough
    rows or classes becomes a stratified one.
    """
    frame = _build_labelled_sample(declaration.use_case, table, roles)
    fault = _find_split_fault(declaration.use_case, frame)
    if fault is None:
        return declaration, []
    stratified = stratify_holdout(declaration.use_case)
    if declaration.use_case.split == "time" and _find_split_fault(stratified, frame) is None:
        note = (
            f'The hold-out is drawn from all times (split="stratified"), because of its newest rows {fault}.'
        )
        return Declaration(stratified, declaration.comments, declaration.left_out), [note]
    return declaration, [f"Not enough to train on yet: {fault}."]


def describe_target(use_case: UseCase, column: Column) -> list[str]:
    """A note for a target of few whole numbers, which might be meant as classes."""
    if use_case.problem != "regression" or column.many or not column.whole or len(column.values) > 20:
        return []
    values = ", ".join(sorted(column.values, key=float))
    return [f'"{column.name}" ({values}) is predicted as a number; with --problem multiclass as classes.']


def _find_split_fault(use_case: UseCase, frame: pd.DataFrame) -> str | None:
    try:
        split_for_validation(use_case, frame[split_training_set(use_case, frame)[0].train])
    except NotEnoughData as error:
        return error.message
    return None


def _build_labelled_sample(use_case: UseCase, table: Table, roles: ColumnRoles) -> pd.DataFrame:
    """The sample's labelled rows in the form of a training set: keys, event time, label."""
    sample = table.sample(roles.target, *([roles.time] if roles.time else []))
    target = sample[roles.target]
    if use_case.label.classes:
        texts = target.map(lambda v: str(int(v)) if isinstance(v, float) and v.is_integer() else str(v))
        label = texts.str.strip().astype(object).where(target.notna())
        has_label = label.isin(use_case.label.classes)
    else:
        label = pd.to_numeric(target, errors="coerce").astype(np.float64)
        has_label = label.notna()
    times = (
        pd.to_datetime(sample[roles.time].astype(str), utc=True, format="ISO8601", errors="coerce")
        if roles.time
        else pd.Series(pd.Timestamp(TIMELESS), index=sample.index)
    )
    frame = pd.DataFrame(
        {
            **{name: np.arange(len(sample)) for name in use_case.entity.key_names},
            EVENT_TIME: times.astype("datetime64[us, UTC]"),
            use_case.label.name: label,
        }
    )
    return frame[has_label & frame[EVENT_TIME].notna()].reset_index(drop=True)
