"""Commands of the stack on this machine: up, down, status, restart, and Airflow's own command line."""

from __future__ import annotations

from typing import Annotated

import typer

from evergreen.cli.app import AsJson, app, err, out, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.settings import load_settings
from evergreen.stack.status import StackStatus, read_stack_status
from evergreen.stack.status_view import render_status, render_urls, render_use_cases
from evergreen.stack.view import show_progress
from evergreen.usecases import find_use_case_folders, load_valid_use_cases

with import_on_use(__name__):
    from evergreen.stack import airflow_cli, lifecycle, overview, service_view
    from evergreen.stack import restart as restarting


@app.command("up")
def start_platform(
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

    def show_stack(status: StackStatus) -> None:
        """Show where everything is."""
        show_facts(status.to_json(), as_json, lambda: render_urls(load_settings(), status))

    home = load_settings().home
    with show_progress(err) as progress:
        if foreground:
            lifecycle.run_stack_in_foreground(home, progress=progress, ready=show_stack)
            return
        status = lifecycle.start_stack(home, progress=progress)
    show_stack(status)


@app.command("down")
def stop_platform(as_json: AsJson = False) -> None:
    """Stop the platform and every process it started. Data stay in `.evergreen/`.

    Example: `evergreen down`
    """
    home = load_settings().home
    was_running = lifecycle.stop_stack(home)
    text = "Evergreen is down." if was_running else f"Nothing was running under {home}."
    show_facts({"stopped": was_running, "home": str(home)}, as_json, lambda: text)


@app.command("status")
def show_status(as_json: AsJson = False) -> None:
    """Every process, and per use case: store, champion, how its service stands, last drift report, last
    decision, where the report of the last check is, prediction counts.

    Exits 0 when everything runs, 1 when something is down, nobody is champion any more, or a service lags: it
    holds an older declaration than the files, or answers with another model than the champion. The line
    `service` then names what helps.

    Examples: `evergreen status` · `evergreen status --json | jq .use_cases.credit_score.standing`
    """
    settings = load_settings()
    stack_status = read_stack_status(settings.home)
    use_cases, errors = load_valid_use_cases(settings)
    problems = sorted({*stack_status.problems, *map(str, errors.values())})
    overviews = {
        name: overview.build_overview(settings, use_case)
        for name, use_case in use_cases.items()
        if stack_status.is_running
    }
    facts = {
        **stack_status.to_json(),
        "problems": problems,
        "use_cases": {name: each.to_json() for name, each in overviews.items()},
    }
    show_facts(facts, as_json, lambda: render_status(stack_status, problems))
    if overviews and not as_json:
        out.print(service_view.render_overviews(overviews))
    is_healthy = stack_status.is_healthy and all(each.is_healthy for each in overviews.values())
    raise typer.Exit(0 if is_healthy else 1)


@app.command("restart")
def restart_server(
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

    Waits until it is ready. A changed declaration alone needs no restart: a service takes it over by itself
    (see EVERGREEN_FOLLOW_DECLARATION). A service whose declaration cannot be loaded, or fits no champion, is
    left as it is. In containers: `docker compose restart SERVICE`.

    Examples: `evergreen restart credit_score` · `evergreen restart mlflow`
    """
    with show_progress(err) as progress:
        restarted = restarting.restart_named_server(
            load_settings().home, name, force=force, progress=progress
        )
    show_facts(restarted.to_json(), as_json, lambda: service_view.render_restart(restarted))


@app.command("airflow", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_airflow_command(context: typer.Context) -> None:
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
    use_cases, errors = load_valid_use_cases(settings)
    folders = find_use_case_folders(settings)
    facts = {
        **{
            name: {
                "title": use_case.title,
                "problem": use_case.problem,
                "folder": str(folders[name]),
                "features": len(use_case.model_features),
            }
            for name, use_case in use_cases.items()
        },
        **{name: {"error": str(error)} for name, error in errors.items()},
    }
    show_facts(facts, as_json, lambda: render_use_cases(use_cases, folders, errors))
    for error in errors.values():
        raise error
