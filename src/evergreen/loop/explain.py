"""What the gate said of a version, check by check."""

from __future__ import annotations

from typing import Any

from evergreen.errors import RegistryError
from evergreen.settings import Settings
from evergreen.usecases import load_use_case


def explain_verdict(settings: Settings, use_case: str, version: int) -> dict[str, Any]:
    """The verdict on a version with every check, its numbers and its reason, JSON-able.

    {"use_case", "version", "training_run", "mlflow_run", "as_of", "reason", "outcome", "outcome_because",
    "passed", "summary", "champion_version", "checks", "warnings", "dataset_digest", "model_digest", "card"}.
    A check's "result" is "passed", "failed" or "warning"; "warnings" are the reasons of the last kind.
    Raises TrainingError when no training on record made that version.
    """
    from evergreen.model.judging.verdict import Verdict
    from evergreen.registry import promotion
    from evergreen.store.connection.database import get_engine
    from evergreen.store.records import training_run
    from evergreen.training.tracking import training_runs

    load_use_case(use_case, settings)
    database = get_engine(settings)
    run = training_run.get_run_of_version(database, use_case, version)
    assert run.verdict is not None
    verdict = Verdict.from_json(run.verdict)
    ended = promotion.read_settlement(database, run) if run.finished else None
    try:
        card = training_runs.build_run_url(settings, run.mlflow_run_id or "", training_runs.CARD_FILE)
    except RegistryError:  # the run may be deleted, or MLflow away: the verdict is in MariaDB
        card = ""
    return {
        "use_case": use_case,
        "version": version,
        "training_run": run.id,
        "mlflow_run": run.mlflow_run_id,
        "as_of": run.as_of.isoformat(),
        "reason": run.reason,
        "outcome": ended.outcome if ended else run.status,
        "outcome_because": ended.reason if ended else "",
        **verdict.to_json(),
        "dataset_digest": run.dataset_digest,
        "model_digest": (run.metrics or {}).get("model_digest"),
        "card": card,
    }
