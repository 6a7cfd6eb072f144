"""Quality: were the answers right? By labels where they are known; otherwise only whether they moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from evergreen.monitoring.drift import compare
from evergreen.monitoring.reports import DriftReport
from evergreen.store.predictions import read_predictions
from evergreen.training.profile import PREDICTION, FeatureProfile
from evergreen.training.profile import load as load_profile
from evergreen.usecase import UseCase


def quality(engine: sa.Engine, use_case: UseCase, drift: DriftReport) -> dict[str, Any]:
    """What the champion's online predictions in a drift report's window were worth.

    Returns `predictions` and `labelled` (counts), `accuracy` or `mae` and `rmse` over the labelled ones,
    `prediction_psi` of the answers against those on the hold-out, `answers` (shares by class, or mean), and a
    `reason` in words. Values that cannot be told are None.
    """
    frame = read_predictions(engine, use_case, drift.window_start, drift.window_end)
    frame = frame[frame["model_version"] == drift.model_version]
    reference = load_profile(engine, use_case.name, drift.model_version).get(PREDICTION)
    return measure(use_case, frame, reference)


def measure(use_case: UseCase, frame: pd.DataFrame, reference: FeatureProfile | None) -> dict[str, Any]:
    """The same from rows of the prediction log (columns `prediction`, `actual`) and a reference."""
    answers = frame["prediction"].to_numpy()
    labelled = frame[frame["actual"].notna()]
    found: dict[str, Any] = {"predictions": len(frame), "labelled": len(labelled)}
    found |= _worth(use_case, labelled)
    found["prediction_psi"] = None
    if reference is not None and len(frame) >= use_case.drift.min_rows:
        found["prediction_psi"] = compare(reference, reference.count(answers), use_case.drift).psi
    found["answers"] = _answers(use_case, answers)
    found["reason"] = _reason(found)
    return found


def _worth(use_case: UseCase, labelled: pd.DataFrame) -> dict[str, float | None]:
    if use_case.problem == "regression":
        if labelled.empty:
            return {"mae": None, "rmse": None}
        error = labelled["prediction"].to_numpy(np.float64) - labelled["actual"].to_numpy(np.float64)
        return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean()))}
    if labelled.empty:
        return {"accuracy": None}
    return {"accuracy": float((labelled["prediction"] == labelled["actual"]).mean())}


def _answers(use_case: UseCase, answers: np.ndarray) -> dict[str, float]:
    if not len(answers):
        return {}
    if use_case.problem == "regression":
        return {"mean": float(answers.astype(np.float64).mean())}
    return {name: float((answers == name).mean()) for name in use_case.label.classes}


def _reason(found: dict[str, Any]) -> str:
    for metric in ("accuracy", "mae"):
        if found.get(metric) is not None:
            return f"{metric} {found[metric]:.4f} on {found['labelled']:,} labelled predictions"
    if found["prediction_psi"] is None:
        return f"no verdict: none of {found['predictions']:,} predictions has a label yet"
    return f"no labels yet; PSI of the answers {found['prediction_psi']:.2f}"
