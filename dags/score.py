"""The DAG `<use_case>__score`: partitions → mapped scoring → predictions in MariaDB."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import dag, get_current_context, task
from wiring import begin, cron, invoke, options, use_cases

from evergreen.usecase import UseCase

DOC = """Score every entity of the online store with the champion and write the predictions to the prediction
log.

One mapped task per partition, so that the work spreads over the workers. Running it again writes the same
rows.
"""


def build(use_case: UseCase) -> None:
    """Define the DAG of one use case."""

    @dag(schedule=cron(use_case.schedules.score), **options(use_case, "score", DOC))
    def score() -> None:
        @task
        def partitions() -> list[dict[str, Any]]:
            as_of = begin(use_case, get_current_context())
            ranges = invoke("score", "plan_partitions", use_case.name, as_of)
            return [{**key_range, "as_of": as_of.isoformat()} for key_range in ranges]

        @task
        def score_partition(partition: dict[str, Any]) -> dict[str, Any]:
            as_of = datetime.fromisoformat(partition["as_of"])
            return invoke("score", "score_partition", use_case.name, as_of, partition)

        score_partition.expand(partition=partitions())

    score()


for _use_case in use_cases():
    build(_use_case)
