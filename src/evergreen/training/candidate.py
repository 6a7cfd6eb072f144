"""Make and judge a candidate: fit both of its models, and put it beside champion and baseline."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evergreen.settings import Settings
from evergreen.store.on_demand import columns_of, feature_columns
from evergreen.store.training_set import TrainingSet
from evergreen.training import plots
from evergreen.training.contest import HOLDOUT_TRAINED_UNTIL, SPLIT, TRAINED_UNTIL, rival, split_of
from evergreen.training.evaluation import baseline_scores, metrics, scores
from evergreen.training.fit import LOSS, ONE_HOT_MAX_SIZE, fit, fit_baseline
from evergreen.training.matrix import frame_of, rows_of
from evergreen.training.profile import profile, to_json
from evergreen.training.runs import TrainingRun
from evergreen.training.split import Mask, holdout
from evergreen.training.tracking import (
    DATASET_DIGEST,
    DATASET_READ_AT,
    EVALUATION_FILE,
    PROFILE_FILE,
    Evidence,
)
from evergreen.usecase import EVENT_TIME, UseCase

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """A training set as arrays: `columns` of stored and on-demand features, `label`, and the masks of
    training part and hold-out.

    All of one length n; `label` holds class names (object) or float64.
    """

    frame: pd.DataFrame
    columns: dict[str, np.ndarray]
    label: np.ndarray
    train: Mask
    holdout: Mask


def rows(use_case: UseCase, training_set: TrainingSet) -> Rows:
    """Compute the on-demand features of a training set and choose its hold-out. Raises NotEnoughData."""
    frame = training_set.frame
    label = frame[use_case.label.name]
    parts = holdout(use_case, frame)
    return Rows(
        frame=frame,
        columns=feature_columns(use_case, columns_of(frame, use_case)),
        label=label.to_numpy(dtype=object if use_case.label.classes else np.float64),
        train=parts.train,
        holdout=parts.test,
    )


def evaluate(
    settings: Settings, use_case: UseCase, run: TrainingRun, given: Rows, tuned: Mapping[str, Any]
) -> tuple[dict[str, Any], Evidence]:
    """Fit candidate and baseline, compare them with the champion on the hold-out.

    Returns the evaluation (JSON-able: metrics by contestant, champion_version, rows) and what MLflow is to
    keep.
    """
    params = tuned["params"]
    train, test = rows_of(given.columns, given.train), rows_of(given.columns, given.holdout)
    train_label, test_label = given.label[given.train], given.label[given.holdout]
    logger.info("fitting on %d rows, judging on %d", len(train_label), len(test_label))
    holdout_model = fit(use_case, train, train_label, params, settings.threads)
    answers = scores(use_case, holdout_model, test)
    baseline = fit_baseline(use_case, train, train_label)
    other = rival(settings, use_case, given.frame[given.holdout], test, test_label)
    model = fit(use_case, given.columns, given.label, params, settings.threads)
    evaluation: dict[str, Any] = {
        "candidate": metrics(use_case, test_label, answers),
        "baseline": metrics(use_case, test_label, baseline_scores(use_case, baseline, test)),
        "champion": other.metrics,
        "champion_version": other.version,
        "remark": other.remark,
        "train_rows": len(train_label),
        "holdout_rows": len(test_label),
        "holdout_from": _first_and_last_time(given.frame[given.holdout])[0],
    }
    figures = {
        "plots/holdout.png": plots.truth_against_prediction(use_case, test_label, answers.predictions),
        "plots/importance.png": plots.importance(use_case, model),
    }
    evidence = Evidence(
        training_run=run.id,
        name=f"{use_case.name} as of {run.as_of:%Y-%m-%d %H:%M}",
        params=_params(use_case, tuned),
        metrics=_flat(evaluation),
        tags=_tags(use_case, run, given),
        frame=frame_of(use_case, given.columns).assign(**{use_case.label.name: given.label}),
        dataset_digest=run.dataset_digest or "",
        dataset_query=run.dataset_query or {},
        model=model,
        holdout_model=holdout_model,
        figures=figures,
        documents={
            EVALUATION_FILE: evaluation,
            # MLflow's documents are mappings.
            PROFILE_FILE: {"features": to_json(profile(use_case, given.columns, answers.predictions))},
            "tuning.json": dict(tuned),
        },
    )
    return evaluation, evidence


def _params(use_case: UseCase, tuned: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **tuned["params"],
        "loss_function": LOSS[use_case.problem],
        "one_hot_max_size": ONE_HOT_MAX_SIZE,
        "random_seed": use_case.tuning.seed,
        "split": use_case.split,
        "holdout_share": use_case.holdout_share,
        "trials": len(tuned["trials"]),
    }


def _flat(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Metrics by MLflow's names: the candidate's as they are, the others' with a prefix."""
    flat: dict[str, float] = dict(evaluation["candidate"])
    for name in ("baseline", "champion"):
        flat |= {f"{name}_{metric}": value for metric, value in (evaluation[name] or {}).items()}
    return flat | {"train_rows": evaluation["train_rows"], "holdout_rows": evaluation["holdout_rows"]}


def _tags(use_case: UseCase, run: TrainingRun, given: Rows) -> dict[str, str]:
    return {
        "evergreen.use_case": use_case.name,
        "evergreen.as_of": run.as_of.isoformat(),
        DATASET_DIGEST: run.dataset_digest or "",
        DATASET_READ_AT: run.dataset_read_at.isoformat() if run.dataset_read_at else "",
        "evergreen.reason": run.reason,
        "evergreen.metrics_of": "holdout_model; the registered model has the same recipe, fitted on all rows",
        TRAINED_UNTIL: _first_and_last_time(given.frame)[1],
        HOLDOUT_TRAINED_UNTIL: _first_and_last_time(given.frame[given.train])[1],
        SPLIT: split_of(use_case),
    }


def _first_and_last_time(frame: pd.DataFrame) -> tuple[str, str]:
    """The first and the last event time, ISO 8601 UTC."""
    times = frame[EVENT_TIME]
    return times.min().isoformat(), times.max().isoformat()
