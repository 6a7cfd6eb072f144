"""`evergreen trial`: try a registered version beside the champion, on real requests."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from evergreen.cli.app import AsJson, UseCaseName, app, err, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.errors import SettingsError
from evergreen.settings import load_settings
from evergreen.usecases import load_use_case

with import_on_use(__name__):
    from evergreen.loop import trial as trial_verbs
    from evergreen.loop import trial_page
    from evergreen.stack import view
    from evergreen.store.connection import database
    from evergreen.store.migrations import migrations

if TYPE_CHECKING:
    from evergreen.loop.trial import TrialReport
    from evergreen.store.records.model_trial import ModelTrial

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_STYLES = {"passed": "green", "failed": "red", "stopped": "yellow", "no_verdict": "yellow"}

trial = typer.Typer(
    no_args_is_help=True,
    help="Try a registered version beside the champion, on real requests. Services follow within 5 seconds,"
    " and end a trial by themselves when the challenger breaks a limit.\n\nExamples:"
    " `evergreen trial start credit_score 3 --mode canary --share 0.1 --for 2h` ·"
    " `evergreen trial status credit_score` · `evergreen trial end credit_score`",
)
app.add_typer(trial, name="trial")


@trial.command("start")
def start_trial(
    use_case_name: UseCaseName,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="A registered version.")],
    mode: Annotated[
        Literal["shadow", "canary", "ab"] | None,
        typer.Option(
            help="shadow: only the log has its answers; canary: it answers a share of the keys; ab: the same,"
            " and the versions are compared by the outcomes in the end."
        ),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(help="Of the keys: above 0 and up to 1; in an A/B test of each version, 0.5 at most."),
    ] = None,
    against: Annotated[
        int | None,
        typer.Option(
            metavar="VERSION", min=1, help="An A/B test with that version, instead of with the champion."
        ),
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long: 90s, 30m, 2h or 3d.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try VERSION beside the champion. What is left out is as the use case declares it (`trial=Trial(...)`).

    Examples: `evergreen trial start credit_score 3` ·
    `evergreen trial start credit_score 3 --mode canary --share 0.1 --for 2h` ·
    `evergreen trial start credit_score 3 --mode ab --against 4 --share 0.25 --for 3d`
    """
    settings = load_settings()
    load_use_case(use_case_name, settings)
    with err.status(f"verifying version {version} of {use_case_name}"):
        migrations.apply_migrations(database.get_engine(settings))
        started = trial_verbs.start_declared_trial(
            settings,
            use_case_name,
            version,
            mode=mode,
            share=share,
            duration=parse_duration(duration),
            rival=against,
        )
    show_facts(started.to_json(), as_json, lambda: _render_start(started))


@trial.command("status")
def show_trial(
    use_case_name: UseCaseName,
    limit: Annotated[int, typer.Option(min=1, help="How many trials, the newest first.")] = 10,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it as a page (*.html), or its picture alone (*.svg)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The running trial, or the last one, with the logged answers of its versions; and those before it.

    Examples: `evergreen trial status credit_score --json | jq .rows` ·
    `evergreen trial status credit_score --page canary.svg`
    """
    settings = load_settings()
    load_use_case(use_case_name, settings)
    migrations.apply_migrations(database.get_engine(settings))
    report = trial_verbs.read_trial_report(settings, use_case_name, limit)
    if page is not None:
        trial_page.write_trial_page(settings, report, page)
    show_facts(report.to_json(), as_json, lambda: render_trial_report(report))


@trial.command("end")
def end_trial(
    use_case_name: UseCaseName,
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger for good.")] = "",
    as_json: AsJson = False,
) -> None:
    """End the running trial: the champion answers everything again within 5 seconds.

    Example: `evergreen trial end credit_score --reason "seen enough"`
    """
    settings = load_settings()
    load_use_case(use_case_name, settings)
    migrations.apply_migrations(database.get_engine(settings))
    ended = trial_verbs.end_running_trial(settings, use_case_name, reason=reason)
    show_facts(ended.to_json(), as_json, lambda: _render_end(ended))


def parse_duration(text: str | None) -> timedelta | None:
    """The time that a text such as "90s", "30m", "2h" or "3d" says. Raises SettingsError for another one."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise SettingsError(f"--for {text!r} is no time", hint="write it as 90s, 30m, 2h or 3d")
    try:
        return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        raise SettingsError(f"--for {text!r} is too long", hint="give 90d at most") from None


def render_trial_report(report: TrialReport) -> RenderableType:
    """`evergreen trial status`: the trial, a row per version, and the trials before it."""
    shown = report.trial
    if shown is None:
        return Text(
            f"{report.use_case} has had no trial yet: evergreen trial start {report.use_case} VERSION"
        )
    lines: list[RenderableType] = [_render_head(shown)]
    classes = sorted({name for rows in report.rows for name in rows.classes})
    has_mean = any(rows.mean is not None for rows in report.rows)
    has_error = any(rows.error is not None for rows in report.rows)
    error_columns = ["outcomes", report.error] if has_error else []
    columns = [*classes, *(["mean"] if has_mean else []), *error_columns]
    table = view.build_grid("", "version", "rows", *columns, right=("rows", *columns))
    for role, rows in zip(("champion", "challenger", "rival"), report.rows, strict=False):
        shares = [f"{rows.classes.get(name, 0) / rows.rows:.1%}" if rows.rows else "" for name in classes]
        mean = [] if not has_mean else ["" if rows.mean is None else f"{rows.mean:.4g}"]
        error = [f"{rows.error.rows:,}", rows.error.describe()] if rows.error else ["", ""]
        cells = [role, f"v{rows.version}", f"{rows.rows:,}", *shares, *mean, *(error if has_error else [])]
        table.add_row(*(Text(cell) for cell in cells))
    lines.append(table)
    if report.comparison:
        lines.append(Text(f"{report.comparison}."))
    if report.verdict is not None:
        lines.append(Text(f"{report.verdict.sentence}."))
    if report.former:
        former = view.build_grid("before (UTC)", "trial", "outcome", "reason")
        for each in report.former:
            outcome = Text(
                (each.outcome or "running").replace("_", " "), style=_STYLES.get(each.outcome or "", "")
            )
            former.add_row(
                Text(f"{each.started_at:%Y-%m-%d %H:%M:%S}"),
                Text(each.describe()),
                outcome,
                Text(each.reason or ""),
            )
        lines.append(former)
    return Group(*lines)


def _render_start(started: ModelTrial) -> RenderableType:
    return Group(
        Text(f"{started.use_case} tries {started.describe()}, {_describe_end(started)}.", style="green"),
        Text(f"Services follow within 5 seconds: evergreen trial status {started.use_case}"),
    )


def _render_end(ended: ModelTrial) -> RenderableType:
    return Text(f"The trial of {ended.use_case} has ended, {ended.outcome}: {ended.reason}", style="green")


def _render_head(shown: ModelTrial) -> Text:
    if shown.ended_at is None:
        since = f"{shown.started_at:%Y-%m-%d %H:%M:%S} UTC"
        return Text(f"Running since {since}: {shown.describe()}, {_describe_end(shown)}")
    outcome = (shown.outcome or "").replace("_", " ")
    return Text.assemble(
        f"The last trial, {shown.describe()}, ended at {shown.ended_at:%Y-%m-%d %H:%M:%S} UTC: ",
        (outcome, _STYLES.get(shown.outcome or "", "")),
        f", {shown.reason}",
    )


def _describe_end(shown: ModelTrial) -> str:
    return f"until {shown.ends_at:%Y-%m-%d %H:%M:%S} UTC at the latest"
