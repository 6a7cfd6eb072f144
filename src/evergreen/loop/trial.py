"""Trials of a challenger beside the champion: started, shown and ended by people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from evergreen.documents import JsonObject
from evergreen.errors import RegistryError, SettingsError
from evergreen.monitoring.quality.trials.trial_comparison import TrialComparison
from evergreen.monitoring.quality.trials.trial_losses import compare_trial_versions
from evergreen.registry.actor import identify_actor
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.trial import end_trial, start_trial
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.model_trial import (
    ModelTrial,
    find_running_trial,
    read_trials,
)
from evergreen.store.records.trial_rows import TrialRows, count_trial_rows, describe_comparison, name_error
from evergreen.usecase import Trial, TrialMode
from evergreen.usecases import load_use_case

# A training that promotes holds the lock for seconds.
_LOCK_SECONDS = 60.0
# Of the keys, that each version of an A/B test answers unless something else is said.
_AB_SHARE = 0.5


@dataclass(frozen=True)
class TrialReport:
    """The running trial or else the last one, with the logged rows of its versions, and those before it.

    `error` says what the rows' `error` is; `comparison` is how an A/B test stands in words, or a canary once
    outcomes have arrived for both versions, and "" otherwise. `verdict` says which version is better, by
    intervals that hold at every look; None without a trial.
    """

    use_case: str
    trial: ModelTrial | None
    rows: tuple[TrialRows, ...]
    former: tuple[ModelTrial, ...]
    error: str = ""
    comparison: str = ""
    verdict: TrialComparison | None = None

    def to_json(self) -> JsonObject:
        """The report as `evergreen trial status --json` prints it."""
        return {
            "use_case": self.use_case,
            "running": self.trial is not None and self.trial.is_running,
            "trial": self.trial.to_json() if self.trial else None,
            "rows": [rows.to_json() for rows in self.rows],
            "error": self.error,
            "comparison": self.comparison,
            "verdict": self.verdict.to_json() if self.verdict else None,
            "former": [trial.to_json() for trial in self.former],
        }


def start_declared_trial(
    settings: Settings,
    use_case_name: str,
    version: int,
    *,
    mode: TrialMode | None = None,
    share: float | None = None,
    duration: timedelta | None = None,
    rival: int | None = None,
    actor: str = "",
) -> ModelTrial:
    """Start a trial by the use case's declared policy; what is given here takes precedence.

    A `rival` makes it an A/B test of both versions; one that is not declared gives each half of the keys.
    Raises UseCaseError for a share or a duration that cannot be, SettingsError for a rival in another mode,
    and what `start_trial` raises.
    """
    use_case = load_use_case(use_case_name, settings)
    policy = use_case.trial or Trial()
    if rival is not None and mode not in (None, "ab"):
        raise SettingsError(
            f"a {mode} trial has no version to be compared with but the champion",
            hint="for two versions: --mode ab --against VERSION",
        )
    mode = "ab" if rival is not None else mode
    if mode == "ab" and policy.mode != "ab" and share is None:
        share = _AB_SHARE
    policy = replace(
        policy,
        mode=policy.mode if mode is None else mode,
        share=policy.share if share is None else share,
        duration=policy.duration if duration is None else duration,
    )
    database = get_engine(settings)
    with lock_use_case(database, use_case_name, _LOCK_SECONDS):
        return start_trial(
            settings, database, use_case, version, policy, actor=actor or identify_actor(), rival=rival
        )


def end_running_trial(
    settings: Settings, use_case_name: str, *, reason: str = "", actor: str = ""
) -> ModelTrial:
    """End the running trial by hand. Raises RegistryError when none runs, StoreUnreachable."""
    database = get_engine(settings)
    trial = find_running_trial(database, use_case_name)
    if trial is None:
        raise RegistryError(
            f"no trial of {use_case_name} runs",
            hint=f"evergreen trial status {use_case_name} shows the last ones;"
            " evergreen trial start begins one",
        )
    return end_trial(
        settings,
        database,
        trial,
        outcome="stopped",
        reason=reason or "ended by hand",
        actor=actor or identify_actor(),
    )


def read_trial_report(settings: Settings, use_case_name: str, limit: int = 10) -> TrialReport:
    """The newest trials of a use case. Raises StoreUnreachable."""
    use_case = load_use_case(use_case_name, settings)
    database = get_engine(settings)
    trials = read_trials(database, use_case_name, limit)
    if not trials:
        return TrialReport(use_case_name, None, (), ())
    rows = count_trial_rows(database, use_case, trials[0])
    one, other = (rows[1], rows[2]) if len(rows) > 2 else (rows[1], rows[0])
    is_compared = trials[0].mode == "ab" or (one.error is not None and other.error is not None)
    return TrialReport(
        use_case_name,
        trials[0],
        rows,
        tuple(trials[1:]),
        name_error(use_case),
        describe_comparison(use_case, one, other) if is_compared else "",
        compare_trial_versions(database, use_case, trials[0]),
    )
