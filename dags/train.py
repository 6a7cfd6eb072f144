"""The DAG `<use_case>__train`: decide → training set → search → evaluate → gate → register → (approval) →
promote."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import approval
import run_notes
from airflow.sdk import Metadata, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from wiring import (
    begin,
    champion_asset,
    features_asset,
    invoke,
    on_assets_or_schedule,
    options,
    retrain_asset,
    training_cause,
    use_cases,
)

from evergreen.loop import TRAINING_POOL
from evergreen.usecase import UseCase

WAITING_RUNS = 8

DOC = """Train a candidate and let it become champion if it passes the gate.

Starts by itself when the governor asks for it (the retrain asset) and, where the use case says so, on a
schedule or when new features arrive. `decide` records why: what the governor asked for goes ahead, a schedule
or new data may be told no (the run is then skipped, with the reason), a person never is. `search` has a
mapped task for each of the search's workers, which share its trials. A candidate that the gate rejects is
registered with the reasons, and the champion stays: `promote` is then shown as skipped. After drift or a drop
in quality `report_rejection` fails such a run, once and without a retry, so that it is red: the model in
service is not as good as it was, and retraining has not mended it. The run's note is the verdict, with its
warnings. Where the use case wants a person's approval, `approve` waits for it, with the verdict and the model
card's address in its form; without an answer in time the version stays out. Where it wants a trial, `promote`
leaves the candidate to the DAG `deploy`, which tries it beside the champion.
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
        def decide() -> dict[str, Any]:
            context = get_current_context()
            as_of = begin(use_case, context, of_decision=True)
            why = {"cause": training_cause(context), "reason": str(context["params"]["reason"])}
            decision: dict[str, Any] = invoke(
                "monitoring.retraining", "decide_training", use_case.name, as_of, **why
            )
            if not decision["retrain"]:
                run_notes.add_run_note(context, f"train: {decision['reason']}")
                raise AirflowSkipException(decision["reason"])
            return {**decision, "as_of": as_of.isoformat()}

        @task
        def training_set(decision: dict[str, Any]) -> dict[str, Any]:
            return invoke(
                "train",
                "prepare_training_set",
                use_case.name,
                datetime.fromisoformat(decision["as_of"]),
                reason=decision["reason"],
                decision=decision["decision"],
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
                else invoke("deployment.promotion", "promote_candidate", run)
            )
            # A candidate that is to be tried starts a deploy too, which promotes or rejects it.
            if not outcome["promoted"] and not outcome["on_trial"]:
                raise AirflowSkipException(outcome["reason"])
            yield Metadata(champion, outcome)
            return outcome

        # A rejection is an outcome: it fails no task but this one, and only where the governor saw trouble.
        @task(trigger_rule="none_failed", retries=0)
        def report_rejection(registered: dict[str, Any] | None) -> dict[str, Any]:
            if registered is None:
                raise AirflowSkipException("nothing was trained")
            rejection: dict[str, Any] = invoke(
                "deployment.promotion", "describe_rejection", registered["training_run"]
            )
            if rejection["after_trouble"]:
                run_notes.add_run_note(get_current_context(), rejection["reason"])
                raise AirflowFailException(rejection["reason"])
            return rejection

        prepared = training_set(decide())  # type: ignore[arg-type]
        tuned = tune(prepared)  # type: ignore[arg-type]
        workers = list(range(use_case.tuning.workers))
        search.partial(prepared=prepared).expand(worker=workers) >> tuned  # type: ignore[arg-type]
        registered = register(gate(evaluate(tuned)))  # type: ignore[arg-type]
        promoted = promote(registered)  # type: ignore[arg-type]
        if use_case.approval == "manual":
            approval.ask(use_case, registered) >> promoted
        promoted >> report_rejection(registered)  # type: ignore[arg-type]

    train()


for _use_case in use_cases():
    build(_use_case)
