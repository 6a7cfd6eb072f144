"""Commands beside the loop: declare a use case for a table, and write a page about the data."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from evergreen.cli.app import AsJson, AsOf, UseCaseName, app, err, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.cli.tables.store_tables import render_new_use_case
from evergreen.moments import parse_moment
from evergreen.settings import load_settings

with import_on_use(__name__):
    from evergreen.workbench import new as new_use_case
    from evergreen.workbench import profile as profile_page


class ProblemKind(StrEnum):
    """What a target may be."""

    binary = "binary"
    multiclass = "multiclass"
    regression = "regression"


@app.command("new")
def declare_use_case(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The use case's name, such as wine.")],
    source: Annotated[
        str, typer.Option("--from", metavar="FILE|URL", help="A CSV, Parquet or JSON lines table, or a glob.")
    ],
    target: Annotated[str, typer.Option("--target", metavar="COL", help="The column to predict.")],
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="COL",
            help="The column that says what a row is about; repeat it for several. Default: one that looks"
            " like it, else the row's number.",
        ),
    ] = None,
    time: Annotated[
        str, typer.Option("--time", metavar="COL", help="When a row was true. Default: rows are timeless.")
    ] = "",
    problem: Annotated[
        ProblemKind | None, typer.Option(help="Default: what the target's values look like.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a use case for a table of yours: types, domains, null limits and the problem are inferred.

    Look at the folder it writes, and say there what the columns mean; then `evergreen demo NAME` runs the
    whole loop on it.

    Examples: `evergreen new wine --from winequality-red.csv --target quality` ·
    `evergreen new churn --from "landing/*.parquet" --key client_id --target left --time month`
    """
    with err.status(f"reading {source}") as status_line:
        created = new_use_case.create_use_case(
            load_settings(),
            name,
            source,
            keys=tuple(key or ()),
            target=target,
            time=time,
            problem=problem.value if problem else None,
            progress=lambda rows: status_line.update(f"reading {source}: {rows:,} rows"),
        )
    show_facts(created.to_json(), as_json, lambda: render_new_use_case(created))


@app.command("profile")
def profile_data(
    use_case_name: UseCaseName,
    as_of: AsOf = "",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the page goes. Default: under `.evergreen/`.")
    ] = None,
    show_it: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write one self-contained HTML page to look at the data.

    Types, missing shares, distributions, target by group, correlations, freshness; no network is needed.

    Examples: `evergreen profile titanic --open` ·
    `evergreen profile credit_score --as-of 2026-07-01 --output credit.html`
    """
    when = parse_moment(as_of) if as_of else None
    with err.status(f"looking at {use_case_name}"):
        page = profile_page.write_profile(load_settings(), use_case_name, when, output).resolve()
    show_facts(
        {"use_case": use_case_name, "page": str(page)},
        as_json,
        lambda: Text(str(page), no_wrap=True, overflow="ignore"),
    )
    if show_it:
        typer.launch(page.as_uri())
