"""A hold-out that can judge a model: tried on the table itself before the declaration is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen.errors import NotEnoughData
from evergreen.usecase import EVENT_TIME, TIMELESS, UseCase
from evergreen.workbench.declaration.column_facts import Column
from evergreen.workbench.declaration.declare import ColumnRoles, Declaration, stratify_holdout
from evergreen.workbench.declaration.table_facts import Table

if TYPE_CHECKING:
    import pandas as pd


def choose_fair_split(made: Declaration, table: Table, chosen: ColumnRoles) -> tuple[Declaration, list[str]]:
    """A split whose two sides a model can be judged with, tried on a sample; and what to tell about it."""
    frame = _build_labelled_sample(made.use_case, table, chosen)
    fault = _find_split_fault(made.use_case, frame)
    if fault is None:
        return made, []
    drawn = stratify_holdout(made.use_case)
    if made.use_case.split == "time" and _find_split_fault(drawn, frame) is None:
        note = (
            f'The hold-out is drawn from all times (split="stratified"), because of its newest rows {fault}.'
        )
        return Declaration(drawn, made.comments, made.left_out), [note]
    return made, [f"Not enough to train on yet: {fault}."]


def describe_target(use_case: UseCase, column: Column) -> list[str]:
    if use_case.problem != "regression" or column.many or not column.whole or len(column.values) > 20:
        return []
    shown = ", ".join(sorted(column.values, key=float))
    return [f'"{column.name}" ({shown}) is predicted as a number; with --problem multiclass as classes.']


def _find_split_fault(use_case: UseCase, frame: pd.DataFrame) -> str | None:
    from evergreen.training.data.split import split_for_validation, split_training_set

    try:
        split_for_validation(use_case, frame[split_training_set(use_case, frame)[0].train])
    except NotEnoughData as error:
        return error.message
    return None


def _build_labelled_sample(use_case: UseCase, table: Table, chosen: ColumnRoles) -> pd.DataFrame:
    """The sample's labelled rows as the training room sees them: keys, event time, label."""
    import numpy as np
    import pandas as pd

    sample = table.sample(chosen.target, *([chosen.time] if chosen.time else []))
    target = sample[chosen.target]
    if use_case.label.classes:
        texts = target.map(lambda v: str(int(v)) if isinstance(v, float) and v.is_integer() else str(v))
        label = texts.str.strip().astype(object).where(target.notna())
        known = label.isin(use_case.label.classes)
    else:
        label = pd.to_numeric(target, errors="coerce").astype(np.float64)
        known = label.notna()
    times = (
        pd.to_datetime(sample[chosen.time].astype(str), utc=True, format="ISO8601", errors="coerce")
        if chosen.time
        else pd.Series(pd.Timestamp(TIMELESS), index=sample.index)
    )
    frame = pd.DataFrame(
        {
            **{name: np.arange(len(sample)) for name in use_case.entity.key_names},
            EVENT_TIME: times.astype("datetime64[us, UTC]"),
            use_case.label.name: label,
        }
    )
    return frame[known & frame[EVENT_TIME].notna()].reset_index(drop=True)
