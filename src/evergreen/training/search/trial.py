"""The trials of a search: each is one set of CatBoost parameters, fitted and measured once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna

from evergreen.documents import JsonObject
from evergreen.model.calibration import Calibration
from evergreen.training.fit.parameters import Parameters

TrialState = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class LossCurve:
    """The loss on the training and the validation part (log loss in nats, or RMSE) at some numbers of trees.

    The three sequences have one length.
    """

    trees: Sequence[int] = ()
    train: Sequence[float] = ()
    validation: Sequence[float] = ()

    def to_json(self) -> dict[str, list[float]]:
        """{"trees", "train", "validation"}."""
        return {
            "trees": list(self.trees),
            "train": list(self.train),
            "validation": list(self.validation),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Sequence[float]]) -> LossCurve:
        """What `to_json` returned; an empty mapping is an empty curve."""
        return cls(
            tuple(int(count) for count in data.get("trees", ())),
            tuple(data.get("train", ())),
            tuple(data.get("validation", ())),
        )


@dataclass(frozen=True)
class TrialSummary:
    """What a search result keeps of a trial.

    `loss`: validation loss (log loss in nats, or RMSE) with the best number of `trees`; of a pruned trial the
    last that was reported, None if none was. `seconds`: of fitting.
    """

    number: int
    worker: int
    state: TrialState
    params: Parameters
    trees: int
    loss: float | None
    seconds: float

    def summary_to_json(self) -> JsonObject:
        """One entry of a search result's "trials"."""
        return {
            "number": self.number,
            "worker": self.worker,
            "state": self.state,
            "params": dict(self.params),
            "trees": self.trees,
            "loss": self.loss,
            "seconds": self.seconds,
        }

    @classmethod
    def summary_from_json(cls, data: Mapping[str, Any]) -> TrialSummary:
        """What `summary_to_json` returned."""
        return TrialSummary(
            number=data["number"],
            worker=data.get("worker", -1),
            state=data["state"],
            params=data["params"],
            trees=data["trees"],
            loss=data["loss"],
            seconds=data["seconds"],
        )


@dataclass(frozen=True)
class Trial(TrialSummary):
    """A trial as the study has it, with the moment of its start in seconds since 1970."""

    started: float
    calibration: Calibration | None = None
    curve: LossCurve = field(default_factory=LossCurve)


def list_trials(study: optuna.Study) -> list[Trial]:
    """The ended trials of a study, in their order."""
    states: dict[optuna.trial.TrialState, TrialState] = {
        optuna.trial.TrialState.COMPLETE: "complete",
        optuna.trial.TrialState.PRUNED: "pruned",
        optuna.trial.TrialState.FAIL: "failed",
    }
    return [
        _read_trial(trial, states[trial.state])
        for trial in study.get_trials(deepcopy=False, states=tuple(states))
    ]


def find_least_loss(trials: Sequence[Trial]) -> float:
    """The least loss of a complete trial; infinite before there is one."""
    return min((t.loss for t in trials if t.state == "complete" and t.loss is not None), default=math.inf)


def _read_trial(trial: optuna.trial.FrozenTrial, state: TrialState) -> Trial:
    attributes = trial.user_attrs
    loss = trial.value
    if loss is None and trial.intermediate_values:
        loss = trial.intermediate_values[max(trial.intermediate_values)]
    calibration = attributes.get("calibration")
    return Trial(
        number=trial.number,
        worker=int(attributes.get("worker", -1)),
        state=state,
        params=dict(trial.params),
        trees=int(attributes.get("trees", 0)),
        loss=float(loss) if loss is not None and math.isfinite(loss) else None,
        seconds=float(attributes.get("seconds", 0.0)),
        started=_read_start_time(trial),
        calibration=Calibration.from_json(calibration) if calibration else None,
        curve=LossCurve.from_json(attributes.get("curve", {})),
    )


def _read_start_time(trial: optuna.trial.FrozenTrial) -> float:
    """Seconds since 1970.

    Optuna's own start time is local and without a zone. It is used only for trials that have no attribute
    `started`, because an earlier version made them.
    """
    own = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return float(trial.user_attrs.get("started", own))
