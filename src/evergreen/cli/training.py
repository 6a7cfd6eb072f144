"""Commands of training: train, explain the gate's verdict, approve a version, and reproduce a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from evergreen.cli.app import AsJson, AsOf, UseCaseName, add_command_group, app, err, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.cli.tables.training_tables import (
    render_promotion_result,
    render_reproduction,
    render_training,
    render_verdict,
)
from evergreen.errors import GateRejected, SettingsError, TrainingError
from evergreen.moments import parse_moment
from evergreen.registry.actor import identify_actor
from evergreen.settings import Settings, load_settings
from evergreen.usecases import load_use_case

with import_on_use(__name__):
    from evergreen.loop import approval
    from evergreen.loop import explain as explanation
    from evergreen.loop import reproduce as reproduction
    from evergreen.loop import train as training

Version = Annotated[int, typer.Argument(min=1, help="A version of the registered model, as in MLflow.")]


@app.command("train")
def train_model(
    use_case_name: Annotated[str, typer.Argument(metavar="[USE_CASE]", help="A use case.")] = "",
    as_of: AsOf = "",
    reason: Annotated[str, typer.Option(help="Why this training: kept with the version.")] = "manual",
    reproduce: Annotated[
        str,
        typer.Option(
            metavar="RUN_ID",
            help="Train nothing new: fit that run's model again, from the same rows, and compare the digests."
            " The id is the training run's or its MLflow run's, or the beginning of one.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Search, fit, judge, register, and promote what passes the gate: the steps of the DAG, here and now.

    Run again after a kill, it goes on where it was. Exits 7 when the gate rejects the candidate; the champion
    stays. With --reproduce it exits 6 when the model is another one.

    Examples: `evergreen train credit_score --as-of 2026-07-01` · `evergreen train --reproduce RUN_ID`
    """
    settings = load_settings()
    if reproduce:
        if use_case_name or as_of:
            raise SettingsError(
                "--reproduce takes use case and moment from the run", hint="leave USE_CASE and --as-of out"
            )
        _reproduce_training(settings, reproduce, as_json)
        return
    if not use_case_name:
        raise SettingsError(
            "train what?", hint="evergreen train USE_CASE, or evergreen train --reproduce RUN_ID"
        )
    train_locally(settings, use_case_name, as_of, reason, as_json)


def train_locally(settings: Settings, use_case_name: str, as_of: str, reason: str, as_json: bool) -> None:
    """Train with a progress bar, show the verdict, and raise GateRejected when it was no."""
    load_use_case(use_case_name, settings)
    when = parse_moment(as_of) if as_of else datetime.now(UTC)
    with show_search_progress(f"training {use_case_name} as of {when:%Y-%m-%d %H:%M} UTC") as progress:
        outcome = training.run_train(settings, use_case_name, when, reason, progress)
    show_facts(outcome, as_json, lambda: render_training(use_case_name, outcome))
    if outcome["waiting"]:
        return
    if not outcome["promoted"]:
        raise GateRejected(
            f"{use_case_name} keeps its champion: {outcome['reason']}",
            hint=f"evergreen gate explain {use_case_name} {outcome['version']} shows every check",
        )


@contextmanager
def show_search_progress(title: str) -> Iterator[Callable[..., None]]:
    """Show a progress bar over a search's trials; yields what `run_train` calls after each trial."""
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[least]}"), TimeElapsedColumn()),
    )
    with Progress(*columns, console=err, transient=True) as bars:
        bar = bars.add_task(title, total=None, least="reading")

        def progress(trial: Any, least: float, trials: int, total: int) -> None:
            """Show how many trials have ended, and the least loss so far."""
            bars.update(bar, completed=trials, total=total, least=f"least loss {least:.4f}")
            if trials >= total:
                bars.update(bar, least=f"least loss {least:.4f}, judging")

        yield progress


gate = add_command_group(
    "gate",
    "What candidates must pass.\n\nExample: `evergreen gate explain credit_score 3`",
)


@gate.command("explain")
def explain_gate(use_case_name: UseCaseName, version: Version, as_json: AsJson = False) -> None:
    """Why a version was let in, or was not: every check with its numbers and its reason.

    Example: `evergreen gate explain credit_score 3`
    """
    verdict = explanation.explain_verdict(load_settings(), use_case_name, version)
    show_facts(verdict.to_json(), as_json, lambda: render_verdict(verdict))


@app.command("approve")
def answer_approval_request(
    use_case_name: UseCaseName,
    version: Annotated[
        int | None, typer.Argument(min=1, help="The version; left out: the one that waits.")
    ] = None,
    deny: Annotated[bool, typer.Option("--deny", help="Keep it out instead.")] = False,
    reason: Annotated[str, typer.Option(help="Kept in the ledger.")] = "",
    as_json: AsJson = False,
) -> None:
    """Let a version in that passed the gate and waits for a person, or keep it out with --deny.

    For use cases with approval="manual" that are trained without Airflow, whose form asks otherwise.

    Examples: `evergreen approve credit_score --reason "card read"` · `evergreen approve credit_score --deny`
    """
    settings = load_settings()
    run = approval.find_run_to_approve(settings, use_case_name, version)
    outcome = approval.answer_approval(
        settings, run, approved=not deny, actor=identify_actor(), reason=reason
    )
    show_facts(outcome, as_json, lambda: render_promotion_result(use_case_name, outcome))
    if not deny and not outcome["promoted"]:
        raise GateRejected(f"{use_case_name} keeps its champion: {outcome['reason']}")


def _reproduce_training(settings: Settings, run_id: str, as_json: bool) -> None:
    with err.status(f"fitting the model of run {run_id} again"):
        facts = reproduction.reproduce_training(settings, run_id)
    show_facts(facts, as_json, lambda: render_reproduction(facts))
    if not facts["same"]:
        raise typer.Exit(TrainingError.exit_code)
