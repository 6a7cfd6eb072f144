"""Train: training set → search → tune → evaluate → gate → register → promote, each step safe to run again.

A step finds what an earlier attempt left by the training run's id, which follows from (use case, as_of):
its row in MariaDB, its search, its MLflow run (by tag), its registered version (by MLflow run), its line in
the ledger. So a kill between any two side effects, followed by a rerun, ends as one clean run would. Side
effects come in the order in which an unfinished one does least harm: the version before its profile, the
ledger before the alias.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from evergreen.loop.deployment.promotion import (
    build_order_error,
    open_run,
    promote_candidate,
    require_verdict,
)
from evergreen.loop.monitoring.retraining import decide_training
from evergreen.loop.registration import register_version
from evergreen.loop.train_results import (
    EvaluatedCandidate,
    GateResult,
    PreparedTrainingSet,
    RegisteredVersion,
    SearchShare,
    TrainingResult,
    TunedModel,
)
from evergreen.model.judging.metrics import check_metric
from evergreen.moments import refuse_future
from evergreen.registry.connection import retry_while_unreachable
from evergreen.registry.lock import lock_use_case
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records import training_run as runs
from evergreen.store.records.checks.decision import MANUAL, get_decision
from evergreen.training.data import dataset
from evergreen.training.data.training_window import WindowPlan
from evergreen.training.data.window_choice import choose_training_window
from evergreen.training.evaluation_step import evaluate_run
from evergreen.training.judge.comparison import CONTESTANTS
from evergreen.training.judge.evaluation import Evaluation
from evergreen.training.judge.gate import judge_candidate
from evergreen.training.search.search_result import SearchResult, build_search_result
from evergreen.training.search.studies import open_study
from evergreen.training.search.trial import Trial, list_trials
from evergreen.training.search.worker import Progress, is_worker_finished
from evergreen.training.search_step import run_worker_share
from evergreen.training.tracking import training_runs
from evergreen.training.tracking.trial_logger import log_all_trials
from evergreen.training.training_lock import hold_training_lock
from evergreen.usecases import load_use_case

logger = logging.getLogger(__name__)


def prepare_training_set(
    settings: Settings,
    use_case_name: str,
    as_of: datetime,
    reason: str = "manual",
    decision: str | None = None,
) -> PreparedTrainingSet:
    """Begin the training run of (use_case, as_of), and see that there is a training set for it.

    `decision` is the id of the decision that led to it: the run keeps its trigger, and where no person asked
    for it, its rows reach back as the decision's plan says. Otherwise they do as declared. Raises
    EmptyTrainingSet, NotEnoughData, TrainingError for a gate whose metric does not exist, and SettingsError
    for a moment in the future.
    """
    refuse_future(as_of)
    use_case = load_use_case(use_case_name, settings)
    check_metric(use_case)
    database = get_engine(settings)
    apply_migrations(database)
    standing = get_decision(database, decision) if decision else None
    run = runs.start_training_run(
        database, use_case_name, as_of, reason, trigger=standing.trigger if standing else None
    )
    if run.mlflow_run_id is None:
        plan = standing.window if standing is not None and standing.trigger != MANUAL else None
        if plan is not None and run.training_window is None:
            window = choose_training_window(settings, database, use_case, run, WindowPlan.from_json(plan))
            run = runs.update_training_run(database, run.id, training_window=window.to_json())
        run, _ = dataset.prepare_training_set(settings, database, use_case, run)
    logger.info("training set of %s as of %s: %s rows", use_case_name, as_of.isoformat(), run.dataset_rows)
    return {"training_run": run.id, "rows": run.dataset_rows, "digest": run.dataset_digest}


def run_search_share(
    settings: Settings, training_run: str, worker: int = 0, progress: Progress | None = None
) -> SearchShare:
    """Do one worker's share of the search; what is done already is not done again.

    Each trial is a line in the log and a nested run in MLflow, and is given to `progress`.
    """
    database, run, use_case = open_run(settings, training_run)
    trials: Sequence[Trial] = ()
    if run.params is None:
        trials = run_worker_share(settings, database, use_case, run, worker, progress)
    return {
        "training_run": run.id,
        "worker": worker,
        "trials": len(trials),
        "seconds": round(sum(trial.seconds for trial in trials), 2),
    }


def tune_model(settings: Settings, training_run: str, progress: Progress | None = None) -> TunedModel:
    """Finish whatever is left of the search, and keep its result. A second call only returns it."""
    database, run, use_case = open_run(settings, training_run)
    if run.params is None:
        with open_study(settings, database, use_case, run) as study:
            workers = [
                w for w in range(use_case.tuning.workers) if not is_worker_finished(study, use_case, w)
            ]
        for worker in workers:
            run_search_share(settings, training_run, worker, progress)
        run = runs.get_training_run(database, training_run)
    if run.params is None:
        with open_study(settings, database, use_case, run) as study:
            result, trials = build_search_result(study, use_case), list_trials(study)
        retry_while_unreachable(lambda: log_all_trials(settings, database, run, trials))
        run = runs.get_training_run(database, training_run)
        if run.params is None:  # no other process did it meanwhile
            run = runs.update_training_run(database, run.id, status="tuned", params=result.to_json())
    assert run.params is not None
    result = SearchResult.from_json(run.params)
    return {
        "training_run": run.id,
        "params": result.params,
        "loss": result.loss,
        "trials": len(result.trials),
        "seconds": result.seconds,
    }


def evaluate_candidate(settings: Settings, training_run: str) -> EvaluatedCandidate:
    """Fit the candidate, compare it with champion and baselines on the hold-out, log one MLflow run."""
    database, run, use_case = open_run(settings, training_run)
    if run.mlflow_run_id is None:
        if run.params is None:
            raise build_order_error(run, "tune")
        with hold_training_lock(database, run):
            run = evaluate_run(settings, database, use_case, runs.get_training_run(database, run.id))
        if run.params is None:  # its rows could not be read again, so that it began anew
            tune_model(settings, training_run)
            return evaluate_candidate(settings, training_run)
    assert run.metrics is not None
    evaluation, metric = Evaluation.from_json(run.metrics), use_case.gate.metric
    return {
        "training_run": run.id,
        "mlflow_run": run.mlflow_run_id,
        "metrics": {name: evaluation.metrics_of(name).get(metric) for name in CONTESTANTS},
    }


def apply_gate(settings: Settings, training_run: str) -> GateResult:
    """Judge the candidate. A rejection is an outcome, not an error, and is recorded like a promotion."""
    database, run, use_case = open_run(settings, training_run)
    if run.verdict is None:
        if run.metrics is None:
            raise build_order_error(run, "evaluate")
        verdict = judge_candidate(use_case, Evaluation.from_json(run.metrics))
        run = runs.update_training_run(database, run.id, status="judged", verdict=verdict.to_json())
    verdict = require_verdict(run)
    for check in verdict.checks:
        # In capitals what did not pass, to be seen in a log; the terminal has a table of the checks.
        word = check.result if check.result == "passed" else check.result.upper()
        logger.info("%s %s: %s", word, check.name, check.reason)
    logger.info("%s", verdict.summary)
    return {
        "passed": verdict.passed,
        "summary": verdict.summary,
        "checks": [check.to_json() for check in verdict.checks],
        "warnings": [check.reason for check in verdict.warnings],
        "training_run": run.id,
    }


def register_candidate(settings: Settings, training_run: str) -> RegisteredVersion:
    """Make the candidate a version of the registered model, passed or not, with its record, its model card,
    its reference profile and its error profile. One that passed is the challenger until it is champion."""
    database, run, use_case = open_run(settings, training_run)
    verdict = require_verdict(run)
    assert run.mlflow_run_id is not None
    mlflow_run = run.mlflow_run_id

    if run.model_version is None:
        with lock_use_case(database, use_case.name):
            run = runs.get_training_run(database, run.id)
            if run.model_version is None:  # no other process did it meanwhile
                version = retry_while_unreachable(
                    partial(register_version, settings, database, use_case, run, verdict)
                )
                run = runs.update_training_run(database, run.id, status="registered", model_version=version)
    return {
        "training_run": run.id,
        "version": run.model_version,
        "passed": verdict.passed,
        "summary": verdict.summary,
        "card": retry_while_unreachable(
            lambda: training_runs.build_run_url(settings, mlflow_run, training_runs.CARD_FILE)
        ),
    }


def run_train(
    settings: Settings,
    use_case_name: str,
    as_of: datetime,
    reason: str = "manual",
    progress: Progress | None = None,
) -> TrainingResult:
    """Decide by a person's hand, and run all steps in order. Returns their results, with the last step's
    "promoted" and "reason"."""
    decision = decide_training(settings, use_case_name, as_of, MANUAL, reason)
    prepared = prepare_training_set(settings, use_case_name, as_of, decision["reason"], decision["decision"])
    training_run = prepared["training_run"]
    tuning = tune_model(settings, training_run, progress)
    evaluated = evaluate_candidate(settings, training_run)
    gate = apply_gate(settings, training_run)
    registered = register_candidate(settings, training_run)
    promoted = promote_candidate(settings, training_run)
    return {**prepared, "tuning": tuning, **evaluated, "gate": gate, **registered, **promoted}
