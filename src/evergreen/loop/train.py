"""Train: training set → tune → evaluate → gate → register → promote, each step safe to run again.

A step finds what an earlier attempt left by the training run's id, which follows from (use case, as_of):
its row in MariaDB, its MLflow run (by tag), its registered version (by MLflow run), its line in the ledger.
So a kill between any two side effects, followed by a rerun, ends as one clean run would. Side effects come
in the order in which an unfinished one does least harm: the version before its profile, the ledger before
the alias.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from evergreen.errors import TrainingError
from evergreen.loop import refuse_future
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecases import load

if TYPE_CHECKING:
    import sqlalchemy as sa

    from evergreen.training.candidate import Rows
    from evergreen.training.gate import Verdict
    from evergreen.training.runs import TrainingRun
    from evergreen.training.tuning import Progress

logger = logging.getLogger(__name__)


def training_set(
    settings: Settings, use_case: str, as_of: datetime, reason: str = "manual"
) -> dict[str, Any]:
    """Begin the training run of (use_case, as_of), and see that there is a training set for it.

    Returns {"training_run", "rows", "digest"}. Raises EmptyTrainingSet, NotEnoughData, TrainingError for
    a gate whose metric does not exist, and SettingsError for a moment in the future.
    """
    from evergreen.training import runs
    from evergreen.training.dataset import prepared
    from evergreen.training.evaluation import check_metric

    refuse_future(as_of)
    declared = load(use_case, settings)
    check_metric(declared)
    database = _database(settings)
    run = runs.start(database, use_case, as_of, reason)
    if run.mlflow_run_id is None:
        run, _ = prepared(settings, database, declared, run)
    logger.info("training set of %s as of %s: %s rows", use_case, as_of.isoformat(), run.dataset_rows)
    return {"training_run": run.id, "rows": run.dataset_rows, "digest": run.dataset_digest}


def tune(settings: Settings, training_run: str, progress: Progress | None = None) -> dict[str, Any]:
    """Search the use case's parameter space; the result is kept, so a second call only returns it.

    Each trial is a line in the log, and is given to `progress`. Returns {"training_run", "params", "loss",
    "trials", "seconds"}.
    """
    from evergreen.training.candidate import rows
    from evergreen.training.dataset import prepared

    database, run, declared = _begun(settings, training_run)
    if run.params is None:
        run, found = prepared(settings, database, declared, run)
        run = _tuned(settings, declared, run, rows(declared, found), progress)
    assert run.params is not None
    return {
        "training_run": run.id,
        "params": run.params["params"],
        "loss": run.params["loss"],
        "trials": len(run.params["trials"]),
        "seconds": run.params["seconds"],
    }


def evaluate(settings: Settings, training_run: str) -> dict[str, Any]:
    """Fit the candidate, compare it with champion and baseline on the hold-out, log one MLflow run.

    Returns {"training_run", "mlflow_run", "metrics"}; the metrics are those of the gate's metric by
    contestant.
    """
    from evergreen.training import candidate, runs, tracking
    from evergreen.training.dataset import prepared

    database, run, declared = _begun(settings, training_run)
    if run.mlflow_run_id is None:
        if run.params is None:
            raise _out_of_order(run, "tune")
        assert run.dataset_digest is not None
        finished = tracking.find_run(settings, declared.name, run.id, run.dataset_digest)
        if finished is None:
            run, found = prepared(settings, database, declared, run)
            given = candidate.rows(declared, found)
            if run.params is None:
                run = _tuned(settings, declared, run, given)
            assert run.params is not None
            evaluation, evidence = candidate.evaluate(settings, declared, run, given, run.params)
            finished = tracking.log_run(settings, declared, evidence)
        else:
            evaluation = tracking.read_document(settings, finished, tracking.EVALUATION_FILE)
        run = runs.update(database, run.id, status="evaluated", metrics=evaluation, mlflow_run_id=finished)
    assert run.metrics is not None
    metric = declared.gate.metric
    return {
        "training_run": run.id,
        "mlflow_run": run.mlflow_run_id,
        "metrics": {
            name: (run.metrics[name] or {}).get(metric) for name in ("candidate", "baseline", "champion")
        },
    }


def gate(settings: Settings, training_run: str) -> dict[str, Any]:
    """Judge the candidate. A rejection is an outcome, not an error, and is recorded like a promotion.

    Returns {"training_run", "passed", "summary", "checks"}.
    """
    from evergreen.training import runs
    from evergreen.training.gate import judge

    database, run, declared = _begun(settings, training_run)
    if run.verdict is None:
        if run.metrics is None:
            raise _out_of_order(run, "evaluate")
        verdict = judge(
            declared,
            run.metrics["candidate"],
            run.metrics["baseline"],
            run.metrics["champion"],
            run.metrics["champion_version"],
            run.metrics["remark"],
        )
        run = runs.update(database, run.id, status="judged", verdict=verdict.to_json())
    verdict = _verdict(run)
    logger.info("%s", verdict.summary)
    told = verdict.to_json()
    return {name: told[name] for name in ("passed", "summary", "checks")} | {"training_run": run.id}


def register(settings: Settings, training_run: str) -> dict[str, Any]:
    """Make the candidate a version of the registered model, passed or not, and keep its reference profile.

    Returns {"training_run", "version"}.
    """
    from evergreen.registry import models
    from evergreen.training import profile, promotion, runs, tracking

    database, run, declared = _begun(settings, training_run)
    if run.model_version is None:
        verdict = _verdict(run)
        assert run.mlflow_run_id is not None
        with promotion.alone(database, declared.name):
            version = models.register(
                settings,
                declared.name,
                run.mlflow_run_id,
                run.id,
                _version_tags(settings, run, verdict),
                description=f"As of {run.as_of:%Y-%m-%d %H:%M} UTC, because: {run.reason}. {verdict.summary}",
            )
            kept = tracking.read_document(settings, run.mlflow_run_id, tracking.PROFILE_FILE)
            profile.save(database, declared.name, version, profile.from_json(kept["features"]))
            run = runs.update(database, run.id, status="registered", model_version=version)
    return {"training_run": run.id, "version": run.model_version}


def promote(settings: Settings, training_run: str) -> dict[str, Any]:
    """Make the version champion if it passed the gate; either way write the ledger.

    If another training promoted its candidate since this one was compared, the comparison no longer holds
    and this one is rejected. Returns {"training_run", "version", "promoted", "reason"}.
    """
    from evergreen.training import promotion, runs

    database, run, declared = _begun(settings, training_run)
    if run.model_version is None:
        raise _out_of_order(run, "register")
    if not run.finished:
        with promotion.alone(database, declared.name):
            promoted = promotion.settle(settings, database, run, _verdict(run))
            run = runs.update(
                database,
                run.id,
                status="promoted" if promoted else "rejected",
                finished_at=datetime.now(UTC),
            )
    return {
        "training_run": run.id,
        "version": run.model_version,
        "promoted": run.status == "promoted",
        "reason": promotion.reason(database, run) or _verdict(run).summary,
    }


def run(
    settings: Settings,
    use_case: str,
    as_of: datetime,
    reason: str = "manual",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """All steps in order. Returns what they found, with the last step's "promoted" and "reason"."""
    results = training_set(settings, use_case, as_of, reason)
    training_run = results["training_run"]
    results |= {"tuning": tune(settings, training_run, progress)}
    results |= evaluate(settings, training_run)
    results |= {"gate": gate(settings, training_run)}
    results |= register(settings, training_run)
    return results | promote(settings, training_run)


