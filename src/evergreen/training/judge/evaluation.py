"""The evaluation of a candidate: all figures for the gate, the model card and MLflow, in one document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evergreen.documents import JsonObject
from evergreen.training.data.facts import DataFacts
from evergreen.training.judge.calibration_effect import CalibrationEffect
from evergreen.training.judge.comparison import Comparison, Metrics
from evergreen.training.judge.footprint import Footprint
from evergreen.training.judge.learning_curve import LearningPoint
from evergreen.training.judge.replay import ReplayResult
from evergreen.training.judge.slice_figures import SliceFigures


@dataclass(frozen=True)
class Evaluation:
    """The column `metrics` of a training run, and MLflow's `evaluation.json`, hold its JSON.

    metric: the gate's
    comparison: metrics, intervals and gains of the contestants on the hold-out
    calibration: what the calibration changed; None for regression
    slices, champion_slices: candidate and champion in the declared groups; the latter None without one
    champion_version, remark: whom the candidate was compared with, and which of its models stood in for it
    train_rows, holdout_rows, holdout_from: sizes of the (first) training part and of the hold-out, and the
        hold-out's first event time (ISO 8601, UTC)
    footprint, champion_footprint: the registered model's and the champion's; the latter None without one
    replay: logged requests predicted by both; None without a champion or requests
    importance: mean absolute SHAP value of each input, greatest first
    learning_curve: the metric by number of rows
    model_digest, holdout_digests: SHA-256 of the models (see `training/fit/digest.py`)
    task_type: CatBoost's, "CPU" or "GPU"
    seconds: {"fitting", "all"} of the evaluation
    data: the training set in numbers; None in evaluations of versions that did not record it
    """

    metric: str
    comparison: Comparison
    calibration: CalibrationEffect | None
    slices: tuple[SliceFigures, ...]
    champion_slices: tuple[SliceFigures, ...] | None
    champion_version: int | None
    remark: str
    train_rows: int
    holdout_rows: int
    holdout_from: str
    footprint: Footprint
    champion_footprint: Footprint | None
    replay: ReplayResult | None
    importance: Mapping[str, float]
    learning_curve: tuple[LearningPoint, ...]
    model_digest: str
    holdout_digests: tuple[str, ...]
    task_type: str
    seconds: Mapping[str, float]
    data: DataFacts | None

    @property
    def candidate(self) -> Metrics:
        """The candidate's metrics."""
        return self.comparison.metrics["candidate"] or {}

    @property
    def champion(self) -> Metrics | None:
        """The champion's metrics; None where it took no part."""
        return self.comparison.metrics.get("champion")

    def metrics_of(self, contestant: str) -> Metrics:
        """The metrics of "candidate", "champion", "linear" or "dummy"; empty for one that took no part."""
        return self.comparison.metrics.get(contestant) or {}

    def to_json(self) -> JsonObject:
        """The fields by their names, with those of `comparison` and `footprint` beside them."""
        return {
            "metric": self.metric,
            **self.comparison.to_json(),
            "calibration": self.calibration.to_json() if self.calibration else None,
            "slices": [each.to_json() for each in self.slices],
            "champion_slices": None
            if self.champion_slices is None
            else [each.to_json() for each in self.champion_slices],
            "champion_version": self.champion_version,
            "remark": self.remark,
            "train_rows": self.train_rows,
            "holdout_rows": self.holdout_rows,
            "holdout_from": self.holdout_from,
            **self.footprint.to_json(),
            "champion_footprint": self.champion_footprint.to_json() if self.champion_footprint else None,
            "replay": self.replay.to_json() if self.replay else None,
            "importance": dict(self.importance),
            "learning_curve": [point.to_json() for point in self.learning_curve],
            "model_digest": self.model_digest,
            "holdout_digests": list(self.holdout_digests),
            "task_type": self.task_type,
            "seconds": dict(self.seconds),
            "data": self.data.to_json() if self.data else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """What `to_json` returned, in this version or an earlier one, which may lack some of its keys."""

        def read_slices(name: str) -> tuple[SliceFigures, ...] | None:
            figures = data.get(name)
            return None if figures is None else tuple(SliceFigures.from_json(each) for each in figures)

        calibration, replay = data.get("calibration"), data.get("replay")
        champion_footprint, facts = data.get("champion_footprint"), data.get("data")
        return cls(
            metric=data.get("metric", ""),
            comparison=Comparison.from_json(data),
            calibration=CalibrationEffect.from_json(calibration) if calibration else None,
            slices=read_slices("slices") or (),
            champion_slices=read_slices("champion_slices"),
            champion_version=data.get("champion_version"),
            remark=data.get("remark", ""),
            train_rows=data.get("train_rows") or 0,
            holdout_rows=data.get("holdout_rows") or 0,
            holdout_from=data.get("holdout_from", ""),
            footprint=Footprint.from_json(data),
            champion_footprint=Footprint.from_json(champion_footprint) if champion_footprint else None,
            replay=ReplayResult.from_json(replay) if replay else None,
            importance=data.get("importance") or {},
            learning_curve=tuple(LearningPoint.from_json(each) for each in data.get("learning_curve") or ()),
            model_digest=data.get("model_digest", ""),
            holdout_digests=tuple(data.get("holdout_digests") or ()),
            task_type=data.get("task_type", ""),
            seconds=data.get("seconds") or {},
            data=DataFacts.from_json(facts) if facts else None,
        )
