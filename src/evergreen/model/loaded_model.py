"""A registered version of a model in memory, ready to predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LoadedModel:
    """A registered version, ready to predict.

    `model` is a CatBoostClassifier or CatBoostRegressor whose inputs are `feature_names` in that order.
    `classes` are the columns of its probabilities (none for regression), and `weights` what an error on each
    class costs (empty: the same, see `model/decision.py`). `run_id` is the MLflow run that it comes from,
    `tags` are those of the version in MLflow, `size_bytes` and `digest` (SHA-256) are of its file. `warnings`
    is what people should know about the version, in sentences; it is in service all the same.
    """

    version: int
    run_id: str
    model: Any
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    weights: tuple[float, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int = 0
    digest: str = ""
    warnings: tuple[str, ...] = ()
