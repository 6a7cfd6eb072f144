"""What every command shows its results with: tables, progress, and a verb's result as lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


@contextmanager
def show_progress(console: Console) -> Iterator[Callable[[str], None]]:
    """A progress line on a terminal, plain lines elsewhere. Yields the function that says what happens."""
    if not console.is_terminal:
        yield lambda text: console.print(text, highlight=False)
        return
    with console.status("starting") as status_line:
        yield lambda text: status_line.update(text)


def build_grid(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table in the one style of the command line; long cells are folded, never cut."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def shorten_moment(value: Any) -> str:
    """ISO moments to the second, anything else as it is."""
    text = "" if value is None else str(value)
    return (
        text[:19].replace("T", " ") if len(text) > 19 and text[4:5] == "-" and text[10:11] in "T " else text
    )


def render_outcome(outcome: Mapping[str, Any]) -> Table:
    """A verb's small JSON result, a line per entry.

    A nested value stands in the line of its entry, without the texts that are entries of their own.
    """
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    texts = {value for value in outcome.values() if isinstance(value, str)}
    for key, value in outcome.items():
        table.add_row(Text(key), Text(_format_fact(value, texts)))
    return table


def _format_fact(value: Any, texts_above: set[str]) -> str:
    """A value as text; of a nested one without empty values, and without texts that are in `texts_above`."""
    if isinstance(value, Mapping):
        facts = {
            name: each for name, each in value.items() if not isinstance(each, str) or each not in texts_above
        }
        texts = {name: _format_fact(each, texts_above) for name, each in facts.items()}
        return ", ".join(
            f"{name} ({text})" if isinstance(facts[name], Mapping) else f"{name} {text}"
            for name, text in texts.items()
            if text
        )
    if isinstance(value, list | tuple):
        # Of a check of the gate the reason is enough.
        return "; ".join(
            str(each["reason"])
            if isinstance(each, Mapping) and each.get("reason")
            else _format_fact(each, texts_above)
            for each in value
        )
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:,.4f}".rstrip("0").rstrip(".")
    return shorten_moment(value)
