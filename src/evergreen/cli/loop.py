"""Commands of the loop: one verb, scoring a file, the simulated bank, and the demo."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from evergreen.cli.app import AsJson, AsOf, UseCaseName, app, err, out, print_json, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.cli.training import train_locally
from evergreen.errors import SettingsError, UseCaseError, ValidationFailed
from evergreen.moments import parse_moment
from evergreen.settings import load_settings
from evergreen.stack.view import render_outcome
from evergreen.usecase import NAME, SqlSource
from evergreen.usecases import load_submodule, load_use_case

with import_on_use(__name__):
    from evergreen.demo import run as demo_run
    from evergreen.loop import ingest as ingesting
    from evergreen.loop import monitor as monitoring
    from evergreen.loop import score as scoring
    from evergreen.loop import upkeep as upkeeping
    from evergreen.loop.deployment import deploy as deploying
    from evergreen.sources import connections

if TYPE_CHECKING:
    from evergreen.scoring.file import FileResult

# The most refused rows that are shown with their reasons.
_MAX_REFUSALS_SHOWN = 5


class Verb(StrEnum):
    """The verbs of the loop."""

    ingest = "ingest"
    train = "train"
    deploy = "deploy"
    monitor = "monitor"
    score = "score"


class OnError(StrEnum):
    """What becomes of a file with rows that break the contract."""

    row = "row"
    stop = "stop"


@app.command("run")
def run_verb(
    verb: Annotated[Verb, typer.Argument(help="What to do.")],
    use_case_name: UseCaseName,
    as_of: AsOf = "",
    source: Annotated[
        str,
        typer.Option(
            help="A file, glob or URL to ingest instead of the declared source; of several declared files"
            " PART=FILE,PART=FILE.",
            metavar="FILE",
        ),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Ingest also files whose content was loaded before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run one verb of the loop here and now, without Airflow: the same functions its DAG calls.

    A candidate that the gate rejects exits 7; the champion stays. Files that were ingested before are not
    read again, and a run that finds nothing new says so.

    Examples: `evergreen run ingest titanic --source train.csv` ·
    `evergreen run monitor credit_score`
    """
    settings = load_settings()
    load_use_case(use_case_name, settings)
    if (source or force) and verb is not Verb.ingest:
        option = "--source" if source else "--force"
        raise SettingsError(f"{option} says what to ingest; {verb} reads the store", hint="leave it out")
    if as_of and verb is Verb.deploy:
        raise SettingsError("deploy works with the champion of now", hint="leave --as-of out")
    if verb is Verb.train:
        train_locally(settings, use_case_name, as_of, "manual", as_json)
        return
    when = parse_moment(as_of) if as_of else datetime.now(UTC)
    outcome: Mapping[str, Any]
    title = f"{verb} {use_case_name} as of {when:%Y-%m-%d %H:%M} UTC"
    with err.status(title) as status_line:
        match verb:
            case Verb.ingest:
                outcome = ingesting.run_ingest(
                    settings,
                    use_case_name,
                    when,
                    _resolve_sources(source),
                    force=force,
                    progress=lambda part, rows: status_line.update(f"{title}: {part}, {rows:,} rows"),
                )
            case Verb.deploy:
                outcome = dict(deploying.run_deploy(settings, use_case_name))
            case Verb.monitor:
                outcome = monitoring.run_monitor(settings, use_case_name, when)
            case Verb.score:
                outcome = dict(scoring.run_score(settings, use_case_name, when))
    show_facts(outcome, as_json, lambda: _render_verb_result(outcome))


@app.command()
def upkeep(use_case_name: UseCaseName, as_json: AsJson = False) -> None:
    """Maintain a use case's tables: partitions of the prediction log, and pruning of history and checks.

    Partitions are added a week ahead and dropped after the declared retention; versions of overwritten rows
    are deleted after `EVERGREEN_HISTORY_DAYS` days, details of monitoring checks after `EVERGREEN_CHECK_DAYS`
    days. The DAG `USE_CASE__upkeep` does the same every day. It
    needs no champion, and the same command again changes nothing.

    Example: `evergreen upkeep credit_score`
    """
    with err.status(f"upkeep {use_case_name}"):
        outcome = upkeeping.run_upkeep(load_settings(), use_case_name, datetime.now(UTC))
    show_facts(outcome, as_json, lambda: Text(upkeeping.describe_upkeep(outcome)))


