"""The same model again: from the same rows, by the same recipe."""

from __future__ import annotations

from typing import Any

from evergreen.settings import Settings
from evergreen.usecases import load_use_case


def reproduce_training(settings: Settings, run_id: str) -> dict[str, Any]:
    """Fit a training's models again and compare their digests with those on record.

    `run_id`: of the training run or its MLflow run, or the beginning of either. The rows are read as they
    were then, and the recipe that the search chose is fitted; nothing is logged or registered. Returns
    {"training_run", "mlflow_run", "use_case", "model_version", "dataset_digest", "rebuilt_dataset_digest",
    "model_digest", "rebuilt_model_digest", "holdout_digests", "rebuilt_holdout_digests", "code_version",
    "present_code_version", "same", "reason"}. Raises StoreError for an unknown run, TrainingError for one
    that was not evaluated yet.
    """
    from evergreen.errors import TrainingError
    from evergreen.ingest.provenance import read_code_version
    from evergreen.store.connection.database import get_engine
    from evergreen.store.history import recorded_set as datasets
    from evergreen.store.records import training_run
    from evergreen.training import candidate
    from evergreen.training.data.dataset import reread_training_set
    from evergreen.training.fit.digest import digest_model
    from evergreen.training.tracking import training_runs

    database = get_engine(settings)
    run = training_run.get_training_run(
        database, datasets.describe_training_set(database, run_id).entry.training_run
    )
    if run.metrics is not None and "model_digest" not in run.metrics:
        raise TrainingError(
            f"training run {run.id} of {run.use_case} is of a time before models had digests",
            hint="train again as of a later moment; that run can be reproduced",
        )
    if run.metrics is None or run.params is None:
        raise TrainingError(
            f"training run {run.id} of {run.use_case} is {run.status}: it has no model yet",
            hint=f"let it go on: evergreen train {run.use_case} --as-of {run.as_of.isoformat()}",
        )
    declared = load_use_case(run.use_case, settings)
    then = training_runs.read_run_tags(settings, run.mlflow_run_id or "").get("evergreen.code_version", "")
    told: dict[str, Any] = {
        "training_run": run.id,
        "mlflow_run": run.mlflow_run_id,
        "use_case": run.use_case,
        "model_version": run.model_version,
        "dataset_digest": run.dataset_digest,
        "rebuilt_dataset_digest": None,
        "model_digest": run.metrics["model_digest"],
        "rebuilt_model_digest": None,
        "holdout_digests": run.metrics["holdout_digests"],
        "rebuilt_holdout_digests": [],
        "code_version": then,
        "present_code_version": read_code_version(),
        "same": False,
    }
    found, why = reread_training_set(settings, database, declared, run)
    if found is None:
        return {**told, "reason": f"the training set cannot be read again: {why}"}
    model, holdouts = candidate.fit_models(
        declared,
        candidate.prepare_rows(declared, found),
        run.params,
        candidate.choose_machine(settings, declared),
    )
    told |= {
        "rebuilt_dataset_digest": found.digest,
        "rebuilt_model_digest": digest_model(model),
        "rebuilt_holdout_digests": [digest_model(each) for each in holdouts],
    }
    same = all(told[name] == told[f"rebuilt_{name}"] for name in ("model_digest", "holdout_digests"))
    if same:
        return {**told, "same": True, "reason": "the same rows, and the same models byte by byte"}
    device = candidate.choose_machine(settings, declared).task_type
    if device != run.metrics["task_type"]:
        return {**told, "reason": f"fitted on a {run.metrics['task_type']} then and on a {device} now"}
    return {
        **told,
        "reason": "the same rows, but another model: the declaration, the seed or CatBoost's version differs"
        + (f" (code then {then}, now {read_code_version()})" if then != read_code_version() else ""),
    }
