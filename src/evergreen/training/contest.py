"""The contest: candidate, champion and baseline on the same hold-out.

The hold-out is the newest part of the rows, but a champion trained a day ago was fitted on nearly all of
them: it would know the answers, and no candidate would ever beat it. So where the champion was fitted on
rows of the hold-out, its *hold-out model* (see `training/fit.py`) stands in for it: the same recipe, fitted
on what came before the hold-out of its own training. As time goes on hold-outs only move forward, so it has
not seen these rows either; if one did move back (training as of an earlier date), the verdict's remark says
which share of the hold-out it had seen. That can only favour the champion: a candidate is then rejected
wrongly, never promoted wrongly.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evergreen.errors import SignatureMismatch
from evergreen.registry.champion import champion
from evergreen.registry.models import LoadedModel, load_holdout_model, load_model
from evergreen.settings import Settings
from evergreen.training.evaluation import metrics, scores
from evergreen.training.matrix import Columns
from evergreen.usecase import EVENT_TIME, UseCase

logger = logging.getLogger(__name__)

# Version tags: the newest event time that the registered model, and its hold-out model, were fitted on.
TRAINED_UNTIL = "evergreen.trained_until"
HOLDOUT_TRAINED_UNTIL = "evergreen.holdout_trained_until"
# Version tag: how its rows were split.
SPLIT = "evergreen.split"


@dataclass(frozen=True)
class Rival:
    """The champion's result on a candidate's hold-out. `metrics` is None where it could not take part."""

    version: int | None
    metrics: dict[str, float] | None
    remark: str


def rival(
    settings: Settings, use_case: UseCase, frame: pd.DataFrame, columns: Columns, label: np.ndarray
) -> Rival:
    """How the present champion does on these hold-out rows. `frame` has their event times.

    Without a champion, or with one that no longer fits the declaration, the baseline is the only rival.
    """
    present = champion(settings, use_case.name)
    if present is None:
        return Rival(None, None, "")
    try:
        model, remark = _unprejudiced(settings, use_case, present.version, frame[EVENT_TIME])
    except SignatureMismatch as error:
        logger.warning("the champion takes no part: %s", error.message)
        return Rival(
            present.version, None, f"champion v{present.version} does not fit the declaration any more"
        )
    return Rival(present.version, metrics(use_case, label, scores(use_case, model, columns)), remark)


def split_of(use_case: UseCase) -> str:
    """What decides on which side of the split a row is."""
    return f"{use_case.split}, share {use_case.holdout_share:g}, seed {use_case.tuning.seed}"


def _unprejudiced(settings: Settings, use_case: UseCase, version: int, times: pd.Series) -> tuple[Any, str]:
    """The champion's model that has seen least of the hold-out, and a remark on what was compared."""
    loaded = load_model(settings, use_case, version)
    if use_case.split == "time" and _seen(loaded, TRAINED_UNTIL, times) == 0.0:
        return loaded.model, "all hold-out rows are newer than its training"
    stand_in = load_holdout_model(settings, use_case, version)
    if stand_in is None:
        return loaded.model, "it may have been trained on some of these rows"
    if use_case.split == "stratified":
        if stand_in.tags.get(SPLIT) == split_of(use_case):
            return stand_in.model, "its hold-out model, fitted without these rows"
        return stand_in.model, "its hold-out model, which may have seen these rows: the split has changed"
    seen = _seen(stand_in, HOLDOUT_TRAINED_UNTIL, times)
    if seen:
        return stand_in.model, f"its hold-out model, which had seen {seen:.0%} of these rows"
    return stand_in.model, "its hold-out model, fitted without these rows"


def _seen(loaded: LoadedModel, tag: str, times: pd.Series) -> float:
    """The share of these event times that a model of that version was fitted on; 1 if it does not say."""
    until = loaded.tags.get(tag)
    return float((times <= pd.Timestamp(until)).mean()) if until else 1.0
