"""The DAG `<use_case>__train`: training set → tune → evaluate → gate → register → promote."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Metadata, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from wiring import (
    cause,
    champion_asset,
    features_asset,
    invoke,
    moment,
    options,
    retrain_asset,
    use_cases,
)

from evergreen.loop import TRAINING_POOL
from evergreen.usecase import UseCase

DOC = """Train a candidate and let it become champion if it passes the gate.

Starts by itself when the governor asks for it (the retrain asset) and, where the use case says so, when new
features arrive. A candidate that the gate rejects is registered with the reasons, and the champion stays:
`promote` is then shown as skipped.
"""


def build(use_case: UseCase) -> None:
    champion = champion_asset(use_case)
    schedule: Any = retrain_asset(use_case)
    if use_case.retrain.on_new_data:
        schedule = schedule | features_asset(use_case)
    why = Param(
        "manual", type="string", title="Reason", description="Why this training: kept with the version."
    )

    @dag(schedule=schedule, **options(use_case, "train", DOC, reason=why))
    def train() -> None:
        @task
        def training_set() -> dict[str, Any]:
            context = get_current_context()
            return invoke("train", "training_set", use_case.name, moment(context), reason=cause(context))

        @task(pool=TRAINING_POOL)
        def tune(prepared: dict[str, Any]) -> dict[str, Any]:
            return invoke("train", "tune", prepared["training_run"])

        @task(pool=TRAINING_POOL)
        def evaluate(tuned: dict[str, Any]) -> dict[str, Any]:
            return invoke("train", "evaluate", tuned["training_run"])

        @task
        def gate(evaluated: dict[str, Any]) -> dict[str, Any]:
            return invoke("train", "gate", evaluated["training_run"])

        @task
        def register(judged: dict[str, Any]) -> dict[str, Any]:
            return invoke("train", "register", judged["training_run"])

        @task(outlets=[champion])
        def promote(registered: dict[str, Any]) -> Any:
            outcome = invoke("train", "promote", registered["training_run"])
            if not outcome["promoted"]:
                raise AirflowSkipException(outcome["reason"])
            yield Metadata(champion, outcome)
            return outcome

        promote(register(gate(evaluate(tune(training_set())))))  # type: ignore[arg-type]

    train()


for _use_case in use_cases():
    build(_use_case)
