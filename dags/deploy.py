"""The DAG `<use_case>__deploy`: healthy → (trial) → serving the champion → probe → finalize or roll back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import run_notes
from airflow.sdk import dag, get_current_context, task
from wiring import champion_asset, invoke, options, use_cases

from evergreen.usecase import UseCase

DOC = """See that the running service serves the new champion, and roll back if its answers are wrong.

Starts by itself when a champion is promoted. The probe requests are logged in a channel of their own: they
count neither as traffic nor as drift.

Where the use case declares a trial, a candidate that passed the gate is tried first: `start_trial` starts it,
`trial_over` waits for its end, and `settle` promotes or rejects the candidate. The ledger says why.
"""

# A trial that no service ends is ended by `trial_over`; the rest is for a restart of Airflow meanwhile.
_LONGEST_DELAY = timedelta(hours=1)


def build(use_case: UseCase) -> None:
    """Define the DAG of one use case."""
    longest = _LONGEST_DELAY + (use_case.trial.duration if use_case.trial else timedelta(0))

    @dag(schedule=champion_asset(use_case), **options(use_case, "deploy", DOC))
    def deploy() -> None:
        @task
        def healthy() -> dict[str, Any]:
            return invoke("deployment.deploy", "wait_until_healthy", use_case.name)

        @task
        def start_trial() -> dict[str, Any]:
            return invoke("deployment.candidate_trial", "start_candidate_trial", use_case.name)

        # In the mode "reschedule" it takes no place of a worker while it waits.
        @task.sensor(poke_interval=10, timeout=longest.total_seconds(), mode="reschedule")
        def trial_over(started: dict[str, Any]) -> bool:
            return bool(invoke("deployment.candidate_trial", "is_trial_over", use_case.name, started))

        @task
        def settle(started: dict[str, Any]) -> dict[str, Any] | None:
            if started["trial"] is None:
                return None
            outcome: dict[str, Any] = invoke("deployment.candidate_trial", "settle_candidate_trial", started)
            if not outcome["promoted"]:
                run_notes.add_run_note(get_current_context(), f"The champion stays: {outcome['reason']}")
            return outcome

        @task
        def serving_champion() -> dict[str, Any]:
            return invoke("deployment.deploy", "wait_for_champion", use_case.name)

        @task
        def probe() -> dict[str, Any]:
            return invoke("deployment.deploy", "probe_service", use_case.name)

        @task
        def finalize(report: dict[str, Any]) -> dict[str, Any]:
            return invoke("deployment.deploy", "finalize_deployment", use_case.name, report)

        report = probe()
        if use_case.trial is None:
            healthy() >> serving_champion() >> report
        else:
            started = start_trial()
            settled = settle(started)  # type: ignore[arg-type]
            healthy() >> started >> trial_over(started) >> settled >> serving_champion() >> report  # type: ignore[arg-type]
        finalize(report)  # type: ignore[arg-type]

    deploy()


for _use_case in use_cases():
    build(_use_case)
