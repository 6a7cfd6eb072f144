"""Stages with a live display: each is timed, and either verified or the demo ends there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from evergreen.errors import EvergreenError, StageNotVerified

_ELSE = "the logs of every part are in .evergreen/logs/, the runs in the Airflow UI"


@dataclass
class FailureContext:
    """Where the reason is to be found when a stage fails: the last words of the part that is at work (or what
    asks it for them then), the command that explains them, and the address of its page. Empty where there is
    none."""

    words: str | Callable[[], str] = ""
    command: str = ""
    address: str = ""


@dataclass
class Stage:
    """One stage of the tour: its name, what it is doing now, and in the end what happened. `trace` is kept up
    to date while the stage goes on."""

    name: str
    started: float
    seconds: float | None = None
    happened: str = ""
    doing: str = ""
    trace: FailureContext = field(default_factory=FailureContext)

    def say(self, text: str) -> None:
        """Show what is going on inside the stage."""
        self.doing = text

    def verify(self, held: bool, claim: str) -> None:
        """Raise StageNotVerified unless what the stage claims is so."""
        if not held:
            raise StageNotVerified(f"stage {self.name!r} is not verified: expected {claim}")

    def explain(self, error: EvergreenError) -> None:
        """Let the error that ended the stage end with the failing part's own words, the command that explains
        them and the address, as far as they are known and it does not say so already."""
        words = ""
        with suppress(EvergreenError):  # a part that cannot be asked has said enough
            words = self.trace.words if isinstance(self.trace.words, str) else self.trace.words()
        if words and words not in error.message:
            error.message += f"\n{words}"
        command, address = self.trace.command, self.trace.address
        told = [f"explained by: {command}"] if command and command not in error.hint else []
        if address and address in error.hint:
            told.append(error.hint)
        else:
            told = [error.hint, *told, f"to be seen at: {address}" if address else ""]
        error.hint = "\n".join(filter(None, told)) or _ELSE


@dataclass
class Tour:
    """The stages so far, shown while they run."""

    console: Console
    clock: Callable[[], float] = time.monotonic
    stages: list[Stage] = field(default_factory=list)
    _live: Live | None = None

    @contextmanager
    def running(self) -> Iterator[Tour]:
        """Show the stages until the block ends; on a terminal live, elsewhere a line per finished stage."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(get_renderable=self._render, console=self.console, refresh_per_second=8) as live:
            self._live = live
            yield self

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Run one stage; `seconds` and the display follow."""
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
        return sum(stage.seconds or 0.0 for stage in self.stages)

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {"stage": s.name, "seconds": round(s.seconds or 0.0, 1), "what": s.happened} for s in self.stages
        ]

    def table(self) -> Table:
        table = Table(title=None, box=None, pad_edge=False)
        table.add_column("stage", style="bold", no_wrap=True)
        table.add_column("seconds", justify="right")
        table.add_column("what happened")
        for stage in self.stages:
            seconds = stage.seconds if stage.seconds is not None else self.clock() - stage.started
            table.add_row(stage.name, f"{seconds:.1f}", stage.happened or f"[dim]{stage.doing}[/dim]")
        return table

    def _render(self) -> RenderableType:
        if self.stages and self.stages[-1].seconds is None:
            return Group(self.table(), Spinner("dots", text=f" {self.stages[-1].name}"))
        return self.table()
