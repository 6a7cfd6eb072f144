"""What MLflow keeps of a training: parameters, metrics, tags, pictures, documents and the models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evergreen.model.matrix import build_input_frame
from evergreen.model.reference_profile import build_reference_profile, serialize_profiles
from evergreen.model.signature import compute_feature_digests
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.candidate import Candidate, Rows
from evergreen.training.fit.fitting import LOSS, ONE_HOT_MAX_SIZE
from evergreen.training.judge.contest import HOLDOUT_TRAINED_UNTIL, SPLIT, TRAINED_UNTIL, describe_split
from evergreen.training.judge.evaluation import RIVALS
from evergreen.training.tracking.training_runs import (
    DATASET_DIGEST,
    DATASET_READ_AT,
    EVALUATION_FILE,
    PROFILE_FILE,
    TUNING_FILE,
    Evidence,
)
from evergreen.usecase import EVENT_TIME, UseCase

MODEL_DIGEST = "evergreen.model_digest"
CODE_VERSION = "evergreen.code_version"


def collect_evidence(
    use_case: UseCase,
    run: TrainingRun,
    given: Rows,
    tuned: Mapping[str, Any],
    candidate: Candidate,
    code_version: str,
) -> Evidence:
    """Everything that the run of this candidate keeps."""
    evaluation = candidate.evaluation
    tags = _tags(use_case, run, given, evaluation, code_version)
    # MLflow's documents are mappings.
    reference = {
        "features": serialize_profiles(
            build_reference_profile(use_case, given.columns, candidate.answers.predictions)
        )
    }
    return Evidence(
        params=_params(use_case, tuned, evaluation),
        metrics=_flatten_metrics(evaluation),
        tags=tags,
        frame=build_input_frame(use_case, given.columns).assign(**{use_case.label.name: given.label}),
        dataset_digest=run.dataset_digest or "",
        dataset_query=run.dataset_query or {},
        model=candidate.model,
        holdout_models=candidate.holdout_models,
        pictures=candidate.pictures,
        documents={EVALUATION_FILE: evaluation, PROFILE_FILE: reference, TUNING_FILE: dict(tuned)},
        about_model={
            "use_case": use_case.name,
            "training_run": run.id,
            "dataset_digest": run.dataset_digest,
            "code_version": code_version,
            "model_digest": evaluation["model_digest"],
            "on_demand_code": compute_feature_digests(use_case),
            "reference_profile": reference["features"],
        },
    )


def _params(use_case: UseCase, tuned: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    weights = use_case.tuning.class_weights
    return {
        **tuned["params"],
        "loss_function": LOSS[use_case.problem],
        "one_hot_max_size": tuned["params"].get("one_hot_max_size", ONE_HOT_MAX_SIZE),
        "random_seed": use_case.tuning.seed,
        "class_weights": weights if isinstance(weights, str) else ", ".join(f"{w:g}" for w in weights),
        "task_type": evaluation["task_type"],
        "split": describe_split(use_case),
        "sampler": use_case.tuning.sampler,
        "trials": len(tuned["trials"]),
    }


def _flatten_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Metrics by MLflow's names: the candidate's as they are with their intervals, the others' prefixed."""
    flat: dict[str, float] = dict(evaluation["candidate"])
    for metric, (low, high) in evaluation["intervals"]["candidate"].items():
        flat |= {f"{metric}_low": low, f"{metric}_high": high}
    for name in RIVALS:
        flat |= {f"{name}_{metric}": value for metric, value in (evaluation[name] or {}).items()}
    for name in ("train_rows", "holdout_rows", "size_bytes", "latency_ms"):
        flat[name] = evaluation[name]
    return flat


def _tags(
    use_case: UseCase, run: TrainingRun, given: Rows, evaluation: Mapping[str, Any], code_version: str
) -> dict[str, str]:
    times = given.frame[EVENT_TIME]
    return {
        "evergreen.use_case": use_case.name,
        "evergreen.as_of": run.as_of.isoformat(),
        DATASET_DIGEST: run.dataset_digest or "",
        DATASET_READ_AT: run.dataset_read_at.isoformat() if run.dataset_read_at else "",
        "evergreen.reason": run.reason,
        CODE_VERSION: code_version,
        MODEL_DIGEST: evaluation["model_digest"],
        "evergreen.metrics_of": "holdout_model; the registered model has the same recipe, fitted on all rows",
        TRAINED_UNTIL: times.max().isoformat(),
        HOLDOUT_TRAINED_UNTIL: times[given.cuts[0].train].max().isoformat(),
        SPLIT: describe_split(use_case),
    }
