"""A training set as arrays, divided into the rows to fit on and the rows to judge on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.store.history.training_set import TrainingSet
from evergreen.training.data.checks import check_inputs
from evergreen.training.data.split import Cut, split_training_set
from evergreen.usecase import UseCase


@dataclass(frozen=True)
class TrainingRows:
    """A training set as arrays: `columns` of stored and on-demand features, `label`, and its `cuts`.

    All of one length n; `label` holds class names (object) or float64. There is one cut, or one per fold.
    """

    frame: pd.DataFrame
    columns: dict[str, np.ndarray]
    label: np.ndarray
    cuts: tuple[Cut, ...]


def prepare_rows(use_case: UseCase, training_set: TrainingSet) -> TrainingRows:
    """Compute the on-demand features of a training set and divide it. Raises NotEnoughData."""
    frame = training_set.frame
    label = frame[use_case.label.name]
    columns = add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
    check_inputs(use_case, columns)
    return TrainingRows(
        frame=frame,
        columns=columns,
        label=label.to_numpy(dtype=object if use_case.label.classes else np.float64),
        cuts=split_training_set(use_case, frame),
    )
