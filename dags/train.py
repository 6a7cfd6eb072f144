"""The DAG `<use_case>__train`: training set → search → evaluate → gate → register → (approval) → promote."""

from __future__ import annotations

from typing import Any

import approval
import run_notes
from airflow.sdk import Metadata, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from wiring import (
    begin,
    cause,
    champion_asset,
    features_asset,
    invoke,
    on_assets_or_schedule,
    options,
    retrain_asset,
    use_cases,
)

from evergreen.loop import TRAINING_POOL
from evergreen.usecase import UseCase

WAITING_RUNS = 8

DOC = """Train a candidate and let it become champion if it passes the gate.

Starts by itself when the governor asks for it (the retrain asset) and, where the use case says so, on a
schedule or when new features arrive. `search` has a mapped task for each of the search's workers, which
share its trials. A candidate that the gate rejects is registered with the reasons, and the champion stays:
`promote` is then shown as skipped. The run's note is the verdict, with its warnings. Where the use case wants
a person's approval, `approve` waits for it, with the verdict and the model card's address in its form;
without an answer in time the version stays out. Where it wants a trial, `promote` leaves the candidate to the
DAG `deploy`, which tries it beside the champion.
"""


def build(use_case: UseCase) -> None:
    """Define the DAG of one use case."""
    champion = champion_asset(use_case)
    events: Any = retrain_asset(use_case)
    if use_case.retrain.on_new_data:
        events = events | features_asset(use_case)
    schedule = on_assets_or_schedule(events, use_case.schedules.train)
    why = Param(
        "manual", type="string", title="Reason", description="Why this training: kept with the version."
    )

    arguments = options(use_case, "train", DOC, reason=why)
    if use_case.approval == "manual":
        # A run may wait for its approval for days, and others must run meanwhile. Fits still take turns.
        arguments["max_active_runs"] = WAITING_RUNS

    @dag(schedule=schedule, **arguments)
    def train() -> None:
        @task
        def training_set() -> dict[str, Any]:
            context = get_current_context()
            return invoke(
                "train",
                "prepare_training_set",
                use_case.name,
                begin(use_case, context),
                reason=cause(context),
            )

        # The workers of a divided search run at the same time; other searches take turns in the pool.
        is_divided = use_case.tuning.workers > 1

        @task(pool=None if is_divided else TRAINING_POOL)
        def search(prepared: dict[str, Any], worker: int) -> dict[str, Any]:
            return invoke("train", "run_search_share", prepared["training_run"], worker)

        @task(pool=TRAINING_POOL)
        def tune(prepared: dict[str, Any]) -> dict[str, Any]:
            return invoke("train", "tune_model", prepared["training_run"])

        @task(pool=TRAINING_POOL)
        def evaluate(tuned: dict[str, Any]) -> dict[str, Any]:
            return invoke("train", "evaluate_candidate", tuned["training_run"])

        @task
        def gate(evaluated: dict[str, Any]) -> dict[str, Any]:
            verdict: dict[str, Any] = invoke("train", "apply_gate", evaluated["training_run"])
            run_notes.add_run_note(get_current_context(), verdict["summary"])
            return verdict

        @task
        def register(judged: dict[str, Any]) -> dict[str, Any]:
            return invoke("train", "register_candidate", judged["training_run"])

        # A version that the gate rejected needs no approval, but gets its line in the ledger.
        @task(outlets=[champion], trigger_rule="none_failed")
        def promote(registered: dict[str, Any] | None) -> Any:
            if registered is None:  # the run was skipped from its first task on
                raise AirflowSkipException("nothing was trained")
            answer = approval.answer(get_current_context()) if use_case.approval == "manual" else None
            run = registered["training_run"]
            outcome = (
                invoke("approval", "answer_approval", run, **answer)
                if answer
                else invoke("train", "promote_candidate", run)
            )
            # A candidate that is to be tried starts a deploy too, which promotes or rejects it.
            if not outcome["promoted"] and not outcome["on_trial"]:
                raise AirflowSkipException(outcome["reason"])
            yield Metadata(champion, outcome)
            return outcome

        prepared = training_set()
        tuned = tune(prepared)  # type: ignore[arg-type]
        workers = list(range(use_case.tuning.workers))
        search.partial(prepared=prepared).expand(worker=workers) >> tuned  # type: ignore[arg-type]
        registered = register(gate(evaluate(tuned)))  # type: ignore[arg-type]
        promoted = promote(registered)  # type: ignore[arg-type]
        if use_case.approval == "manual":
            approval.ask(use_case, registered) >> promoted

    train()


for _use_case in use_cases():
    build(_use_case)
