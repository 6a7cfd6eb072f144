"""What all commands share: the application, its two consoles, common options, and the output of results."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from evergreen import __version__

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


def add_command_group(name: str, help: str) -> typer.Typer:
    """Commands that are called by two words, the first of which is `name`."""
    group = typer.Typer(no_args_is_help=True, help=help)
    app.add_typer(group, name=name)
    return group


@app.callback(invoke_without_command=True)
def handle_global_options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Options before the command."""
    if version:
        out.print(__version__)
        raise typer.Exit


def show_facts(facts: Any, as_json: bool, render: Callable[[], Any]) -> None:
    """Print facts as JSON, or what `render` makes of them.

    Lines that may not be wrapped (paths, code to copy) are printed in full, also beyond the terminal's width.
    """
    if as_json:
        print_json(facts)
    else:
        out.print(render(), crop=False)


def print_json(facts: Any) -> None:
    """JSON on standard output; escaped to ASCII where the output's encoding does not hold every character."""
    out.print_json(json.dumps(facts, default=_encode_value), ensure_ascii=not out.encoding.startswith("utf"))


def _encode_value(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
