"""Random requests drawn from a declaration: for load tests, probe requests and the OpenAPI examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evergreen.usecase import Feature, UseCase

if TYPE_CHECKING:
    # Not when it runs: the load test imports this module, and the row's module loads pandas and SQLAlchemy.
    from evergreen.store.predictions.prediction_row import InputValue

_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")
# Where a declaration has one bound of a range only, numbers are drawn up to this far from it.
_OPEN_RANGE = 1000.0


def draw_requests(use_case: UseCase, count: int, seed: int) -> list[dict[str, InputValue]]:
    """Draw `count` rows of the form of /predict's `data` within the declared domains; the same for one seed.

    Features that may be null are, in half of the declared share of rows.
    """
    rng = np.random.default_rng(seed)
    columns: dict[str, list[InputValue]] = {}
    for key in use_case.entity.keys:
        numbers = rng.integers(1, 10_000_000, count)
        columns[key.name] = [int(n) if key.dtype == "int" else f"k{n}" for n in numbers]
    for feature in use_case.stored_features:
        values = _draw_values(feature, count, rng)
        if feature.nullable:
            missing = rng.random(count) < feature.max_null_share / 2
            values = [
                None if is_missing else value for value, is_missing in zip(values, missing, strict=True)
            ]
        columns[feature.name] = values
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _draw_values(feature: Feature, count: int, rng: np.random.Generator) -> list[InputValue]:
    if not feature.numeric:
        return [str(value) for value in rng.choice(feature.allowed or _WORDS, count)]
    low, high = feature.minimum, feature.maximum
    if low is None:
        low = (high if high is not None else _OPEN_RANGE / 2) - _OPEN_RANGE
    if high is None:
        high = low + _OPEN_RANGE
    # Beta(2, 3): a hump below the middle, as amounts and counts usually have, and never outside the range.
    numbers = low + rng.beta(2, 3, count) * (high - low)
    if feature.dtype == "int":
        return [int(v) for v in np.clip(np.rint(numbers), np.ceil(low), np.floor(high))]
    return [float(v) for v in np.clip(np.round(numbers, 2), low, high)]
