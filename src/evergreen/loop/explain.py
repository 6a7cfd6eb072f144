"""`evergreen gate explain`: the gate's verdict on a version, check by check, and how its training ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from evergreen.documents import JsonObject
from evergreen.errors import RegistryError
from evergreen.model.judging.verdict import Verdict
from evergreen.registry.succession.candidates import Candidate, read_settlement
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.training_run import get_run_of_version
from evergreen.training.tracking import training_runs
from evergreen.usecases import load_use_case


@dataclass(frozen=True)
class VerdictExplanation:
    """The verdict on a version, the training that made it, and how that ended.

    `as_of` is the moment (aware UTC) that the training worked as of, `reason` why it was started. `outcome`
    is how it ended, or its status while it has not; `outcome_because` says why, as the ledger has it (empty
    while it has not). `card` is the address of the model card; empty where MLflow does not have it.
    """

    use_case: str
    version: int
    training_run: str
    mlflow_run: str | None
    as_of: datetime
    reason: str
    outcome: str
    outcome_because: str
    verdict: Verdict
    dataset_digest: str | None
    model_digest: str | None
    card: str

    def to_json(self) -> JsonObject:
        """The explanation as `evergreen gate explain --json` prints it, with the verdict's fields beside it.

        A check's "result" is "passed", "failed" or "warning"; "warnings" are the reasons of the last kind.
        """
        return {
            "use_case": self.use_case,
            "version": self.version,
            "training_run": self.training_run,
            "mlflow_run": self.mlflow_run,
            "as_of": self.as_of.isoformat(),
            "reason": self.reason,
            "outcome": self.outcome,
            "outcome_because": self.outcome_because,
            **self.verdict.to_json(),
            "dataset_digest": self.dataset_digest,
            "model_digest": self.model_digest,
            "card": self.card,
        }


def explain_verdict(settings: Settings, use_case_name: str, version: int) -> VerdictExplanation:
    """Why that version was promoted, rejected or denied, or what it waits for.

    Raises TrainingError when no training on record made that version.
    """
    load_use_case(use_case_name, settings)
    database = get_engine(settings)
    run = get_run_of_version(database, use_case_name, version)
    candidate = Candidate.from_run(run)
    settlement = read_settlement(database, candidate, run.status) if run.finished else None
    try:
        card = training_runs.build_run_url(settings, run.mlflow_run_id or "", training_runs.CARD_FILE)
    except RegistryError:  # the run may be deleted, or MLflow away: the verdict is in MariaDB
        card = ""
    return VerdictExplanation(
        use_case=use_case_name,
        version=version,
        training_run=run.id,
        mlflow_run=run.mlflow_run_id,
        as_of=run.as_of,
        reason=run.reason,
        outcome=settlement.outcome if settlement else run.status,
        outcome_because=settlement.reason if settlement else "",
        verdict=candidate.verdict,
        dataset_digest=run.dataset_digest,
        model_digest=run.model_digest,
        card=card,
    )
