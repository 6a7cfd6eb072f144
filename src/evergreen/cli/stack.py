"""The platform on this machine: up, down, status, restart, and Airflow's own command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from evergreen.cli.app import AsJson, app, err, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.settings import load_settings
from evergreen.stack.view import (
    render_restart,
    render_status,
    render_urls,
    render_use_cases,
    show_progress,
)
from evergreen.usecases import find_use_case_folders, load_valid_use_cases

with import_on_use(__name__):
    from evergreen.stack import airflow_cli, lifecycle, overview
    from evergreen.stack import restart as restarting


@app.command()
def up(
    foreground: Annotated[
        bool, typer.Option("--foreground", "-f", help="Stay attached; Ctrl-C brings it down.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start the whole platform on this machine: MariaDB, MLflow, Airflow and the prediction services.

    Runs in the background until `evergreen down`. Everything listens on 127.0.0.1 only; a port that is
    taken is replaced by a free one and shown.

    Examples: `evergreen up` · `evergreen up --foreground`
    """

    def tell(status: dict[str, Any]) -> None:
        show_facts(status, as_json, lambda: render_urls(load_settings(), status))

    home = load_settings().home
    with show_progress(err) as progress:
        if foreground:
            lifecycle.run_stack_in_foreground(home, progress=progress, ready=tell)
            return
        status = lifecycle.start_stack(home, progress=progress)
    tell(status)


@app.command()
def down(as_json: AsJson = False) -> None:
    """Stop the platform and every process it started. Data stay in `.evergreen/`.

    Example: `evergreen down`
    """
    home = load_settings().home
    stopped = lifecycle.stop_stack(home)
    said = "Evergreen is down." if stopped else f"Nothing was running under {home}."
    show_facts({"stopped": stopped, "home": str(home)}, as_json, lambda: said)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Every process, and per use case: store, champion, how its service stands, last drift report, last
    decision, prediction counts.

    Exits 0 when everything runs, 1 when something is down, nobody is champion any more, or a service lags: it
    holds an older declaration than the files, or answers with another model than the champion. The line
    `service` then names what helps.

    Examples: `evergreen status` · `evergreen status --json | jq .use_cases.credit_score.standing`
    """
    settings = load_settings()
    facts = lifecycle.read_stack_status(settings.home)
    running = facts["state"] == "running"
    sound, faults = load_valid_use_cases(settings)
    facts["problems"] = sorted({*facts["problems"], *map(str, faults.values())})
    facts["use_cases"] = {
        name: overview.build_overview(settings, use_case) for name, use_case in sound.items() if running
    }
    show_facts(facts, as_json, lambda: render_status(facts))
    well = running and all(process["state"] in ("ready", "done") for process in facts["processes"])
    well = well and all(map(overview.is_use_case_healthy, facts["use_cases"].values()))
    raise typer.Exit(0 if well else 1)


@app.command()
def restart(
    name: Annotated[
        str,
        typer.Argument(metavar="SERVICE", help="A use case, or a process: see `evergreen status`."),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Also a service that would have no model afterwards.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """End one server of the running stack gracefully and start it anew: a service then holds the declaration
    and the settings of now.

    Waits until it is ready. A service whose declaration cannot be loaded, or fits no champion, is left as it
    is. In containers: `docker compose restart SERVICE`.

    Examples: `evergreen restart credit_score` · `evergreen restart mlflow`
    """
    with show_progress(err) as progress:
        facts = restarting.restart_named_server(load_settings().home, name, force=force, progress=progress)
    show_facts(facts, as_json, lambda: render_restart(facts))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def airflow(context: typer.Context) -> None:
    """Airflow's own command line on the embedded stack; what follows is passed on as it is.

    Examples: `evergreen airflow dags list` ·
    `evergreen airflow dags trigger credit_score__ingest --conf '{"as_of": "2026-07-01T00:00:00Z"}'`
    """
    airflow_cli.run_airflow(load_settings().home, context.args)


@app.command("use-cases")
def list_use_cases(as_json: AsJson = False) -> None:
    """The declared use cases: the two examples and your own in EVERGREEN_USE_CASES.

    Example: `evergreen use-cases`
    """
    settings = load_settings()
    sound, faults = load_valid_use_cases(settings)
    facts: dict[str, dict[str, Any]] = {
        name: {
            "title": use_case.title,
            "problem": use_case.problem,
            "folder": str(find_use_case_folders(settings)[name]),
            "features": len(use_case.model_features),
        }
        for name, use_case in sound.items()
    }
    facts |= {name: {"error": str(error)} for name, error in faults.items()}
    show_facts(facts, as_json, lambda: render_use_cases(facts))
    for error in faults.values():
        raise error
