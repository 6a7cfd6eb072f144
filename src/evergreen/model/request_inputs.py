"""The model's inputs for the rows of requests.

`on_demand.py` and `matrix.py` build the inputs of tables by columns. A request has few rows, for which an
array per column costs more than the prediction; so here all rows become one array. Both ways give the same
inputs, which a test compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from catboost import Pool

from evergreen.model.matrix import MISSING
from evergreen.model.on_demand import compute_on_demand_values
from evergreen.model.signature import list_model_inputs
from evergreen.store.predictions.prediction_row import InputValue
from evergreen.usecase import UseCase

# The values of one request row, in the order of `list_logged_names`; None is a missing value.
RequestValues: TypeAlias = Sequence[InputValue]


@dataclass(frozen=True, eq=False)
class RequestInputs:
    """What the model sees of n rows.

    `pool` holds the inputs in the order of `list_model_inputs`. `on_demand` has the values of each on-demand
    feature, each of shape (n,): float64 with NaN, or objects of str or None.
    """

    pool: Pool
    on_demand: dict[str, np.ndarray]


class RequestInputBuilder:
    """Builds the inputs of one use case's model."""

    def __init__(self, use_case: UseCase) -> None:
        self._use_case = use_case
        self._key_count = len(use_case.entity.keys)
        stored = use_case.stored_features
        positions = {feature.name: number for number, feature in enumerate(stored)}
        inputs = list_model_inputs(use_case)
        self._on_demand_features = use_case.on_demand_order
        # The stored features that an on-demand feature computes with, as columns.
        used_names = {name for feature in self._on_demand_features for name in feature.inputs}
        self._columns = [
            (name, positions[name], stored[positions[name]].numeric)
            for name in sorted(used_names & set(positions))
        ]
        # Where each input stands in the pool, and where its value comes from.
        self._width = len(inputs)
        from_stored = [(n, positions[f.name]) for n, f in enumerate(inputs) if f.name in positions]
        self._stored_places = [place for place, _ in from_stored]
        self._stored_sources = [source for _, source in from_stored]
        self._computed_places = [(n, f.name) for n, f in enumerate(inputs) if f.name not in positions]
        self._category_places = [n for n, f in enumerate(inputs) if not f.numeric]
        self._number_places = [n for n, f in enumerate(inputs) if f.numeric]

    def build(self, rows: Sequence[RequestValues]) -> RequestInputs:
        """Build the inputs of one row or more. Raises StoreError when an on-demand feature fails."""
        cells: np.ndarray = np.array(rows, dtype=object)[:, self._key_count :]
        columns: dict[str, np.ndarray] = {
            name: cells[:, position].astype(np.float64) if numeric else cells[:, position]
            for name, position, numeric in self._columns
        }
        on_demand = compute_on_demand_values(self._use_case, columns, len(rows))
        inputs: np.ndarray = np.empty((len(rows), self._width), dtype=object)
        inputs[:, self._stored_places] = cells[:, self._stored_sources]
        for place, name in self._computed_places:
            inputs[:, place] = on_demand[name]
        missing = inputs == None  # noqa: E711  element by element
        if missing.any():
            inputs[:, self._number_places] = np.where(
                missing[:, self._number_places], np.nan, inputs[:, self._number_places]
            )
            inputs[:, self._category_places] = np.where(
                missing[:, self._category_places], MISSING, inputs[:, self._category_places]
            )
        return RequestInputs(Pool(inputs, cat_features=self._category_places, thread_count=1), on_demand)
