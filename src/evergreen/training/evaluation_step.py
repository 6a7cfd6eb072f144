"""The evaluation of a training run's candidate, logged in one MLflow run and kept in the run's row."""

from __future__ import annotations

import sqlalchemy as sa

from evergreen.ingest.provenance import read_code_version
from evergreen.registry.connection import retry_while_unreachable
from evergreen.settings import Settings
from evergreen.store.records import training_run
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.candidate import build_candidate
from evergreen.training.data.dataset import prepare_training_set
from evergreen.training.data.rows import prepare_rows
from evergreen.training.library_loading import load_evaluation_libraries
from evergreen.training.record.evidence import collect_evidence
from evergreen.training.search.search_result import SearchResult
from evergreen.training.tracking import training_runs
from evergreen.training.tracking.trial_logger import ensure_mlflow_run
from evergreen.usecase import UseCase


def evaluate_run(settings: Settings, database: sa.Engine, use_case: UseCase, run: TrainingRun) -> TrainingRun:
    """Evaluate the run's candidate and log it, unless that has been done; returns the run's row.

    An MLflow run that a killed call had finished is taken as it is. If the rows of the training set cannot be
    read again, the run begins anew: it is returned without `params`, and must be tuned again. Callers hold
    the training lock.
    """
    if run.mlflow_run_id is not None:
        return run
    load_evaluation_libraries()
    digest = run.dataset_digest or ""
    finished_run = retry_while_unreachable(
        lambda: training_runs.find_run(settings, use_case.name, run.id, digest)
    )
    if finished_run is not None:
        evaluation = training_runs.read_document(settings, finished_run, training_runs.EVALUATION_FILE)
        return training_run.update_training_run(
            database, run.id, status="evaluated", metrics=evaluation, mlflow_run_id=finished_run
        )
    run, training_set = prepare_training_set(settings, database, use_case, run)
    if run.params is None:
        return run
    rows, search_result = prepare_rows(use_case, training_set), SearchResult.from_json(run.params)
    candidate = build_candidate(settings, database, use_case, run, rows, search_result)
    evidence = collect_evidence(use_case, run, rows, search_result, candidate, read_code_version())

    def log_evidence() -> str:
        mlflow_run = ensure_mlflow_run(settings, database, run)
        training_runs.log_run(settings, use_case, mlflow_run, evidence)
        return mlflow_run

    mlflow_run = retry_while_unreachable(log_evidence)
    return training_run.update_training_run(
        database,
        run.id,
        status="evaluated",
        metrics=candidate.evaluation.to_json(),
        mlflow_run_id=mlflow_run,
    )
