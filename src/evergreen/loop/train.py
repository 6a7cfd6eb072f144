"""Train: training set → search → tune → evaluate → gate → register → promote, each step safe to run again.

A step finds what an earlier attempt left by the training run's id, which follows from (use case, as_of):
its row in MariaDB, its search, its MLflow run (by tag), its registered version (by MLflow run), its line in
the ledger. So a kill between any two side effects, followed by a rerun, ends as one clean run would. Side
effects come in the order in which an unfinished one does least harm: the version before its profile, the
ledger before the alias.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from evergreen.errors import TrainingError
from evergreen.moments import refuse_future
from evergreen.settings import Settings
from evergreen.training.warm import import_libraries as load_libraries
from evergreen.training.warm import preload_libraries
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

if TYPE_CHECKING:
    import sqlalchemy as sa

    from evergreen.model.judging.verdict import Verdict
    from evergreen.store.records.training_run import TrainingRun
    from evergreen.training.search.worker import Progress

logger = logging.getLogger(__name__)


def prepare_training_set(
    settings: Settings, use_case: str, as_of: datetime, reason: str = "manual"
) -> dict[str, Any]:
    """Begin the training run of (use_case, as_of), and see that there is a training set for it.

    Returns {"training_run", "rows", "digest"}. Raises EmptyTrainingSet, NotEnoughData, TrainingError for
    a gate whose metric does not exist, and SettingsError for a moment in the future.
    """
    from evergreen.model.judging.metrics import check_metric
    from evergreen.store.records import training_run as runs
    from evergreen.store.tables.migrations import apply_migrations
    from evergreen.training.data.dataset import prepare_training_set

    refuse_future(as_of)
    declared = load_use_case(use_case, settings)
    check_metric(declared)
    database = _open_database(settings)
    apply_migrations(database)
    run = runs.start_training_run(database, use_case, as_of, reason)
    if run.mlflow_run_id is None:
        run, _ = prepare_training_set(settings, database, declared, run)
    logger.info("training set of %s as of %s: %s rows", use_case, as_of.isoformat(), run.dataset_rows)
    return {"training_run": run.id, "rows": run.dataset_rows, "digest": run.dataset_digest}


def run_search_share(
    settings: Settings, training_run: str, worker: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Do one worker's share of the search; what is done already is not done again.

    Each trial is a line in the log and a nested run in MLflow, and is given to `progress`. Returns
    {"training_run", "worker", "trials", "seconds"} of that worker.
    """
    from evergreen.model.matrix import select_rows
    from evergreen.training import candidate
    from evergreen.training.data.dataset import prepare_training_set
    from evergreen.training.data.split import split_for_validation
    from evergreen.training.search import studies
    from evergreen.training.search.search_result import list_trials
    from evergreen.training.search.worker import run_trials as search_share
    from evergreen.training.tracking.showing import TrialLogger
    from evergreen.training.turns import hold_training_lock

    database, run, declared = _open_run(settings, training_run)
    mine: list[Any] = []
    if run.params is None:
        with hold_training_lock(database, run, worker):
            run, found = prepare_training_set(settings, database, declared, run)
            given = candidate.prepare_rows(declared, found)
            part = given.cuts[0].train
            with (
                studies.open_study(settings, database, declared, run) as study,
                TrialLogger(settings, database, run, worker, first=preload_libraries().join) as show,
            ):

                def told(*trial: Any) -> None:
                    show(list_trials(study))
                    if progress is not None:
                        progress(*trial)

                search_share(
                    study,
                    declared,
                    select_rows(given.columns, part),
                    given.label[part],
                    split_for_validation(declared, given.frame[part]),
                    worker=worker,
                    machine=candidate.choose_machine(settings, declared),
                    progress=told,
                )
                mine = [trial for trial in list_trials(study) if trial.worker == worker]
    return {
        "training_run": run.id,
        "worker": worker,
        "trials": len(mine),
        "seconds": round(sum(trial.seconds for trial in mine), 2),
    }


def tune_model(settings: Settings, training_run: str, progress: Progress | None = None) -> dict[str, Any]:
    """Finish the search, whatever of it is left, and keep the best trial's recipe: a second call only
    returns it.

    Returns {"training_run", "params", "loss", "trials", "seconds"}.
    """
    from evergreen.registry.connection import retry_while_unreachable
    from evergreen.store.records import training_run as runs
    from evergreen.training.search import studies
    from evergreen.training.search.search_result import build_search_result, list_trials
    from evergreen.training.search.worker import is_worker_finished
    from evergreen.training.tracking.showing import log_all_trials

    database, run, declared = _open_run(settings, training_run)
    if run.params is None:
        with studies.open_study(settings, database, declared, run) as study:
            left = [w for w in range(declared.tuning.workers) if not is_worker_finished(study, declared, w)]
        for worker in left:
            run_search_share(settings, training_run, worker, progress)
        run = runs.get_training_run(database, training_run)
    if run.params is None:
        with studies.open_study(settings, database, declared, run) as study:
            found, ended = build_search_result(study, declared), list_trials(study)
        retry_while_unreachable(lambda: log_all_trials(settings, database, run, ended))
        run = runs.get_training_run(database, training_run)
        if run.params is None:  # nobody else did it meanwhile
            run = runs.update_training_run(database, run.id, status="tuned", params=found)
    assert run.params is not None
    return {
        "training_run": run.id,
        "params": run.params["params"],
        "loss": run.params["loss"],
        "trials": len(run.params["trials"]),
        "seconds": run.params["seconds"],
    }


