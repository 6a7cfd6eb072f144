"""The DAG `<use_case>__deploy`: service healthy → serving the champion → probe → finalize or roll back."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task
from wiring import champion_asset, invoke, options, use_cases

from evergreen.usecase import UseCase

DOC = """See that the running service serves the new champion, and roll back if its answers are wrong.

Starts by itself when a champion is promoted. The probe requests are logged in a channel of their own: they
count neither as traffic nor as drift.
"""


def build(use_case: UseCase) -> None:
    """Define the DAG of one use case."""

    @dag(schedule=champion_asset(use_case), **options(use_case, "deploy", DOC))
    def deploy() -> None:
        @task
        def healthy() -> dict[str, Any]:
            return invoke("deploy", "wait_until_healthy", use_case.name)

        @task
        def serving_champion() -> dict[str, Any]:
            return invoke("deploy", "wait_for_champion", use_case.name)

        @task
        def probe() -> dict[str, Any]:
            return invoke("deploy", "probe_service", use_case.name)

        @task
        def finalize(report: dict[str, Any]) -> dict[str, Any]:
            return invoke("deploy", "finalize_deployment", use_case.name, report)

        report = probe()
        healthy() >> serving_champion() >> report
        finalize(report)  # type: ignore[arg-type]

    deploy()


for _use_case in use_cases():
    build(_use_case)
