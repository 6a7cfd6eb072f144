"""The command that replays the past of a use case under retraining policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from evergreen.cli.app import AsJson, UseCaseName, app, err, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.cli.tables.backtest_tables import render_backtest
from evergreen.moments import parse_moment
from evergreen.settings import load_settings

with import_on_use(__name__):
    from evergreen.backtest import options as choices
    from evergreen.backtest import policies
    from evergreen.backtest import run as backtests


class KnownBy(StrEnum):
    """When rows count as known."""

    auto = "auto"
    ingested = "ingested"
    event = "event"


@app.command("backtest")
def replay_past(
    use_case_name: UseCaseName,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="DATE",
            help="When it begins, with a model trained as of then. Default: when a"
            " third of all labels was known.",
        ),
    ] = "",
    end: Annotated[
        str, typer.Option("--to", metavar="DATE", help="When it ends. Default: after the last labelled row.")
    ] = "",
    every: Annotated[
        str, typer.Option(metavar="DURATION", help="The time between checks: 1d, 12h, 1w.")
    ] = "1d",
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POLICY",
            help="A policy to judge; repeat it for several. declared (the default), default, an interval such"
            " as 14d, or the declared one with other fields: cooldown=3d,weekly_budget=2.",
        ),
    ] = None,
    beside: Annotated[
        str,
        typer.Option(
            metavar="POLICIES",
            help="What to replay beside them, separated by commas; daily is the costly one.",
        ),
    ] = "never,7d,30d,90d,daily",
    known_by: Annotated[
        KnownBy,
        typer.Option(
            "--known-by",
            help="When a row counts as known: when it was ingested, or at its event time (its label after the"
            " declared delay), for tables that were loaded afterwards. auto looks which it was.",
        ),
    ] = KnownBy.auto,
    parameters: Annotated[
        str,
        typer.Option(
            metavar="CHOICE",
            help="CatBoost's parameters in every fit: middle (of the search space), last (of the newest"
            " training), or depth=6,learning_rate=0.1.",
        ),
    ] = "middle",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the page goes. Default: under `.evergreen/backtests/`."),
    ] = None,
    show_it: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replay the past, day by day as it was known then, to choose when to retrain.

    Rows with labels stand for requests, so it needs no prediction log, and no champion. It shows what the
    policy would have retrained, at what cost, and how good the answers would have been, beside never
    retraining, fixed intervals and daily; and the line that declares the policy it would choose. Nothing is
    registered or written to the store. Interrupted, the same command goes on.

    Examples: `evergreen backtest credit_score --from 2025-07-01 --to 2026-07-01` ·
    `evergreen backtest churn --every 7d --policy cooldown=14d --policy 30d --open`
    """
    options = choices.BacktestOptions(
        start=parse_moment(start) if start else None,
        end=parse_moment(end) if end else None,
        every=policies.parse_duration(every),
        policies=tuple(policy or ("declared",)),
        beside=tuple(name for name in beside.split(",") if name.strip()),
        clock=known_by.value,
        parameters=parameters,
        output=output,
    )
    with _show_progress(f"replaying {use_case_name}") as progress:
        finished = backtests.run_backtest(load_settings(), use_case_name, options, progress)
    page = finished.page.resolve()
    facts = finished.result.to_json() | {"page": str(page), "fits_found": finished.fits_found}
    show_facts(facts, as_json, lambda: render_backtest(finished))
    if show_it:
        typer.launch(page.as_uri())


@contextmanager
def _show_progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar over the checks of all policies, on a terminal; yields what `run_backtest` calls."""
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn()),
        *(TextColumn("{task.fields[what]}"), TimeElapsedColumn()),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        bar = bars.add_task(title, total=None, what="starting")

        def show(what: str, done: int, total: int) -> None:
            """Show what is being done, and how many checks are; where their number is not known, the bar
            stays as it is."""
            if total:
                text = f"{done:,} of {total:,} checks, {what}"
                bars.update(bar, completed=done, total=total, what=text)
            else:
                bars.update(bar, what=what)

        yield show
