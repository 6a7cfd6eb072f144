"""Trials of a challenger beside the champion: started, shown and ended by people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from evergreen.errors import RegistryError
from evergreen.registry.actor import identify_actor
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.trial import end_trial, start_trial
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.model_trial import (
    ModelTrial,
    TrialRows,
    count_trial_rows,
    find_running_trial,
    read_trials,
)
from evergreen.usecase import Trial, TrialMode
from evergreen.usecases import load_use_case

# A training that promotes holds the lock for seconds.
_LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class TrialReport:
    """The running trial or else the last one, with the logged rows of both versions, and those before it."""

    use_case: str
    trial: ModelTrial | None
    rows: tuple[TrialRows, ...]
    former: tuple[ModelTrial, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as `evergreen trial status --json` prints it."""
        return {
            "use_case": self.use_case,
            "running": self.trial is not None and self.trial.is_running,
            "trial": self.trial.to_json() if self.trial else None,
            "rows": [vars(rows) for rows in self.rows],
            "former": [trial.to_json() for trial in self.former],
        }


def start_declared_trial(
    settings: Settings,
    use_case: str,
    version: int,
    *,
    mode: TrialMode | None = None,
    share: float | None = None,
    duration: timedelta | None = None,
    actor: str = "",
) -> ModelTrial:
    """Start a trial by the use case's declared policy; what is given here takes precedence.

    Raises UseCaseError for a share or a duration that cannot be, and what `start_trial` raises.
    """
    declared = load_use_case(use_case, settings)
    policy = declared.trial or Trial()
    policy = replace(
        policy,
        mode=policy.mode if mode is None else mode,
        share=policy.share if share is None else share,
        duration=policy.duration if duration is None else duration,
    )
    database = get_engine(settings)
    with lock_use_case(database, use_case, _LOCK_SECONDS):
        return start_trial(settings, database, declared, version, policy, actor=actor or identify_actor())


def end_running_trial(settings: Settings, use_case: str, *, reason: str = "", actor: str = "") -> ModelTrial:
    """End the running trial by hand. Raises RegistryError when none runs, StoreUnreachable."""
    database = get_engine(settings)
    trial = find_running_trial(database, use_case)
    if trial is None:
        raise RegistryError(
            f"no trial of {use_case} runs",
            hint=f"evergreen trial status {use_case} shows the last ones; evergreen trial start begins one",
        )
    return end_trial(
        settings,
        database,
        trial,
        outcome="stopped",
        reason=reason or "ended by hand",
        actor=actor or identify_actor(),
    )


def read_trial_report(settings: Settings, use_case: str, limit: int = 10) -> TrialReport:
    """The newest trials of a use case. Raises StoreUnreachable."""
    declared = load_use_case(use_case, settings)
    database = get_engine(settings)
    trials = read_trials(database, use_case, limit)
    if not trials:
        return TrialReport(use_case, None, (), ())
    return TrialReport(
        use_case, trials[0], count_trial_rows(database, declared, trials[0]), tuple(trials[1:])
    )
