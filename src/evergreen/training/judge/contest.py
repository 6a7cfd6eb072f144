"""The champion's answers on a candidate's hold-out.

The hold-out is the newest part of the rows, and a champion trained a day ago was fitted on nearly all of
them: it would predict them from memory, and no candidate would ever beat it. So where the champion was
fitted on rows of the hold-out, its *hold-out models* (see `training/fit/fitting.py`) stand in for it: the
same recipe, fitted on the rows before the hold-out of its own training. As time goes on hold-outs only move
forward, so these models were not fitted on the present hold-out either. If one did move back (training as of
an earlier date), the verdict's remark says on which share of the hold-out they were fitted. That can only
favour the champion: a candidate is then rejected wrongly, never promoted wrongly.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from evergreen.errors import ModelRefused, SignatureMismatch
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.matrix import Columns
from evergreen.model.predictions import Predictions
from evergreen.registry.champion import read_champion
from evergreen.registry.models import load_run_model
from evergreen.registry.verification import load_recorded_model
from evergreen.settings import Settings
from evergreen.training.data.split import Cut
from evergreen.training.judge.answers import find_holdout_rows, score_holdout
from evergreen.training.tracking.training_runs import build_holdout_path
from evergreen.usecase import EVENT_TIME, UseCase

logger = logging.getLogger(__name__)

# Version tags: the newest event time that the registered model, and its hold-out model, were fitted on.
TRAINED_UNTIL = "evergreen.trained_until"
HOLDOUT_TRAINED_UNTIL = "evergreen.holdout_trained_until"
# Where runs of versions without folds kept their one hold-out model.
_FORMER_FILE = "holdout_model/model.cb"
# Version tag: how its rows were split.
SPLIT = "evergreen.split"


@dataclass(frozen=True)
class ChampionScores:
    """The champion's answers on a candidate's hold-out, and the champion itself. Both are None where it
    could not take part."""

    version: int | None
    scores: Predictions | None
    remark: str
    model: LoadedModel | None = None


def score_champion(
    settings: Settings,
    database: sa.Engine,
    use_case: UseCase,
    frame: pd.DataFrame,
    columns: Columns,
    cuts: Sequence[Cut],
) -> ChampionScores:
    """The answers of the present champion on the rows that these cuts hold out. `frame` has the event times.

    Without a champion, and with one that no longer fits the declaration or is not what was registered, the
    baselines are the only rivals. One that is not on record takes part with a warning in the log.
    """
    champion = read_champion(settings, use_case.name)
    if champion is None:
        return ChampionScores(None, None, "")
    try:
        model = load_recorded_model(settings, database, use_case, champion.version)
        models, remark = _choose_champion_models(settings, use_case, model, frame, cuts)
    except SignatureMismatch as error:
        logger.warning("the champion takes no part: %s", error.message)
        return ChampionScores(
            champion.version, None, f"champion v{champion.version} does not fit the declaration any more"
        )
    except ModelRefused as error:
        # Nobody should be judged by it, and only a new model, or a rollback, brings a good champion back.
        logger.error("the champion takes no part: %s", error.message)
        return ChampionScores(
            champion.version, None, f"champion v{champion.version} is refused: {error.message}"
        )
    return ChampionScores(champion.version, score_holdout(use_case, models, columns, cuts), remark, model)


def describe_split(use_case: UseCase) -> str:
    """Kind, size and seed of the split, which decide in which part a row is."""
    size = f"{use_case.folds} folds" if use_case.folds else f"share {use_case.holdout_share:g}"
    return f"{use_case.split}, {size}, seed {use_case.tuning.seed}"


def _choose_champion_models(
    settings: Settings, use_case: UseCase, champion: LoadedModel, frame: pd.DataFrame, cuts: Sequence[Cut]
) -> tuple[list[Any], str]:
    """For each cut the champion's model that was fitted on least of it, and a remark on what is compared."""
    times = frame[EVENT_TIME][find_holdout_rows(cuts)]
    if use_case.split == "time" and _compute_seen_share(champion, TRAINED_UNTIL, times) == 0.0:
        return [champion.model] * len(cuts), "all hold-out rows are newer than its training"
    stand_ins = [
        load_run_model(settings, use_case, champion.version, build_holdout_path(n)) for n in range(len(cuts))
    ]
    first = stand_ins[0] or load_run_model(settings, use_case, champion.version, _FORMER_FILE)
    if first is None:
        return [champion.model] * len(cuts), "it may have been trained on some of these rows"
    models = [(each or first).model for each in stand_ins]
    if use_case.split != "time":
        if first.tags.get(SPLIT) == describe_split(use_case):
            border = " but for a few at the border" if use_case.split == "stratified" else ""
            return models, f"its hold-out model, fitted without these rows{border}"
        return models, "its hold-out model, which may have seen these rows: the split has changed"
    seen_share = _compute_seen_share(first, HOLDOUT_TRAINED_UNTIL, times)
    if seen_share:
        return models, f"its hold-out model, which had seen {seen_share:.0%} of these rows"
    return models, "its hold-out model, fitted without these rows"


def _compute_seen_share(model: LoadedModel, tag: str, times: pd.Series) -> float:
    """The share of these event times up to the model's tag of that name; 1 where it has no such tag."""
    until = model.tags.get(tag)
    return float(np.mean(times <= pd.Timestamp(until))) if until else 1.0
