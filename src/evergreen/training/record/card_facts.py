"""What a model card tells, gathered from a training run's record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evergreen.model.signature import compute_feature_digests, list_model_inputs
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.candidate import Rows
from evergreen.training.data.checks import find_present_values
from evergreen.training.judge.contest import describe_split
from evergreen.usecase import EVENT_TIME, UseCase


def collect_data_facts(use_case: UseCase, given: Rows) -> dict[str, Any]:
    """The training set in numbers, JSON-able: rows, the last event time, shares of classes and of missing
    values."""
    label = given.label
    rows = len(label)
    missing = {
        f.name: round(1.0 - float(np.mean(find_present_values(given.columns[f.name], f.numeric))), 6)
        for f in list_model_inputs(use_case)
    }
    shares = {name: round(float(np.mean(label == name)), 6) for name in use_case.label.classes}
    return {
        "rows": rows,
        "entities": int(given.frame.groupby(list(use_case.entity.key_names), dropna=False).ngroups),
        "trained_until": given.frame[EVENT_TIME].max().isoformat(),
        "class_shares": shares,
        "missing": missing,
    }


def collect_card_facts(
    use_case: UseCase, run: TrainingRun, tags: Mapping[str, str], version: int | None
) -> dict[str, Any]:
    """The facts of `training.card.model_card` for a judged training; `tags` are its MLflow run's."""
    assert run.metrics is not None
    assert run.params is not None
    assert run.verdict is not None
    evaluation, search = run.metrics, run.params
    data = evaluation["data"]
    code = compute_feature_digests(use_case)
    return {
        "use_case": use_case.name,
        "title": use_case.title,
        "meaning": use_case.meaning,
        "problem": use_case.problem,
        "entity": use_case.entity.name,
        "version": version,
        "training_run": run.id,
        "mlflow_run": run.mlflow_run_id,
        "as_of": run.as_of.isoformat(),
        "reason": run.reason,
        "code_version": tags.get("evergreen.code_version", ""),
        "model_digest": evaluation["model_digest"],
        "data": {
            "digest": run.dataset_digest,
            "rows": data["rows"],
            "entities": data["entities"],
            "train_rows": evaluation["train_rows"],
            "holdout_rows": evaluation["holdout_rows"],
            "holdout_from": evaluation["holdout_from"],
            "trained_until": data["trained_until"],
            "split": describe_split(use_case),
            "read_at": run.dataset_read_at.isoformat() if run.dataset_read_at else None,
            "label": use_case.label.name,
            "classes": list(use_case.label.classes),
            "class_shares": data["class_shares"],
            "features": [
                {
                    "name": f.name,
                    "type": f.dtype,
                    "meaning": f.meaning,
                    "missing": data["missing"].get(f.name),
                }
                for f in list_model_inputs(use_case)
            ],
            "on_demand": [
                {"name": f.name, "meaning": f.meaning, "code": code[f.name]}
                for f in use_case.on_demand_order
                if f.name in code
            ],
        },
        "recipe": {
            **search["params"],
            "class_weights": use_case.tuning.class_weights,
            "task_type": evaluation["task_type"],
        },
        "evaluation": evaluation,
        "search": search,
        "verdict": run.verdict,
        "limits": _limits(use_case, evaluation),
    }


def _limits(use_case: UseCase, evaluation: Mapping[str, Any]) -> list[str]:
    """How it was judged, and what therefore is not known of it."""
    told = [
        "All metrics are those of a model with the same recipe that was fitted without the rows it was judged"
        " on. The registered model was then fitted on all rows.",
        f"Intervals hold 95 % of {evaluation['resamples']:,} resamples in which the rows of one"
        f" {use_case.entity.name} are drawn together; they say nothing of a world that changes.",
    ]
    if use_case.folds:
        told.append(
            f"Each of {use_case.folds} folds was judged by a model fitted on the others. The parameters were"
            " searched on the training part of the first fold, which the other folds' rows belong to: that"
            " favours the candidate a little against the baselines."
        )
    if use_case.split == "time":
        told.append("The rows it was judged on are newer than those of that model's training.")
    else:
        told.append(
            "The rows it was judged on are of the same time as those of its training: how it does on what"
            " comes later is not known."
        )
    small = [
        f"{group['name']} of {measured['feature']} ({group['rows']} rows)"
        for measured in evaluation["slices"]
        for group in measured["groups"]
        if not group["judged"]
    ]
    if small:
        more = f" and {len(small) - 5} more" if len(small) > 5 else ""
        told.append(f"Too few rows to judge: {', '.join(small[:5])}{more}.")
    if not use_case.slices:
        told.append("No groups are declared (slices): whether it treats people alike was not looked at.")
    return told
