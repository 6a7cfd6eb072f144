"""Trials of registered versions beside the champion: started and ended here, and followed by every service.

A trial runs while its row in `model_trial` is open. It is started under `lock_use_case`; it is ended under a
lock of its own, because a service that ends one must not wait for a training that promotes.
"""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime

import sqlalchemy as sa

from evergreen.errors import EvergreenError, RegistryError, StoreError
from evergreen.registry import ledger
from evergreen.registry.champion import require_champion
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession import aliases
from evergreen.registry.verification import load_recorded_model
from evergreen.settings import Settings
from evergreen.store.records.model_trial import (
    ModelTrial,
    TrialOutcome,
    close_trial,
    find_running_trial,
    find_trial,
    insert_trial,
)
from evergreen.store.records.trial_rows import count_trial_rows, describe_comparison
from evergreen.usecase import Trial, UseCase

logger = logging.getLogger(__name__)


def start_trial(
    settings: Settings,
    database: sa.Engine,
    use_case: UseCase,
    version: int,
    policy: Trial,
    *,
    actor: str,
    rival: int | None = None,
) -> ModelTrial:
    """Start a trial of a registered version beside the champion. The caller holds `lock_use_case`.

    In an A/B test it is compared with the version `rival`; None, or the champion's, is the champion. The
    versions are loaded and compared with their records first, as for a rollback. A trial of the same versions
    and mode that runs already is returned. Raises NoChampion; RegistryError where the version is the champion
    or the rival itself, another trial runs, or a model cannot be loaded; ModelRefused, SignatureMismatch,
    NotRegistered.
    """
    assert rival is None or policy.mode == "ab", policy.mode
    name = use_case.name
    running = find_running_trial(database, name)
    if running is not None and running.ends_at <= datetime.now(UTC):
        end_trial_in_time(settings, database, use_case, running, actor=actor)
        running = None
    champion = require_champion(settings, name)
    rival = None if rival == champion.version else rival
    if running is not None:
        if (running.challenger_version, running.rival_version, running.mode) == (version, rival, policy.mode):
            return running
        raise RegistryError(
            f"a trial of {name} runs already: {running.describe()}, until"
            f" {running.ends_at:%Y-%m-%d %H:%M:%S} UTC",
            hint=f"wait for its end, or end it: evergreen trial end {name}",
        )
    if version == rival:
        raise RegistryError(
            f"version {version} of {name} cannot be compared with itself", hint="give two versions"
        )
    if champion.version == version:
        raise RegistryError(
            f"version {version} of {name} is the champion: there is nothing to compare it with",
            hint=f"give another version; evergreen ledger {name} shows which there are"
            + (f". For a test of both: evergreen trial start {name} {rival} --mode ab" if rival else ""),
        )
    loaded = load_recorded_model(settings, database, use_case, version)
    loaded_rival = load_recorded_model(settings, database, use_case, rival) if rival is not None else None
    now = datetime.now(UTC)  # loading took its time, in which nothing is tried yet
    trial = ModelTrial(
        id=str(uuid.uuid4()),
        use_case=name,
        mode=policy.mode,
        champion_version=champion.version,
        challenger_version=version,
        challenger_run_id=loaded.run_id,
        share=1.0 if policy.mode == "shadow" else policy.share,
        limits=policy.limits,
        started_at=now,
        ends_at=now + policy.duration,
        started_by=actor,
        rival_version=rival,
        rival_run_id=loaded_rival.run_id if loaded_rival else None,
    )
    ledger.append_entry(
        database,
        use_case_name=name,
        action="start_trial",
        from_version=champion.version,
        to_version=version,
        training_run_id=None,
        mlflow_run_id=loaded.run_id or None,
        actor=actor,
        reason=f"{trial.describe()}, until {trial.ends_at:%Y-%m-%d %H:%M:%S} UTC",
        at=now,
    )
    aliases.set_challenger(settings, name, version)
    insert_trial(database, trial)  # last: from now on the services follow it
    return trial


def end_trial(
    settings: Settings,
    database: sa.Engine,
    trial: ModelTrial,
    *,
    outcome: TrialOutcome,
    reason: str,
    actor: str,
) -> ModelTrial:
    """End a trial, in the ledger, in MariaDB and in MLflow; the trial as it ended.

    The first end stands, whoever calls this afterwards, and on whatever machine. An MLflow that does not
    answer keeps its alias `challenger`, with a warning in the log. Raises StoreUnreachable, StoreError.
    """
    with lock_use_case(database, trial.use_case, seconds=30.0, purpose="trial"):
        standing = find_trial(database, trial.id)
        if standing is None:
            raise StoreError(
                f"the trial of {trial.use_case} is not in model_trial any more",
                hint="somebody has deleted its row, or the use case was erased",
            )
        if not standing.is_running:
            return standing
        now = datetime.now(UTC)
        # A process that was killed between both writes has left its line; its row is closed as it says.
        entry = _find_end(database, standing) or ledger.append_entry(
            database,
            use_case_name=trial.use_case,
            action="end_trial",
            from_version=trial.champion_version,
            to_version=trial.challenger_version,
            training_run_id=None,
            mlflow_run_id=trial.challenger_run_id or None,
            actor=actor,
            reason=f"{outcome.replace('_', ' ')}: {reason}",
            at=now,
        )
        words, _, reason = entry.reason.partition(": ")
        close_trial(
            database,
            trial.id,
            at=entry.at,
            outcome=words.replace(" ", "_"),  # type: ignore[arg-type]
            reason=reason,
            by=entry.actor,
        )
    _remove_alias(settings, trial)
    ended = find_trial(database, trial.id)
    assert ended is not None
    return ended


def end_trial_in_time(
    settings: Settings, database: sa.Engine, use_case: UseCase, trial: ModelTrial, *, actor: str
) -> ModelTrial:
    """End a trial whose time is over: passed, or without verdict where a version answered too little.

    The reason says how many rows the versions answered, and of an A/B test how it ended by the outcomes that
    have arrived. Raises StoreUnreachable, StoreError.
    """
    champion, *on_trial = count_trial_rows(database, use_case, trial)
    fewest = min(on_trial, key=lambda version: version.rows)
    needed = trial.limits.min_rows
    who = "the challenger" if trial.rival_version is None else f"v{fewest.version}"
    if fewest.rows < needed:
        outcome: TrialOutcome = "no_verdict"
        reason = f"{who} answered {fewest.rows:,} of {needed:,} rows that a verdict needs"
    else:
        outcome = "passed"
        reason = f"{who} answered {fewest.rows:,} rows within the limits"
    if trial.mode == "ab":
        other = on_trial[1] if len(on_trial) > 1 else champion
        reason = f"{reason}; {describe_comparison(use_case, on_trial[0], other)}"
    return end_trial(settings, database, trial, outcome=outcome, reason=reason, actor=actor)


def _find_end(database: sa.Engine, trial: ModelTrial) -> ledger.Entry | None:
    """The line that ends this trial: one trial runs at a time, so it is one after the newest start.

    MariaDB numbers the lines, so that the clocks of several machines do not matter.
    """
    start = ledger.find_entry(database, trial.use_case, "start_trial", to_version=trial.challenger_version)
    end = ledger.find_entry(database, trial.use_case, "end_trial", to_version=trial.challenger_version)
    return end if start is not None and end is not None and end.id > start.id else None


def _remove_alias(settings: Settings, trial: ModelTrial) -> None:
    try:
        aliases.remove_challenger(settings, trial.use_case, trial.challenger_version)
    except EvergreenError as error:
        logger.warning("MLflow keeps the alias of a challenger whose trial has ended: %s", error.message)
