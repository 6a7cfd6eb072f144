"""Fit a training's models again, from the same rows by the same recipe, and compare them byte by byte."""

from __future__ import annotations

from typing import TypedDict

from evergreen.errors import TrainingError
from evergreen.ingest.provenance import read_code_version
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.history import recorded_set
from evergreen.store.records import training_run
from evergreen.training.candidate import choose_machine, fit_models
from evergreen.training.data.dataset import reread_training_set
from evergreen.training.data.rows import prepare_rows
from evergreen.training.fit.digest import digest_model
from evergreen.training.judge.evaluation import Evaluation
from evergreen.training.search.search_result import SearchResult
from evergreen.training.tracking import training_runs
from evergreen.usecases import load_use_case


class Reproduction(TypedDict):
    """Digests on record and of the models fitted again; `same` and `reason` say how they compare."""

    training_run: str
    mlflow_run: str | None
    use_case: str
    model_version: int | None
    dataset_digest: str | None
    rebuilt_dataset_digest: str | None
    model_digest: str
    rebuilt_model_digest: str | None
    holdout_digests: list[str]
    rebuilt_holdout_digests: list[str]
    code_version: str
    present_code_version: str
    same: bool
    reason: str


def reproduce_training(settings: Settings, run_id: str) -> Reproduction:
    """Fit a training's models again and compare their digests with those on record.

    `run_id`: of the training run or its MLflow run, or the beginning of either. The rows are read as they
    were then, and the recipe that the search chose is fitted; nothing is logged or registered. Raises
    StoreError for an unknown run, TrainingError for one that was not evaluated yet.
    """
    database = get_engine(settings)
    run = training_run.get_training_run(
        database, recorded_set.describe_training_set(database, run_id).entry.training_run
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
    evaluation, recipe = Evaluation.from_json(run.metrics), SearchResult.from_json(run.params)
    use_case = load_use_case(run.use_case, settings)
    tags = training_runs.read_run_tags(settings, run.mlflow_run_id or "")
    code_version, present_code_version = tags.get("evergreen.code_version", ""), read_code_version()
    result: Reproduction = {
        "training_run": run.id,
        "mlflow_run": run.mlflow_run_id,
        "use_case": run.use_case,
        "model_version": run.model_version,
        "dataset_digest": run.dataset_digest,
        "rebuilt_dataset_digest": None,
        "model_digest": evaluation.model_digest,
        "rebuilt_model_digest": None,
        "holdout_digests": list(evaluation.holdout_digests),
        "rebuilt_holdout_digests": [],
        "code_version": code_version,
        "present_code_version": present_code_version,
        "same": False,
        "reason": "",
    }
    training_set, cause = reread_training_set(settings, database, use_case, run)
    if training_set is None:
        result["reason"] = f"the training set cannot be read again: {cause}"
        return result
    machine = choose_machine(settings, use_case)
    model, holdout_models = fit_models(use_case, prepare_rows(use_case, training_set), recipe, machine)
    result["rebuilt_dataset_digest"] = training_set.digest
    result["rebuilt_model_digest"] = digest_model(model)
    result["rebuilt_holdout_digests"] = [digest_model(each) for each in holdout_models]
    if (
        result["model_digest"] == result["rebuilt_model_digest"]
        and result["holdout_digests"] == result["rebuilt_holdout_digests"]
    ):
        result["same"] = True
        result["reason"] = "the same rows, and the same models byte by byte"
    elif machine.task_type != evaluation.task_type:
        result["reason"] = f"fitted on a {evaluation.task_type} then and on a {machine.task_type} now"
    else:
        result["reason"] = (
            "the same rows, but another model: the declaration, the seed or CatBoost's version differs"
        )
        if code_version != present_code_version:
            result["reason"] += f" (code then {code_version}, now {present_code_version})"
    return result
