"""Commands of monitoring: the report of a check, drift of any window, the decisions to retrain, the alerts,
and the metrics for Prometheus."""

from __future__ import annotations

import webbrowser
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from evergreen.cli.app import AsJson, UseCaseName, add_command_group, app, err, out, print_json, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.cli.tables.drift_tables import render_window_drift
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
    from evergreen.exporter import run as exporting
    from evergreen.loop.monitoring import alerts as alerting
    from evergreen.loop.monitoring import check_report, window_drift
    from evergreen.loop.monitoring import decisions as deciding


class FailLimit(StrEnum):
    """The least severity with which `evergreen drift` exits non-zero."""

    UNKNOWN = "unknown"
    WARNING = "warning"
    DRIFT = "drift"


@app.command("decisions")
def list_decisions(
    use_case_name: UseCaseName,
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
    load_use_case(use_case_name, settings)
    if show:
        entry = deciding.find_decision_entry(settings, use_case_name, show)
        show_facts(entry.to_json(), as_json, lambda: render_decision(entry))
        return
    moment = parse_moment(since) if since else None
    entries = deciding.read_decisions(settings, use_case_name, last=last, since=moment)
    show_facts(
        [entry.to_json() for entry in entries], as_json, lambda: render_decisions(use_case_name, entries)
    )


@app.command("report")
def show_report(
    use_case_name: UseCaseName,
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
    load_use_case(use_case_name, settings)
    report = check_report.find_kept_report(settings, use_case_name, parse_moment(as_of) if as_of else None)
    path = output
    if output is not None:
        check_report.save_report_file(report, output)
    if open_page:
        if path is None or path.suffix != ".html":
            path = check_report.save_page_in_home(settings, use_case_name, report)
        if not webbrowser.open(path.resolve().as_uri()):
            err.print(f"No browser could be opened: open {path} in one.", style="yellow", markup=False)
    if as_json:
        print_json(report.document)
    else:
        out.print(render_report(report.read_document(), report.address, path), crop=False)


@app.command("drift")
def measure_drift(
    use_case_name: UseCaseName,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="MOMENT",
            help="Where the window begins (ISO, UTC). Default: drift.window before its end.",
        ),
    ] = "",
    end: Annotated[
        str, typer.Option("--to", metavar="MOMENT", help="Where it ends, exclusive. Default: now.")
    ] = "",
    against_start: Annotated[
        str,
        typer.Option(
            "--against-from",
            metavar="MOMENT",
            help="Compare with the predictions from then on, instead of the training data.",
        ),
    ] = "",
    against_end: Annotated[
        str,
        typer.Option(
            "--against-to", metavar="MOMENT", help="Up to then, exclusive. Default: where the window begins."
        ),
    ] = "",
    version: Annotated[
        int | None, typer.Option(min=1, help="Whose predictions. Default: the champion.")
    ] = None,
    against_version: Annotated[
        int | None,
        typer.Option(min=1, help="Whose training data or predictions to compare with. Default: the same."),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="FEATURE[=EDGE,...]",
            help="Also by the values of this feature, declared as a slice or not; of a number by its "
            "quartiles, or cut at these edges. May be repeated.",
        ),
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option(
            "--channel",
            help="online, challenger, shadow, batch, probe or canary. May be repeated. Default: online and "
            "challenger.",
        ),
    ] = None,
    fail_on: Annotated[
        FailLimit | None,
        typer.Option("--fail-on", help="Exit with 1 from this severity on. Default: always 0."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How a window of predictions differs from the training data, or from another window. Writes nothing.

    No check goes on record, nothing is decided, nobody is alerted: `evergreen run monitor` does that. The
    p-values are corrected for all features and slices of a call, not for several calls.

    Examples: `evergreen drift credit_score` ·
    `evergreen drift credit_score --from 2026-07-08 --against-from 2026-07-01` ·
    `evergreen drift credit_score --slice age=25,40 --fail-on drift --json`
    """
    request = window_drift.WindowRequest(
        start=_parse_optional_moment(start),
        end=_parse_optional_moment(end),
        against_start=_parse_optional_moment(against_start),
        against_end=_parse_optional_moment(against_end),
        version=version,
        against_version=against_version,
        slices=tuple(slices or ()),
        channels=tuple(channels or ()),
    )
    drift = window_drift.measure_window_drift(load_settings(), use_case_name, request)
    show_facts(drift.to_json(), as_json, lambda: render_window_drift(drift))
    if fail_on is not None and window_drift.reaches_severity(drift.severity, fail_on.value):
        raise typer.Exit(1)


def _parse_optional_moment(text: str) -> datetime | None:
    return parse_moment(text) if text else None


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
    use_case_name: Annotated[
        str, typer.Argument(metavar="[USE_CASE]", help="A use case; left out: all.")
    ] = "",
    last: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What people were told, when, and whether every target took it.

    Example: `evergreen alert list credit_score --last 5`
    """
    settings = load_settings()
    if use_case_name:
        load_use_case(use_case_name, settings)
    records = alerting.read_alerts(settings, use_case_name or None, last)
    show_facts([record.to_json() for record in records], as_json, lambda: render_alerts(records))


@app.command("exporter")
def publish_metrics(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; beyond loopback readers need an API key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 9105,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=1.0, help="How often the values are read anew.")
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Publish metrics for Prometheus that no server measures: freshness, champions, checks, decisions, DAGs.

    They are read from MariaDB, MLflow and Airflow in the background; what cannot be read is told by
    `evergreen_exporter_up`. Who may read them is EVERGREEN_METRICS_ACCESS, as for the services. Runs until
    Ctrl-C.

    Examples: `evergreen exporter` · `evergreen exporter --host 0.0.0.0 --interval 30`
    """

    def show_address(url: str) -> None:
        """Show where the metrics are."""
        show_facts({"url": url}, as_json, lambda: f"Metrics at {url}")

    exporting.run_exporter(load_settings(), host, port, interval, on_ready=show_address)