@app.command("score")
def score_rows(
    use_case_name: UseCaseName,
    source: Annotated[Path, typer.Option("--input", help="A CSV or Parquet file of raw rows.")],
    target: Annotated[Path, typer.Option("--output", help="Where the scored rows go (CSV or Parquet).")],
    columns: Annotated[
        str, typer.Option(help="Columns to write, renamed as NEW=OLD, separated by commas. Default: all.")
    ] = "",
    on_error: Annotated[
        OnError | None,
        typer.Option(
            help="On rows that break the contract: 'row' leaves their answers empty and says why in the"
            " column 'error'; 'stop' writes nothing. Default: row, but stop where --columns leave it out.",
            show_default=False,
        ),
    ] = None,
    raw_text: Annotated[
        bool,
        typer.Option(
            "--raw-text",
            help="Write texts in CSV as they are. Without it, one that a spreadsheet would run as a formula"
            " (=, +, -, @ and no number) gets an apostrophe before it.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score a file with the champion: rows in, predictions out.

    Exits 4 when rows were refused: the file then holds the answers of the others, or is not written.

    Example (a Kaggle submission): `evergreen score titanic --input test.csv --output submission.csv
    --columns PassengerId=passenger_id,Survived=prediction`
    """
    column_names = [column.strip() for column in columns.split(",") if column.strip()] or None
    with err.status(f"scoring {source}"):
        outcome = scoring.score_file(
            load_settings(),
            use_case_name,
            source,
            target,
            column_names,
            on_error=on_error.value if on_error else None,
            raw_text=raw_text,
        )
    show_facts(outcome, as_json, lambda: _render_score_result(outcome))
    if outcome["refused"]:
        raise typer.Exit(ValidationFailed.exit_code)


@app.command("simulate")
def simulate_bank(
    use_case_name: UseCaseName,
    start: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="First day (UTC), when a new bank's books begin; one that is there goes on where it ends.",
        ),
    ],
    end: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day (UTC), to its end.")],
    customers: Annotated[int, typer.Option(min=1, help="How many entities.")] = 1500,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows.")] = 2026,
    recession_from: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="Inputs and their meaning shift from the first period that begins then or later.",
        ),
    ] = None,
    erase: Annotated[
        bool, typer.Option("--erase", help="First drop what was simulated before, and begin the bank anew.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fill the simulated operational database of a use case that has one. Simulated data, not a real bank's.

    The bank keeps its books in periods of 30 days, counted from the day on which they begin. The same command
    again changes nothing; with a later `--end` it adds what the bank recorded since.

    Examples: `evergreen simulate credit_score --start 2025-01-01 --end 2026-07-01` ·
    `evergreen simulate credit_score --start 2025-01-01 --end 2026-10-01 --recession-from 2026-07-01`
    """
    settings = load_settings()
    use_case = load_use_case(use_case_name, settings)
    simulator = load_submodule(use_case_name, "simulator", settings)
    if simulator is None or not isinstance(use_case.label.source, SqlSource):
        raise UseCaseError(
            f"{use_case_name!r} has no simulator",
            hint="it reads a real source: evergreen run ingest " + use_case_name,
        )
    url = connections.find_connection_url(use_case.label.source.connection, settings)
    with err.status("simulating") as status_line:
        if erase:
            simulator.erase(url)
        counts = simulator.populate(
            url,
            start=start.replace(tzinfo=UTC),
            end=end.replace(tzinfo=UTC) + timedelta(days=1),
            customers=customers,
            seed=seed,
            recession_from=recession_from.replace(tzinfo=UTC) if recession_from else None,
            progress=lambda period, periods: status_line.update(f"simulating period {period} of {periods}"),
        )
    show_facts(counts, as_json, lambda: ", ".join(f"{n:,} {what}" for what, n in counts.items()))


@app.command("demo")
def show_demo(
    use_case_name: UseCaseName,
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
    file = str(csv.resolve()) if csv else ""
    report = demo_run.run_demo(
        load_settings().home,
        use_case_name,
        file,
        console=err if as_json else out,
        now=datetime.now(UTC),
        bring_up=bring_up,
        erase=erase,
    )
    if as_json:
        print_json(report)


def _render_verb_result(outcome: Mapping[str, Any]) -> RenderableType:
    """A verb's result as lines, after the sentence that it comes with, if any."""
    facts = {name: value for name, value in outcome.items() if name != "said"}
    text = outcome.get("said", "")
    if not text and outcome.get("rows_in") and not (outcome["rows_loaded"] or outcome.get("held_back")):
        rest = "the rest of what was read" if outcome.get("rejected") else "all that was read"
        text = f"{rest} is in the store already: nothing changed"
    if not text and (later := outcome.get("held_back")):
        text = f"{later:,} rows lie after as_of: held back until an ingest as of then"
    return Group(*([Text(text)] if text else []), render_outcome(facts))


def _render_score_result(outcome: FileResult) -> RenderableType:
    """How many rows of a file were answered; the refused ones with reasons, and the warnings."""
    rows, refusals = outcome["rows"], outcome["refused"]
    count = f"{rows - refusals:,} of {rows:,}" if refusals else f"{rows:,}"
    lines = [f"{count} rows scored by v{outcome['model_version']}: {outcome['output']}"]
    if refusals:
        lines.append(f"{refusals:,} refused, their answers are empty:")
        lines += [
            f"  row {each['row']:,}: {each['error']}" for each in outcome["refusals"][:_MAX_REFUSALS_SHOWN]
        ]
        lines += [f"  and {refusals - _MAX_REFUSALS_SHOWN:,} more"] if refusals > _MAX_REFUSALS_SHOWN else []
    for each in outcome["warnings"]:
        examples = f": {', '.join(map(repr, each['examples']))}" if each["examples"] else ""
        affected_rows = f"{each['count']:,} {'row' if each['count'] == 1 else 'rows'}"
        lines.append(f"warning: {each['column']} {each['check']} in {affected_rows}{examples}")
    return Text("\n".join(lines))


def _resolve_sources(source: str) -> str:
    """--source (FILE or PART=FILE,PART=FILE) with absolute paths; URLs stay as they are."""
    pairs = [pair.strip().partition("=") for pair in re.split(r",(?=\s*[a-z][a-z0-9_]*=)", source)]
    if all(equals and NAME.fullmatch(part) for part, equals, _ in pairs) and not Path(source).exists():
        return ",".join(f"{part}={_resolve_source(file)}" for part, _, file in pairs)
    return _resolve_source(source)


def _resolve_source(source: str) -> str:
    return str(Path(source).expanduser().resolve()) if source and "://" not in source else source
