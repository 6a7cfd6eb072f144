"""The stages of a tour with their live display. Each is timed and verified; the demo ends at the first
failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypedDict

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from evergreen.errors import EvergreenError, StageNotVerified

_DEFAULT_HINT = "the logs of every part are in .evergreen/logs/, the runs in the Airflow UI"


@dataclass
class FailureContext:
    """Where to find the reason when a stage fails; each field is empty where there is none.

    `words`: the last message of the part that is at work, or a function that asks for it. `command` explains
    the message, and `address` is the part's page.
    """

    words: str | Callable[[], str] = ""
    command: str = ""
    address: str = ""


class StageDocument(TypedDict):
    """A stage in `demo.json`: its name, its seconds, and what happened."""

    stage: str
    seconds: float
    what: str


@dataclass
class Stage:
    """One stage of the tour: `doing` is what goes on now, `happened` its result in words.

    `trace` is kept up to date while the stage runs.
    """

    name: str
    started: float
    seconds: float | None = None
    happened: str = ""
    doing: str = ""
    trace: FailureContext = field(default_factory=FailureContext)

    def say(self, text: str) -> None:
        """Set the text that the display shows while the stage runs."""
        self.doing = text

    def verify(self, condition: bool, claim: str) -> None:
        """Raise StageNotVerified, which names the claim, unless the condition is true."""
        if not condition:
            raise StageNotVerified(f"stage {self.name!r} is not verified: expected {claim}")

    def explain(self, error: EvergreenError) -> None:
        """Add to the error that ended the stage the failing part's message, the command that explains it and
        the address, as far as they are known and not in the error already."""
        words = ""
        with suppress(EvergreenError):  # a part that does not answer has no message
            words = self.trace.words if isinstance(self.trace.words, str) else self.trace.words()
        if words and words not in error.message:
            error.message += f"\n{words}"
        command, address = self.trace.command, self.trace.address
        hints = [f"explained by: {command}"] if command and command not in error.hint else []
        if address and address in error.hint:
            hints.append(error.hint)
        else:
            hints = [error.hint, *hints, f"to be seen at: {address}" if address else ""]
        error.hint = "\n".join(filter(None, hints)) or _DEFAULT_HINT


@dataclass
class Tour:
    """The stages so far, and their display on a console."""

    console: Console
    clock: Callable[[], float] = time.monotonic
    stages: list[Stage] = field(default_factory=list)
    _live: Live | None = None

    @contextmanager
    def running(self) -> Iterator[Tour]:
        """Show the stages until the block ends: live on a terminal, elsewhere as a line per finished
        stage."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(get_renderable=self._render, console=self.console, refresh_per_second=8) as live:
            self._live = live
            yield self

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Run one stage as a block: it is timed and displayed, and an error of the block gets its
        explanation."""
        stage = Stage(name, started=self.clock())
        self.stages.append(stage)
        try:
            yield stage
        except BaseException as error:
            stage.happened = "[red]failed[/red]"
            if isinstance(error, EvergreenError):
                stage.explain(error)
            raise
        finally:
            stage.seconds = self.clock() - stage.started
            if not self.console.is_terminal:
                self.console.print(f"{stage.seconds:7.1f} s  {stage.name}: {stage.happened}")

    @property
    def total_seconds(self) -> float:
        """The seconds of all finished stages."""
        return sum(stage.seconds or 0.0 for stage in self.stages)

    def as_json(self) -> list[StageDocument]:
        """The stages for `demo.json`."""
        return [
            StageDocument(stage=stage.name, seconds=round(stage.seconds or 0.0, 1), what=stage.happened)
            for stage in self.stages
        ]

    def table(self) -> Table:
        """The stages as a table for the console."""
        table = Table(title=None, box=None, pad_edge=False)
        table.add_column("stage", style="bold", no_wrap=True)
        table.add_column("seconds", justify="right")
        table.add_column("what happened", overflow="fold")  # an address that is cut leads nowhere
        for stage in self.stages:
            seconds = stage.seconds if stage.seconds is not None else self.clock() - stage.started
            table.add_row(stage.name, f"{seconds:.1f}", stage.happened or f"[dim]{stage.doing}[/dim]")
        return table

    def _render(self) -> RenderableType:
        if self.stages and self.stages[-1].seconds is None:
            return Group(self.table(), Spinner("dots", text=f" {self.stages[-1].name}"))
        return self.table()
