"""The result of a search: every trial, the best one's recipe, and how much each parameter mattered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from evergreen.documents import JsonObject
from evergreen.errors import TrainingError
from evergreen.model.calibration import Calibration
from evergreen.training.fit.parameters import Parameters
from evergreen.training.search.trial import LossCurve, Trial, TrialSummary, list_trials
from evergreen.usecase import Between, OneOf, UseCase

# With fewer trials nothing can be said about which parameter matters.
_TRIALS_FOR_IMPORTANCE = 4


@dataclass(frozen=True)
class SearchResult:
    """What a search chose and how it came to it; the column `params` of a training run holds its JSON.

    `params` (with the number of trees as "iterations") and `calibration` are the recipe of the best trial,
    `loss` and `curve` its validation loss and how that went on. `seconds` counts the fitting of all trials.
    `importance`: share of the losses' variance that each parameter explains. `space`: each searched parameter
    with its values as text.
    """

    params: Parameters
    loss: float
    best_trial: int | None
    seconds: float
    calibration: Calibration | None
    curve: LossCurve
    trials: Sequence[TrialSummary]
    importance: Mapping[str, float]
    sampler: str
    pruner: str
    space: Mapping[str, str]

    def to_json(self) -> JsonObject:
        """{"params", "loss", "best_trial", "seconds", "calibration", "curve" (with "best", its number of
        trees), "trials", "importance", "sampler", "pruner", "space"}."""
        return {
            "params": dict(self.params),
            "loss": self.loss,
            "best_trial": self.best_trial,
            "seconds": self.seconds,
            "calibration": self.calibration.to_json() if self.calibration else None,
            "curve": {**self.curve.to_json(), "best": self.params["iterations"]},
            "trials": [trial.summary_to_json() for trial in self.trials],
            "importance": dict(self.importance),
            "sampler": self.sampler,
            "pruner": self.pruner,
            "space": [{"parameter": name, "values": values} for name, values in self.space.items()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchResult:
        """What `to_json` returned, in this version or an earlier one, which may lack some of its keys."""
        calibration = data.get("calibration")
        return cls(
            params=data["params"],
            loss=data["loss"],
            best_trial=data.get("best_trial"),
            seconds=data["seconds"],
            calibration=Calibration.from_json(calibration) if calibration else None,
            curve=LossCurve.from_json(data.get("curve") or {}),
            trials=tuple(TrialSummary.summary_from_json(trial) for trial in data["trials"]),
            importance=data.get("importance") or {},
            sampler=data.get("sampler", ""),
            pruner=data.get("pruner", ""),
            space={each["parameter"]: each["values"] for each in data.get("space") or ()},
        )


def build_search_result(study: optuna.Study, use_case: UseCase) -> SearchResult:
    """The result of a study's ended trials. Raises TrainingError when no trial came to its end."""
    trials = list_trials(study)
    complete = [t for t in trials if t.state == "complete" and t.loss is not None]
    if not complete:
        raise TrainingError(
            f"no trial of {use_case.name}'s search came to its end",
            hint="run the same training again; the log tells what stopped the trials",
        )
    best = min(complete, key=lambda t: (t.loss, t.number))
    assert best.loss is not None
    budget = use_case.tuning
    return SearchResult(
        params={**best.params, "iterations": best.trees},
        loss=best.loss,
        best_trial=best.number,
        seconds=round(sum(t.seconds for t in trials), 2),
        calibration=best.calibration,
        curve=best.curve,
        trials=trials,
        importance=_compute_importance(study, complete),
        sampler=budget.sampler,
        pruner=budget.pruner,
        space={dimension.parameter: _format_values(dimension) for dimension in budget.space},
    )


def _format_values(dimension: Between | OneOf) -> str:
    if isinstance(dimension, Between):
        return f"{dimension.low:g} to {dimension.high:g}{' (log)' if dimension.log else ''}"
    return ", ".join(str(value) for value in dimension.values)


def _compute_importance(study: optuna.Study, complete: Sequence[Trial]) -> dict[str, float]:
    """How much of the loss's variance each parameter explains (fANOVA, Hutter et al., 2014).

    Empty where there are too few trials to say, or no tree of fANOVA's forest splits.
    """
    losses = {t.loss for t in complete}
    varied = {
        name for t in complete for name in t.params if any(o.params[name] != t.params[name] for o in complete)
    }
    if len(complete) < _TRIALS_FOR_IMPORTANCE or len(losses) < 2 or not varied:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=0)
    try:
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator, params=sorted(varied))
    except RuntimeError:  # no tree of the forest splits
        return {}
    return {name: round(float(value), 4) for name, value in shares.items() if math.isfinite(value)}