def _version_tags(settings: Settings, run: TrainingRun, verdict: Verdict) -> dict[str, str]:
    from evergreen.training import tracking

    return {
        **tracking.run_tags(settings, run.mlflow_run_id or ""),
        "evergreen.verdict": verdict.summary[:4000],
        "evergreen.passed": str(verdict.passed).lower(),
    }


def _begun(settings: Settings, training_run: str) -> tuple[sa.Engine, TrainingRun, UseCase]:
    from evergreen.training import runs

    database = _database(settings)
    found = runs.get(database, training_run)
    return database, found, load(found.use_case, settings)


def _database(settings: Settings) -> sa.Engine:
    from evergreen.store.database import engine

    return engine(settings)


def _tuned(
    settings: Settings, use_case: UseCase, run: TrainingRun, given: Rows, progress: Progress | None = None
) -> TrainingRun:
    """Search the parameters on the training part of these rows, and keep them with the run."""
    from evergreen.training import runs
    from evergreen.training.matrix import rows_of
    from evergreen.training.split import validation
    from evergreen.training.tuning import tune as search

    found = search(
        use_case,
        rows_of(given.columns, given.train),
        given.label[given.train],
        validation(use_case, given.frame[given.train]),
        threads=settings.threads,
        progress=progress,
    )
    return runs.update(_database(settings), run.id, status="tuned", params=found.to_json())


def _verdict(run: TrainingRun) -> Verdict:
    from evergreen.training.gate import Verdict

    if run.verdict is None:
        raise _out_of_order(run, "gate")
    return Verdict.from_json(run.verdict)


def _out_of_order(run: TrainingRun, missing: str) -> TrainingError:
    return TrainingError(
        f"training run {run.id} of {run.use_case} is {run.status}: its step {missing!r} has not been done",
        hint=f"run the steps in order: evergreen run train {run.use_case} --as-of {run.as_of.isoformat()}",
    )
