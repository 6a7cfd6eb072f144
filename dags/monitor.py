"""The DAG `<use_case>__monitor`: drift → quality → governor → retrain, or why not; beside it health, alerts
and the report."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import run_notes
from airflow.sdk import Metadata, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from wiring import begin, cron, invoke, options, retrain_asset, use_cases

from evergreen.usecase import UseCase

DOC = """Compare what was served with what the champion was trained on, and decide whether to retrain.

`drift` measures how far each feature has moved, `quality` what the answers were worth, and `governor` records
its decision with the reason, also when it is "no"; the run's note has it. Only after a yes `retrain`
publishes the asset that starts a training; else it is shown as skipped, with that reason, and publishes
nothing. `health` looks at the data and the service, `alerts` tells people, and `report` attaches a page of
all this to a run of MLflow's experiment `<use_case> monitoring`; the run's note has its address. None of them
keeps the decision waiting.
"""


def build(use_case: UseCase) -> None:
    """Define the DAG of one use case."""
    retrain_wanted = retrain_asset(use_case)

    @dag(schedule=cron(use_case.schedules.monitor), **options(use_case, "monitor", DOC))
    def monitor() -> None:
        @task
        def drift() -> dict[str, Any]:
            as_of = begin(use_case, get_current_context())
            return {**invoke("monitor", "measure_drift", use_case.name, as_of), "as_of": as_of.isoformat()}

        @task
        def quality(drift_outcome: dict[str, Any]) -> dict[str, Any]:
            as_of = drift_outcome["as_of"]
            return {
                **invoke("monitor", "measure_quality", use_case.name, datetime.fromisoformat(as_of)),
                "as_of": as_of,
            }

        @task
        def health(drift_outcome: dict[str, Any]) -> dict[str, Any]:
            moment = datetime.fromisoformat(drift_outcome["as_of"])
            return invoke("monitoring.health", "measure_health", use_case.name, moment)

        @task
        def governor(quality_outcome: dict[str, Any]) -> dict[str, Any]:
            as_of = quality_outcome["as_of"]
            decision = {
                **invoke("monitor", "decide_retraining", use_case.name, datetime.fromisoformat(as_of)),
                "as_of": as_of,
            }
            run_notes.add_run_note(get_current_context(), f"retrain: {decision['reason']}")
            return decision

        @task(outlets=[retrain_wanted])
        def retrain(decision: dict[str, Any]) -> Any:
            if not decision["retrain"]:
                raise AirflowSkipException(decision["reason"])
            yield Metadata(
                retrain_wanted,
                {
                    "as_of": decision["as_of"],
                    "cause": decision["trigger"],
                    "reason": decision["reason"],
                    "decision": decision["decision"],
                    "check": decision["drift_report"],
                },
            )
            return decision

        # People are told also where the health could not be looked at, or nothing was decided.
        @task(trigger_rule="all_done")
        def alerts(drift_outcome: dict[str, Any] | None) -> dict[str, Any]:
            if drift_outcome is None:
                raise AirflowSkipException("nothing was measured")
            moment = datetime.fromisoformat(drift_outcome["as_of"])
            return invoke("monitoring.alerts", "tell_people", use_case.name, moment)

        # Last, so that the report has the alerts; and also where a step before it failed.
        @task(trigger_rule="all_done")
        def report(drift_outcome: dict[str, Any] | None) -> dict[str, Any]:
            if drift_outcome is None:
                raise AirflowSkipException("nothing was measured")
            moment = datetime.fromisoformat(drift_outcome["as_of"])
            published = invoke("monitoring.check_report", "publish_report", use_case.name, moment)
            run_notes.add_run_note(
                get_current_context(), f"report: {published['address'] or published['command']}"
            )
            return published

        measured = drift()
        decision = governor(quality(measured))  # type: ignore[arg-type]
        retrain(decision)  # type: ignore[arg-type]
        [health(measured), decision] >> alerts(measured) >> report(measured)  # type: ignore[arg-type, operator]

    monitor()


for _use_case in use_cases():
    build(_use_case)
