"""Commands of monitoring: the report of a check, the decisions to retrain, and the alerts."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from evergreen.cli.app import AsJson, UseCaseName, add_command_group, app, err, out, print_json, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.cli.tables.monitoring_tables import (
    render_alerts,
    render_decision,
    render_decisions,
    render_report,
    render_test_message,
)
from evergreen.errors import OrchestratorError
from evergreen.moments import parse_moment
from evergreen.settings import load_settings
from evergreen.usecases import load_use_case

with import_on_use(__name__):
    from evergreen.loop.monitoring import alerts as alerting
    from evergreen.loop.monitoring import check_report
    from evergreen.loop.monitoring import decisions as deciding


@app.command("decisions")
def list_decisions(
    use_case: UseCaseName,
    last: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    since: Annotated[
        str, typer.Option(metavar="DATE", help="Only those as of that moment or later (ISO, UTC).")
    ] = "",
    show: Annotated[
        str,
        typer.Option(metavar="ID|MOMENT", help="One decision with every check and all of its inputs."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Every decision whether to retrain, with its reason, also "no, because ...", and what became of it.

    A training that a person, the schedule or new data started is a decision too.

    Examples: `evergreen decisions credit_score --last 5` ·
    `evergreen decisions credit_score --show 2026-10-01T00:00`
    """
    settings = load_settings()
    load_use_case(use_case, settings)
    if show:
        entry = deciding.find_decision_entry(settings, use_case, show)
        show_facts(entry.to_json(), as_json, lambda: render_decision(entry))
        return
    moment = parse_moment(since) if since else None
    entries = deciding.read_decisions(settings, use_case, last=last, since=moment)
    show_facts([entry.to_json() for entry in entries], as_json, lambda: render_decisions(use_case, entries))


@app.command("report")
def show_report(
    use_case: UseCaseName,
    as_of: Annotated[
        str,
        typer.Option(
            "--as-of", metavar="DATE", help="The newest check up to that moment (ISO, UTC). Default: now."
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Save the page (*.html) or the document (*.json)."),
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in a browser. It needs no network.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The report of the newest monitoring check: what drifted, how much, since when, and what was decided.

    It comes from MariaDB; MLflow, which has the same page, is not asked.

    Examples: `evergreen report credit_score --open` ·
    `evergreen report credit_score --as-of 2026-07-01 --output report.html`
    """
    settings = load_settings()
    load_use_case(use_case, settings)
    report = check_report.find_kept_report(settings, use_case, parse_moment(as_of) if as_of else None)
    path = output
    if output is not None:
        check_report.save_report_file(report, output)
    if open_page:
        if path is None or path.suffix != ".html":
            path = check_report.save_page_in_home(settings, use_case, report)
        if not webbrowser.open(path.resolve().as_uri()):
            err.print(f"No browser could be opened: open {path} in one.", style="yellow", markup=False)
    if as_json:
        print_json(report.document)
    else:
        out.print(render_report(report.read_document(), report.address, path), crop=False)


alert = add_command_group(
    "alert",
    "What people are told, by e-mail, webhooks or chats (EVERGREEN_ALERT_URLS).\n\n"
    "Examples: `evergreen alert test` · `evergreen alert list credit_score`",
)


@alert.command("test")
def send_test_message(as_json: AsJson = False) -> None:
    """Send a message to every target, and say which have it. Exits non-zero if one does not.

    Example: `evergreen alert test`
    """
    with err.status("sending"):
        results = alerting.send_test_message(load_settings())
    show_facts(results, as_json, lambda: render_test_message(results))
    if any(text != "sent" for text in results.values()):
        raise typer.Exit(OrchestratorError.exit_code)


@alert.command("list")
def list_alerts(
    use_case: Annotated[str, typer.Argument(metavar="[USE_CASE]", help="A use case; left out: all.")] = "",
    last: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What people were told, when, and whether every target took it.

    Example: `evergreen alert list credit_score --last 5`
    """
    settings = load_settings()
    if use_case:
        load_use_case(use_case, settings)
    records = alerting.read_alerts(settings, use_case or None, last)
    show_facts([record.to_json() for record in records], as_json, lambda: render_alerts(records))