def evaluate_candidate(settings: Settings, training_run: str) -> dict[str, Any]:
    """Fit the candidate, compare it with champion and baselines on the hold-out, log one MLflow run.

    Returns {"training_run", "mlflow_run", "metrics"}; the metrics are those of the gate's metric by
    contestant.
    """
    from evergreen.store.records import training_run as runs
    from evergreen.training.turns import hold_training_lock

    database, run, declared = _open_run(settings, training_run)
    if run.mlflow_run_id is None:
        if run.params is None:
            raise _build_order_error(run, "tune")
        with hold_training_lock(database, run):
            run = _evaluate_once(settings, database, declared, runs.get_training_run(database, run.id))
        if run.params is None:  # its rows could not be had again, so it began anew
            tune_model(settings, training_run)
            return evaluate_candidate(settings, training_run)
    assert run.metrics is not None
    metric = declared.gate.metric
    return {
        "training_run": run.id,
        "mlflow_run": run.mlflow_run_id,
        "metrics": {
            name: (run.metrics[name] or {}).get(metric)
            for name in ("candidate", "champion", "linear", "dummy")
        },
    }


def apply_gate(settings: Settings, training_run: str) -> dict[str, Any]:
    """Judge the candidate. A rejection is an outcome, not an error, and is recorded like a promotion.

    Returns {"training_run", "passed", "summary", "checks", "warnings"}; the last are reasons.
    """
    from evergreen.store.records import training_run as runs
    from evergreen.training.judge.gate import judge_candidate

    database, run, declared = _open_run(settings, training_run)
    if run.verdict is None:
        if run.metrics is None:
            raise _build_order_error(run, "evaluate")
        run = runs.update_training_run(
            database, run.id, status="judged", verdict=judge_candidate(declared, run.metrics).to_json()
        )
    verdict = _require_verdict(run)
    for check in verdict.checks:
        # The word in capitals is found in a log; the terminal shows a training's checks by itself.
        word = check.result if check.result == "passed" else check.result.upper()
        logger.info("%s %s: %s", word, check.name, check.reason)
    logger.info("%s", verdict.summary)
    told = verdict.to_json()
    return {name: told[name] for name in ("passed", "summary", "checks", "warnings")} | {
        "training_run": run.id
    }


def register_candidate(settings: Settings, training_run: str) -> dict[str, Any]:
    """Make the candidate a version of the registered model, passed or not, with its model card and its
    reference profile. One that passed is the challenger until it is champion.

    Returns {"training_run", "version", "passed", "summary", "card" (its address; empty without a server)}.
    """
    from evergreen.model import reference_profile
    from evergreen.registry import models
    from evergreen.registry.connection import retry_while_unreachable
    from evergreen.registry.lock import lock_use_case
    from evergreen.registry.succession.candidates import name_challenger
    from evergreen.store.records import training_run as runs
    from evergreen.training.card import render_model_card
    from evergreen.training.record.card_facts import collect_card_facts
    from evergreen.training.tracking import training_runs

    database, run, declared = _open_run(settings, training_run)
    verdict = _require_verdict(run)
    assert run.mlflow_run_id is not None
    mlflow_run = run.mlflow_run_id

    def registered() -> int:
        tags = training_runs.read_run_tags(settings, mlflow_run)
        version = models.register_model_version(
            settings,
            declared.name,
            mlflow_run,
            run.id,
            {**tags, **_build_verdict_tags(verdict)},
            description=f"As of {run.as_of:%Y-%m-%d %H:%M} UTC, because: {run.reason}. {verdict.summary}",
        )
        card = render_model_card(collect_card_facts(declared, run, tags, version))
        training_runs.write_page(settings, mlflow_run, training_runs.CARD_FILE, card)
        if verdict.passed:
            name_challenger(settings, declared.name, version)
        kept = training_runs.read_document(settings, mlflow_run, training_runs.PROFILE_FILE)
        reference_profile.save_reference_profile(
            database, declared.name, version, reference_profile.parse_profiles(kept["features"])
        )
        return version

    if run.model_version is None:
        with lock_use_case(database, declared.name):
            run = runs.get_training_run(database, run.id)
            if run.model_version is None:  # nobody else did it meanwhile
                version = retry_while_unreachable(registered)
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


