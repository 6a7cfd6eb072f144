"""The DAG `<use_case>__upkeep`: partitions of the prediction log and pruning of the history, once a day."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, get_current_context, task
from wiring import begin, cron, invoke, options, use_cases

from evergreen.loop import UPKEEP_SCHEDULE
from evergreen.usecase import UseCase

DOC = """Maintain the tables: add and drop daily partitions of the prediction log, prune the history.

Partitions are added a week ahead and dropped after the declared retention of the prediction log. Versions
of rows that were overwritten or deleted are pruned after `EVERGREEN_HISTORY_DAYS` days, details of monitoring
checks after `EVERGREEN_CHECK_DAYS` days. It needs no champion, and running it again changes nothing.
"""


def build(use_case: UseCase) -> None:
    """Define the DAG of one use case."""

    @dag(schedule=cron(UPKEEP_SCHEDULE), **options(use_case, "upkeep", DOC))
    def upkeep() -> None:
        @task
        def tables() -> dict[str, Any]:
            return invoke("upkeep", "run_upkeep", use_case.name, begin(use_case, get_current_context()))

        tables()

    upkeep()


for _use_case in use_cases():
    build(_use_case)
