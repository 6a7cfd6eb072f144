"""What a search found: every trial, the best one's recipe, and which parameters mattered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from evergreen.errors import TrainingError
from evergreen.usecase import Between, UseCase

if TYPE_CHECKING:
    import optuna

# With fewer trials nothing can be said about which parameter matters.
_TRIALS_FOR_IMPORTANCE = 4


@dataclass(frozen=True)
class Trial:
    """One try. `loss` is the validation loss (log loss in nats, or RMSE) at the best of the `trees`; of a
    pruned one the last that was told, None if none was. `seconds` of fitting, `started` since 1970."""

    number: int
    worker: int
    state: Literal["complete", "pruned", "failed"]
    params: dict[str, Any]
    trees: int
    loss: float | None
    seconds: float
    started: float
    calibration: dict[str, Any] | None = None
    curve: dict[str, list[float]] = field(default_factory=dict)


def list_trials(study: optuna.Study) -> list[Trial]:
    """The ended trials of a study, in their order."""
    from optuna.trial import TrialState

    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    found = []
    for trial in study.get_trials(deepcopy=False, states=tuple(names)):
        told = trial.user_attrs
        loss = trial.value
        if loss is None and trial.intermediate_values:
            loss = trial.intermediate_values[max(trial.intermediate_values)]
        found.append(
            Trial(
                number=trial.number,
                worker=int(told.get("worker", -1)),
                state=names[trial.state],  # type: ignore[arg-type]
                params=dict(trial.params),
                trees=int(told.get("trees", 0)),
                loss=float(loss) if loss is not None and math.isfinite(loss) else None,
                seconds=float(told.get("seconds", 0.0)),
                started=_read_start_time(trial),
                calibration=told.get("calibration"),
                curve=told.get("curve", {}),
            )
        )
    return found


def _read_start_time(trial: optuna.trial.FrozenTrial) -> float:
    """Seconds since 1970. Optuna's own moment is local, without a zone; it is an old search's only one."""
    own = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return float(trial.user_attrs.get("started", own))


def find_least_loss(trials: Sequence[Trial]) -> float:
    """The least loss of a complete trial; infinite before there is one."""
    return min((t.loss for t in trials if t.state == "complete" and t.loss is not None), default=math.inf)


def build_search_result(study: optuna.Study, use_case: UseCase) -> dict[str, Any]:
    """The search's result, JSON-able: {"params" (of the best trial, with its number of trees as
    "iterations"), "loss", "seconds" (of fitting), "calibration", "curve", "trials", "importance" (share by
    parameter), "sampler", "pruner", "space"}. Raises TrainingError when no trial came to its end.
    """
    known = list_trials(study)
    complete = [t for t in known if t.state == "complete" and t.loss is not None]
    if not complete:
        raise TrainingError(
            f"no trial of {use_case.name}'s search came to its end",
            hint="run the same training again; the log tells what stopped the trials",
        )
    best = min(complete, key=lambda t: (t.loss, t.number))
    budget = use_case.tuning
    return {
        "params": {**best.params, "iterations": best.trees},
        "loss": best.loss,
        "best_trial": best.number,
        "seconds": round(sum(t.seconds for t in known), 2),
        "calibration": best.calibration,
        "curve": {**best.curve, "best": best.trees},
        "trials": [_trial_to_json(t) for t in known],
        "importance": _importance(study, complete),
        "sampler": budget.sampler,
        "pruner": budget.pruner,
        "space": [{"parameter": s.parameter, "values": _format_values(s)} for s in budget.space],
    }


def _trial_to_json(trial: Trial) -> dict[str, Any]:
    told = asdict(trial)
    for name in ("curve", "calibration", "started"):
        told.pop(name)
    return told


def _format_values(searched: Any) -> str:
    if isinstance(searched, Between):
        return f"{searched.low:g} to {searched.high:g}{' (log)' if searched.log else ''}"
    return ", ".join(str(value) for value in searched.values)


def _importance(study: optuna.Study, complete: Sequence[Trial]) -> dict[str, float]:
    """How much of the loss's variance each parameter explains (fANOVA, Hutter et al., 2014)."""
    import optuna

    losses = {t.loss for t in complete}
    varied = {
        name for t in complete for name in t.params if any(o.params[name] != t.params[name] for o in complete)
    }
    if len(complete) < _TRIALS_FOR_IMPORTANCE or len(losses) < 2 or not varied:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=0)
    try:
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=sorted(varied))
    except RuntimeError:  # a forest in which no tree splits: nothing explains anything
        return {}
    return {name: round(float(value), 4) for name, value in found.items() if math.isfinite(value)}
