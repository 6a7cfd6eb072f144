"""The trial of a candidate in deploy: started, waited for, and settled by promoting or rejecting it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TypedDict, cast

from evergreen.errors import TrainingError
from evergreen.loop.deployment.promotion import promote_candidate
from evergreen.loop.monitoring.alerts import tell_trial_end
from evergreen.loop.train_results import PromotionResult
from evergreen.monitoring.quality.trials.trial_losses import compare_trial_versions
from evergreen.registry.actor import DEPLOY
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.candidates import TrialFinding
from evergreen.registry.succession.trial import end_trial_in_time, start_trial
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.model_trial import find_last_trial, find_trial
from evergreen.store.records.training_run import find_waiting_run
from evergreen.usecases import load_use_case

logger = logging.getLogger(__name__)

# Services end a trial in time; where none is there to do so, deploy does it after so long.
_OVERDUE = timedelta(seconds=30)


class CandidateTrial(TypedDict):
    """The trial of a candidate: ids of trial and training run, and the version; None where none waits."""

    trial: str | None
    training_run: str | None
    version: int | None


_NO_TRIAL: CandidateTrial = {"trial": None, "training_run": None, "version": None}


def start_candidate_trial(settings: Settings, use_case_name: str) -> CandidateTrial:
    """Start the declared trial of the candidate that waits for it; that one's trial where it has begun.

    Nothing is done where the use case declares no trial, or no candidate waits for one. Raises what
    `start_trial` raises.
    """
    use_case = load_use_case(use_case_name, settings)
    if use_case.trial is None:
        return _NO_TRIAL
    database = get_engine(settings)
    run = find_waiting_run(database, use_case_name)
    # It also says whether a person must approve first, or the candidate is champion or overtaken by now.
    if run is None or run.status != "waiting" or not promote_candidate(settings, run.id)["on_trial"]:
        return _NO_TRIAL
    version = run.model_version
    assert version is not None
    with lock_use_case(database, use_case_name):
        trial = find_last_trial(database, use_case_name, version, run.mlflow_run_id or "")
        if trial is None:
            trial = start_trial(settings, database, use_case, version, use_case.trial, actor=DEPLOY)
    return {"trial": trial.id, "training_run": run.id, "version": version}


def is_trial_over(settings: Settings, use_case_name: str, started: CandidateTrial) -> bool:
    """Whether a trial has ended, also where there is none; one that is long overdue is ended here."""
    if started["trial"] is None:
        return True
    database = get_engine(settings)
    trial = find_trial(database, started["trial"])
    if trial is None:
        raise TrainingError(
            f"the trial of {use_case_name} version {started['version']} is not in model_trial any more",
            hint=f"run deploy again: evergreen run deploy {use_case_name}",
        )
    if trial.is_running and datetime.now(UTC) > trial.ends_at + _OVERDUE:
        trial = end_trial_in_time(
            settings, database, load_use_case(use_case_name, settings), trial, actor=DEPLOY
        )
    return not trial.is_running


def settle_candidate_trial(settings: Settings, started: CandidateTrial) -> PromotionResult:
    """Promote the candidate whose trial passed, reject another one. Needs a trial that has ended.

    A candidate that the outcomes of the trial show to be worse is rejected even so; how both versions compare
    stands in the ledger's line. A trial that saw too little for a verdict is settled as the use case declares
    it (`Trial.without_verdict`), with a warning in the log.
    """
    database = get_engine(settings)
    trial = find_trial(database, cast("str", started["trial"]))
    finding = None
    if trial is not None and trial.outcome in ("passed", "no_verdict"):
        compared = compare_trial_versions(database, load_use_case(trial.use_case, settings), trial)
        logger.info("%s", compared.sentence)
        finding = TrialFinding(compared.sentence, is_worse=compared.is_worse)
    result = promote_candidate(settings, cast("str", started["training_run"]), finding)
    if trial is not None:
        tell_trial_end(settings, trial)
    if result["promoted"] and trial is not None and trial.outcome == "no_verdict":
        logger.warning(
            "v%d goes live by the gate's verdict alone: %s", trial.challenger_version, trial.reason
        )
    return result
