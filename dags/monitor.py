"""The DAG `<use_case>__monitor`: drift → quality → governor → retrain, or why not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import Metadata, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from wiring import begin, cron, invoke, options, retrain_asset, use_cases

from evergreen.usecase import UseCase

DOC = """Compare what was served with what the champion was trained on, and decide whether to retrain.

`drift` measures the population stability index of each feature, `quality` what the answers were worth, and
`governor` records its decision with the reason, also when it is "no". Then `retrain` is shown as skipped,
with that reason.
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
        def governor(quality_outcome: dict[str, Any]) -> dict[str, Any]:
            as_of = quality_outcome["as_of"]
            return {
                **invoke("monitor", "decide_retraining", use_case.name, datetime.fromisoformat(as_of)),
                "as_of": as_of,
            }

        @task(outlets=[retrain_wanted])
        def retrain(decision: dict[str, Any]) -> Any:
            if not decision["retrain"]:
                raise AirflowSkipException(decision["reason"])
            yield Metadata(retrain_wanted, {"as_of": decision["as_of"], "cause": "drift"})
            return decision

        retrain(governor(quality(drift())))  # type: ignore[arg-type]

    monitor()


for _use_case in use_cases():
    build(_use_case)
