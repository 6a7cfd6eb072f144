"""The command line `evergreen`: help with examples, `--json` for scripts, an exit code per kind of error."""

from __future__ import annotations

import atexit
import gc
import io
import sys

from rich.markup import escape

from evergreen.cli.app import app, err
from evergreen.errors import EvergreenError

# Each module gives the application its commands, in the order in which `--help` shows them.
# isort: off
from evergreen.cli import stack as stack
from evergreen.cli import workbench as workbench
from evergreen.cli import loop as loop
from evergreen.cli import training as training
from evergreen.cli import backtest as backtest
from evergreen.cli import store as store
from evergreen.cli import registry as registry
from evergreen.cli import trial as trial
from evergreen.cli import monitoring as monitoring
from evergreen.cli.administration import keys as keys
from evergreen.cli.administration import rights as rights
from evergreen.cli.administration import operations as operations
from evergreen.cli.administration import deploy as deploy
# isort: on


def main() -> None:
    """Entry point: an EvergreenError becomes one message on standard error and its exit code."""
    # At its end Python searches all objects for cycles, which takes a second after a training.
    atexit.register(gc.freeze)
    _replace_unencodable_characters()
    try:
        app()
    except EvergreenError as error:
        _print_error("[bold red]Error:[/bold red]", error.message)
        if error.hint:
            _print_error("[bold]Hint:[/bold]", error.hint)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("Interrupted.")
        sys.exit(130)


def _replace_unencodable_characters() -> None:
    """Have characters that the encoding of an output lacks written as question marks instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _print_error(word: str, text: str) -> None:
    # Unwrapped: a path or a command in a message must be found and copied whole.
    err.print(f"{word} {escape(text)}", highlight=False, soft_wrap=True)