def promote_candidate(settings: Settings, training_run: str) -> dict[str, Any]:
    """Make the version champion if it passed the gate; either way write the ledger.

    If another training promoted its candidate since this one was compared, the comparison no longer holds
    and this one is rejected. Where a person must approve and has not answered yet, nothing changes. Returns
    {"training_run", "version", "promoted", "waiting", "reason", "warnings"}.
    """
    from evergreen.registry.connection import retry_while_unreachable
    from evergreen.registry.lock import lock_use_case
    from evergreen.registry.succession import candidates
    from evergreen.store.records import training_run as runs

    database, run, declared = _open_run(settings, training_run)
    if run.model_version is None:
        raise _build_order_error(run, "register")
    verdict = _require_verdict(run)
    candidate = candidates.Candidate.from_run(run)
    needs_approval = declared.approval == "manual"

    with lock_use_case(database, declared.name):
        run = runs.get_training_run(database, run.id)
        if run.finished:
            found = candidates.read_settlement(database, candidate, run.status)
        else:
            found = retry_while_unreachable(
                lambda: candidates.settle_candidate(
                    settings, database, candidate, needs_approval=needs_approval
                )
            )
            ended = None if found.outcome == "waiting" else datetime.now(UTC)
            run = runs.update_training_run(database, run.id, status=found.outcome, finished_at=ended)
    return {
        "training_run": run.id,
        "version": run.model_version,
        "promoted": found.outcome == "promoted",
        "waiting": found.outcome == "waiting",
        "reason": found.reason or verdict.summary,
        "warnings": [check.reason for check in verdict.warnings],
    }


def run_train(
    settings: Settings,
    use_case: str,
    as_of: datetime,
    reason: str = "manual",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """All steps in order. Returns what they found, with the last step's "promoted" and "reason"."""
    results = prepare_training_set(settings, use_case, as_of, reason)
    training_run = results["training_run"]
    results |= {"tuning": tune_model(settings, training_run, progress)}
    results |= evaluate_candidate(settings, training_run)
    results |= {"gate": apply_gate(settings, training_run)}
    results |= register_candidate(settings, training_run)
    return results | promote_candidate(settings, training_run)


def _evaluate_once(
    settings: Settings, database: sa.Engine, declared: UseCase, run: TrainingRun
) -> TrainingRun:
    """Evaluate the run's candidate and log it, if nobody has; without `params` it must be tuned again."""
    from evergreen.ingest.provenance import read_code_version
    from evergreen.registry.connection import retry_while_unreachable
    from evergreen.store.records import training_run as runs
    from evergreen.training import candidate
    from evergreen.training.data.dataset import prepare_training_set
    from evergreen.training.record.card_facts import collect_data_facts
    from evergreen.training.record.evidence import collect_evidence
    from evergreen.training.tracking import training_runs
    from evergreen.training.tracking.showing import ensure_mlflow_run

    if run.mlflow_run_id is not None:
        return run
    load_libraries()
    digest = run.dataset_digest or ""
    finished = retry_while_unreachable(
        lambda: training_runs.find_run(settings, declared.name, run.id, digest)
    )
    if finished is not None:
        evaluation = training_runs.read_document(settings, finished, training_runs.EVALUATION_FILE)
        return runs.update_training_run(
            database, run.id, status="evaluated", metrics=evaluation, mlflow_run_id=finished
        )
    run, found = prepare_training_set(settings, database, declared, run)
    if run.params is None:
        return run
    given, tuned = candidate.prepare_rows(declared, found), run.params
    made = candidate.build_candidate(settings, database, declared, run, given, tuned)
    made.evaluation["data"] = collect_data_facts(declared, given)
    kept = collect_evidence(declared, run, given, tuned, made, read_code_version())

    def logged() -> str:
        mlflow_run = ensure_mlflow_run(settings, database, run)
        training_runs.log_run(settings, declared, mlflow_run, kept)
        return mlflow_run

    mlflow_run = retry_while_unreachable(logged)
    return runs.update_training_run(
        database, run.id, status="evaluated", metrics=made.evaluation, mlflow_run_id=mlflow_run
    )


def _build_verdict_tags(verdict: Verdict) -> dict[str, str]:
    named = {"evergreen.failed_checks": verdict.failed, "evergreen.warnings": verdict.warnings}
    return {
        "evergreen.verdict": verdict.summary[:4000],
        "evergreen.passed": str(verdict.passed).lower(),
        **{tag: ", ".join(check.name for check in checks)[:4000] for tag, checks in named.items() if checks},
    }


def _open_run(settings: Settings, training_run: str) -> tuple[sa.Engine, TrainingRun, UseCase]:
    from evergreen.store.records import training_run as runs

    database = _open_database(settings)
    found = runs.get_training_run(database, training_run)
    return database, found, load_use_case(found.use_case, settings)


def _open_database(settings: Settings) -> sa.Engine:
    from evergreen.store.connection.database import get_engine

    return get_engine(settings)


def _require_verdict(run: TrainingRun) -> Verdict:
    from evergreen.model.judging.verdict import Verdict

    if run.verdict is None:
        raise _build_order_error(run, "gate")
    return Verdict.from_json(run.verdict)


def _build_order_error(run: TrainingRun, missing: str) -> TrainingError:
    return TrainingError(
        f"training run {run.id} of {run.use_case} is {run.status}: its step {missing!r} has not been done",
        hint=f"run the steps in order: evergreen train {run.use_case} --as-of {run.as_of.isoformat()}",
    )
