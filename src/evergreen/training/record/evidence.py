"""What MLflow keeps of a training: parameters, metrics, tags, pictures, documents and the models."""

from __future__ import annotations

import json

from evergreen.documents import JsonObject
from evergreen.model.error_profile.build import build_error_profile
from evergreen.model.golden_rows import build_golden_rows
from evergreen.model.matrix import build_input_frame, select_rows
from evergreen.model.reference_profile import (
    build_reference_profile,
    build_slice_profiles,
    serialize_profiles,
)
from evergreen.model.signature import compute_feature_digests
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.candidate import Candidate
from evergreen.training.data.rows import TrainingRows
from evergreen.training.data.training_window import TrainingWindow
from evergreen.training.fit.fitting import LOSS, ONE_HOT_MAX_SIZE
from evergreen.training.fit.parameters import Parameters
from evergreen.training.judge.answers import find_holdout_rows
from evergreen.training.judge.comparison import RIVALS
from evergreen.training.judge.contest import HOLDOUT_TRAINED_UNTIL, SPLIT, TRAINED_UNTIL, describe_split
from evergreen.training.judge.evaluation import Evaluation
from evergreen.training.search.search_result import SearchResult
from evergreen.training.tracking.training_runs import (
    DATASET_DIGEST,
    DATASET_READ_AT,
    ERRORS_FILE,
    EVALUATION_FILE,
    GOLDEN_FILE,
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
    rows: TrainingRows,
    search_result: SearchResult,
    candidate: Candidate,
    code_version: str,
) -> Evidence:
    """Collect everything that the MLflow run of this candidate keeps."""
    evaluation = candidate.evaluation
    answers = candidate.scores.predictions
    profiles = build_reference_profile(use_case, rows.columns, answers)
    held_out = find_holdout_rows(rows.cuts)
    holdout_columns = select_rows(rows.columns, held_out)
    slice_profiles = build_slice_profiles(use_case, profiles, rows.columns, answers, holdout_columns)
    errors = build_error_profile(use_case, holdout_columns, rows.label[held_out], candidate.scores)
    documents: dict[str, JsonObject] = {
        EVALUATION_FILE: evaluation.to_json(),
        PROFILE_FILE: {"features": serialize_profiles([*profiles, *slice_profiles])},
        ERRORS_FILE: errors.to_json(),
        GOLDEN_FILE: build_golden_rows(use_case, candidate.model, rows.columns).to_json(),
        TUNING_FILE: search_result.to_json(),
    }
    return Evidence(
        params=_collect_params(use_case, search_result, evaluation),
        metrics=_flatten_metrics(evaluation),
        tags=_build_tags(use_case, run, rows, evaluation, code_version),
        frame=build_input_frame(use_case, rows.columns).assign(**{use_case.label.name: rows.label}),
        dataset_digest=run.dataset_digest or "",
        dataset_query=json.dumps(run.dataset_query or {}),
        model=candidate.model,
        holdout_models=candidate.holdout_models,
        pictures=candidate.pictures,
        documents=documents,
        about_model={
            "use_case": use_case.name,
            "training_run": run.id,
            "dataset_digest": run.dataset_digest,
            "code_version": code_version,
            "model_digest": evaluation.model_digest,
            "on_demand_code": compute_feature_digests(use_case),
            "reference_profile": serialize_profiles(profiles),
        },
    )


def _collect_params(use_case: UseCase, search_result: SearchResult, evaluation: Evaluation) -> Parameters:
    """The parameters of the MLflow run: the model's, and those that decide how it was searched and judged."""
    weights = use_case.tuning.class_weights
    params = search_result.params
    return {
        **params,
        "loss_function": LOSS[use_case.problem],
        "one_hot_max_size": params.get("one_hot_max_size", ONE_HOT_MAX_SIZE),
        "random_seed": use_case.tuning.seed,
        "class_weights": weights if isinstance(weights, str) else ", ".join(f"{w:g}" for w in weights),
        "task_type": evaluation.task_type,
        "split": describe_split(use_case),
        "sampler": use_case.tuning.sampler,
        "trials": len(search_result.trials),
    }


def _flatten_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Metrics by MLflow's names: the candidate's as they are with their intervals, the others' prefixed."""
    flat: dict[str, float] = dict(evaluation.candidate)
    for metric, (low, high) in evaluation.comparison.intervals["candidate"].items():
        flat |= {f"{metric}_low": low, f"{metric}_high": high}
    for name in RIVALS:
        flat |= {f"{name}_{metric}": value for metric, value in evaluation.metrics_of(name).items()}
    return {
        **flat,
        "train_rows": evaluation.train_rows,
        "holdout_rows": evaluation.holdout_rows,
        "size_bytes": evaluation.footprint.size_bytes,
        "latency_ms": evaluation.footprint.latency_ms,
    }


def _build_tags(
    use_case: UseCase, run: TrainingRun, rows: TrainingRows, evaluation: Evaluation, code_version: str
) -> dict[str, str]:
    times = rows.frame[EVENT_TIME]
    return {
        "evergreen.use_case": use_case.name,
        "evergreen.as_of": run.as_of.isoformat(),
        DATASET_DIGEST: run.dataset_digest or "",
        DATASET_READ_AT: run.dataset_read_at.isoformat() if run.dataset_read_at else "",
        "evergreen.reason": run.reason,
        **_build_cause_tags(run),
        CODE_VERSION: code_version,
        MODEL_DIGEST: evaluation.model_digest,
        "evergreen.metrics_of": "holdout_model; the registered model has the same recipe, fitted on all rows",
        TRAINED_UNTIL: times.max().isoformat(),
        HOLDOUT_TRAINED_UNTIL: times[rows.cuts[0].train].max().isoformat(),
        SPLIT: describe_split(use_case),
    }


def _build_cause_tags(run: TrainingRun) -> dict[str, str]:
    """What led to the training, and how far back its rows reach, where that is on record."""
    tags = {} if run.trigger_name is None else {"evergreen.trigger": run.trigger_name}
    if run.training_window is None:
        return tags
    window = TrainingWindow.from_json(run.training_window)
    return {**tags, "evergreen.training_window": window.describe()}
