"""The commands people type: `--help` with examples, `--json` for scripts, exit codes that mean something."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from evergreen import __version__
from evergreen.errors import EvergreenError, GateRejected, SettingsError
from evergreen.settings import load_settings

app = typer.Typer(
    name="evergreen",
    help="Evergreen keeps models fresh: drift in the prediction log retrains the model, "
    "and the result goes live by itself.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

# What people read goes to standard output; progress and errors go to standard error.
out = Console()
err = Console(stderr=True)

UseCaseName = Annotated[
    str, typer.Argument(metavar="USE_CASE", help="A use case: see `evergreen use-cases`.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of text.")]
AsOf = Annotated[
    str,
    typer.Option("--as-of", metavar="DATE", help="Work with what was known then (ISO, UTC). Default: now."),
]


class Verb(StrEnum):
    """The verbs of the loop."""

    ingest = "ingest"
    train = "train"
    deploy = "deploy"
    monitor = "monitor"
    score = "score"


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        out.print(__version__)
        raise typer.Exit


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
    from evergreen.stack import lifecycle
    from evergreen.stack.view import starting, urls_table

    def show(status: dict[str, Any]) -> None:
        _show(status, as_json, lambda: urls_table(load_settings(), status))

    home = load_settings().home
    with starting(err) as progress:
        if foreground:
            lifecycle.run_foreground(home, progress=progress, ready=show)
            return
        status = lifecycle.up(home, progress=progress)
    show(status)


@app.command()
def down(as_json: AsJson = False) -> None:
    """Stop the platform and every process it started. Data stay in `.evergreen/`.

    Example: `evergreen down`
    """
    from evergreen.stack import lifecycle

    home = load_settings().home
    stopped = lifecycle.down(home)
    said = "Evergreen is down." if stopped else f"Nothing was running under {home}."
    _show({"stopped": stopped, "home": str(home)}, as_json, lambda: said)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Every process, and per use case: store, champion, last drift report, last decision, prediction counts.

    Exits 0 when everything runs, 1 when something is down.

    Examples: `evergreen status` · `evergreen status --json | jq .use_cases.credit_score.champion`
    """
    from evergreen.stack import lifecycle
    from evergreen.stack.overview import overview
    from evergreen.stack.view import status_tables
    from evergreen.usecases import load_sound

    settings = load_settings()
    facts = lifecycle.status(settings.home)
    running = facts["state"] == "running"
    sound, faults = load_sound(settings)
    facts["problems"] = sorted({*facts["problems"], *map(str, faults.values())})
    facts["use_cases"] = {name: overview(settings, use_case) for name, use_case in sound.items() if running}
    _show(facts, as_json, lambda: status_tables(facts))
    well = running and all(process["state"] in ("ready", "done") for process in facts["processes"])
    raise typer.Exit(0 if well else 1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def airflow(context: typer.Context) -> None:
    """Airflow's own command line on the embedded stack; what follows is passed on as it is.

    Examples: `evergreen airflow dags list` ·
    `evergreen airflow dags trigger credit_score__ingest --conf '{"as_of": "2026-07-01T00:00:00Z"}'`
    """
    from evergreen.stack.airflow_cli import run_airflow

    run_airflow(load_settings().home, context.args)


@app.command("use-cases")
def use_cases(as_json: AsJson = False) -> None:
    """The declared use cases: the two examples and your own in EVERGREEN_USE_CASES.

    Example: `evergreen use-cases`
    """
    from evergreen.stack.view import use_cases_table
    from evergreen.usecases import folders, load_sound

    settings = load_settings()
    sound, faults = load_sound(settings)
    facts: dict[str, dict[str, Any]] = {
        name: {
            "title": use_case.title,
            "problem": use_case.problem,
            "folder": str(folders(settings)[name]),
            "features": len(use_case.model_features),
        }
        for name, use_case in sound.items()
    }
    facts |= {name: {"error": str(error)} for name, error in faults.items()}
    _show(facts, as_json, lambda: use_cases_table(facts))
    for error in faults.values():
        raise error


@app.command()
def run(
    verb: Annotated[Verb, typer.Argument(help="What to do.")],
    use_case: UseCaseName,
    as_of: AsOf = "",
    source: Annotated[
        str, typer.Option(help="A file to ingest instead of the declared source.", metavar="FILE")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Run one verb of the loop here and now, without Airflow: the same functions its DAG calls.

    A candidate that the gate rejects exits 7; the champion stays.

    Examples: `evergreen run ingest titanic --source train.csv` ·
    `evergreen run train credit_score --as-of 2026-07-01`
    """
    from importlib import import_module

    from evergreen.loop import moment
    from evergreen.usecases import load

    settings = load_settings()
    load(use_case, settings)
    if source and verb is not Verb.ingest:
        raise SettingsError(f"--source says what to ingest; {verb} reads the store", hint="leave it out")
    if as_of and verb is Verb.deploy:
        raise SettingsError("deploy works with the champion of now", hint="leave --as-of out")
    when = moment(as_of) if as_of else datetime.now(UTC)
    step = import_module(f"evergreen.loop.{verb}").run
    given: dict[str, Any] = {"source": _place(source)} if verb is Verb.ingest else {}
    if verb is not Verb.deploy:
        given["as_of"] = when
    doing = f"{verb} {use_case} as of {when:%Y-%m-%d %H:%M} UTC"
    with err.status(doing) as shown:
        if verb is Verb.train:
            given["progress"] = lambda done, loss: shown.update(
                f"{doing}: trial {done}, best loss {loss:.4f}"
            )
        outcome = step(settings, use_case, **given)
    from evergreen.stack.view import outcome_table

    _show(outcome, as_json, lambda: outcome_table(outcome))
    if verb is Verb.train and not outcome["promoted"]:
        raise GateRejected(f"{use_case} keeps its champion: {outcome['reason']}")


@app.command()
def score(
    use_case: UseCaseName,
    source: Annotated[Path, typer.Option("--input", help="A CSV or Parquet file of raw rows.")],
    target: Annotated[Path, typer.Option("--output", help="Where the scored rows go (CSV or Parquet).")],
    columns: Annotated[
        str, typer.Option(help="Columns to write, renamed as NEW=OLD, separated by commas. Default: all.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Score a file with the champion: rows in, predictions out.

    Example (a Kaggle submission): `evergreen score titanic --input test.csv --output submission.csv
    --columns PassengerId=passenger_id,Survived=prediction`
    """
    from evergreen.loop.score import score_file

    wanted = [column.strip() for column in columns.split(",") if column.strip()] or None
    with err.status(f"scoring {source}"):
        outcome = score_file(load_settings(), use_case, source, target, wanted)
    _show(
        outcome, as_json, lambda: f"{outcome['rows']:,} rows scored by v{outcome['model_version']}: {target}"
    )


@app.command()
def simulate(
    use_case: UseCaseName,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day.")],
    end: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day.")],
    customers: Annotated[int, typer.Option(min=1, help="How many entities.")] = 1500,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows.")] = 2026,
    recession_from: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Inputs and their meaning shift from here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fill the simulated operational database of a use case that has one. Simulated data, not a real bank's.

    Example: `evergreen simulate credit_score --start 2025-01-01 --end 2026-07-01`
    """
    from evergreen.errors import UseCaseError
    from evergreen.sources.connections import connection_url
    from evergreen.usecase import SqlSource
    from evergreen.usecases import load, submodule

    settings = load_settings()
    declared = load(use_case, settings)
    simulator = submodule(use_case, "simulator", settings)
    if simulator is None or not isinstance(declared.label.source, SqlSource):
        raise UseCaseError(
            f"{use_case!r} has no simulator", hint="it reads a real source: evergreen run ingest " + use_case
        )
    url = connection_url(declared.label.source.connection, settings)
    with err.status("simulating") as shown:
        counts = simulator.populate(
            url,
            start=start.date(),
            end=end.date(),
            customers=customers,
            seed=seed,
            recession_from=recession_from.date() if recession_from else None,
            progress=lambda done, months: shown.update(f"simulating month {done} of {months}"),
        )
    _show(counts, as_json, lambda: ", ".join(f"{n:,} {what}" for what, n in counts.items()))


@app.command()
def demo(
    use_case: UseCaseName,
    csv: Annotated[
        Path | None, typer.Option(help="The file to learn from, for a use case that reads a file.")
    ] = None,
    bring_up: Annotated[
        bool,
        typer.Option("--up/--no-up", help="Start the embedded stack, or use the platform of the settings."),
    ] = True,
    erase: Annotated[
        bool, typer.Option("--erase", help="First erase whatever the use case holds, also what no demo made.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The whole loop on real parts, every stage verified; the stack stays up. Writes `.evergreen/demo.json`.

    Exits non-zero if any stage was not verified.

    Examples: `evergreen demo credit_score` · `evergreen demo titanic --csv train.csv`
    """
    from evergreen.demo.run import run_demo

    file = str(csv.resolve()) if csv else ""
    report = run_demo(
        load_settings().home,
        use_case,
        file,
        console=err if as_json else out,
        today=datetime.now(UTC).date(),
        bring_up=bring_up,
        erase=erase,
    )
    if as_json:
        out.print_json(data=report)


def _place(source: str) -> str:
    """A file's path as it is seen from anywhere; a URL stays as it is."""
    return str(Path(source).expanduser().resolve()) if source and "://" not in source else source


def _show(facts: Any, as_json: bool, render: Callable[[], Any]) -> None:
    if as_json:
        out.print_json(json.dumps(facts, default=str))
    else:
        out.print(render())


def main() -> None:
    """Entry point: an EvergreenError becomes one message on standard error and its exit code."""
    try:
        app()
    except EvergreenError as error:
        _complain("[bold red]Error:[/bold red]", error.message)
        if error.hint:
            _complain("[bold]Hint:[/bold]", error.hint)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("Interrupted.")
        sys.exit(130)


def _complain(word: str, text: str) -> None:
    from rich.markup import escape

    # Unwrapped: a path or a command in a message must be found and copied whole.
    err.print(f"{word} {escape(text)}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
