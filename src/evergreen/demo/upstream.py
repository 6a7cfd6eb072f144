"""Where the tour's data come from: a simulator where the use case has one, otherwise its own source."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from evergreen.demo.timeline import Timeline
from evergreen.errors import SourceError
from evergreen.ingest.future_rows import refuse_only_future_rows
from evergreen.settings import Settings
from evergreen.sources.connections import find_connection_url
from evergreen.store.connection.database import get_engine
from evergreen.store.online.vectors import read_latest_rows
from evergreen.usecase import TIMELESS, SqlSource, UseCase
from evergreen.usecases import load_submodule

if TYPE_CHECKING:
    from evergreen.sources.read import SourceInput

ProgressCallback = Callable[[str], None]

CUSTOMER_COUNT = 1_500
SEED = 2026


class Upstream(Protocol):
    """What the tour needs to know of a use case's data."""

    ingest_conf: dict[str, Any]

    def erase(self) -> None: ...
    def first_as_of(self) -> datetime: ...
    def prepare(self, say: ProgressCallback) -> str: ...
    def usual_rows(self, count: int) -> list[dict[str, Any]]: ...


@runtime_checkable
class DriftingUpstream(Upstream, Protocol):
    """One whose world can be made to change, so that the tour has something to notice."""

    def drift(self, say: ProgressCallback) -> str: ...
    def drifted_rows(self, count: int) -> tuple[list[dict[str, Any]], list[str]]: ...


def build_upstream(settings: Settings, use_case: UseCase, file: str, timeline: Timeline) -> Upstream:
    """The use case's simulator if its folder has one, else its declared source (or `file` instead of it)."""
    simulator = _find_simulator(settings, use_case)
    if simulator is not None:
        return SimulatedUpstream(settings, use_case, simulator, timeline)
    return DeclaredUpstream(settings, use_case, file)


def is_simulated(settings: Settings, use_case: UseCase) -> bool:
    """Whether a tour of the use case simulates its data."""
    return _find_simulator(settings, use_case) is not None


def _find_simulator(settings: Settings, use_case: UseCase) -> ModuleType | None:
    if not isinstance(use_case.label.source, SqlSource):
        return None
    return load_submodule(use_case.name, "simulator", settings)


def check_source(settings: Settings, use_case: UseCase, file: str) -> None:
    """Raise SourceError unless the use case's file can be read and holds rows of the time until now, or if
    `file` cannot take its place."""
    source = use_case.label.source
    if isinstance(source, SqlSource):
        if file:
            raise SourceError(
                f"{use_case.name} reads the database {source.connection!r}, not the file {file}",
                hint="leave --csv out",
            )
        return
    try:
        for each in _open_inputs(settings, use_case, file):
            next(iter(each.batches()), None)
    except SourceError as error:
        hint = f"name the file: evergreen demo {use_case.name} --csv FILE"
        raise type(error)(error.message, hint=hint) from error
    for name, part in use_case.parts.items():
        if part.source == source:
            batches = (b for each in _open_inputs(settings, use_case, file) for b in each.batches())
            refuse_only_future_rows(part, name, batches, datetime.now(UTC))


def _open_inputs(settings: Settings, use_case: UseCase, file: str) -> list[SourceInput]:
    """What the use case's labels are read from, up to now."""
    from evergreen.sources.read import open_source

    source, now = use_case.label.source, datetime.now(UTC)
    return open_source(source, settings, use_case.name, start=TIMELESS, end=now, override=file)


class SimulatedUpstream:
    """A simulated operational database, whose stable past ends where the recession begins."""

    def __init__(
        self, settings: Settings, use_case: UseCase, simulator: ModuleType, timeline: Timeline
    ) -> None:
        assert isinstance(use_case.label.source, SqlSource)
        self._url = find_connection_url(use_case.label.source.connection, settings)
        self._simulator = simulator
        self.ingest_conf: dict[str, Any] = {}
        self._timeline = timeline

    def erase(self) -> None:
        """Forget the bank of an earlier tour."""
        self._simulator.erase(self._url)

    def first_as_of(self) -> datetime:
        """Before the recession: what lies before it is stable."""
        return self._timeline.first_training

    def prepare(self, say: ProgressCallback) -> str:
        until = self._timeline.first_training
        return f"simulated bank until {until:%Y-%m-%d}: " + self._populate(until, say)

    def usual_rows(self, count: int) -> list[dict[str, Any]]:
        return list(self._draw(count, SEED + 1, "stable")[0])

    def drift(self, say: ProgressCallback) -> str:
        turn = self._timeline.turns
        return f"simulated recession since {turn:%Y-%m-%d}: the bank now holds " + self._populate(
            self._timeline.now, say, recession_from=turn
        )

    def drifted_rows(self, count: int) -> tuple[list[dict[str, Any]], list[str]]:
        rows, labels = self._draw(count, SEED + 2, "recession")
        return list(rows), list(labels)

    def _draw(self, count: int, seed: int, scenario: str) -> Any:
        period = self._simulator.periods_before(self._timeline.begins, self._timeline.turns)
        return self._simulator.draw(count, seed, scenario=scenario, period=period)

    def _populate(self, end: datetime, say: ProgressCallback, **scenario: datetime) -> str:
        counts = self._simulator.populate(
            self._url,
            start=self._timeline.begins,
            end=end,
            customers=CUSTOMER_COUNT,
            seed=SEED,
            progress=lambda done, periods: say(f"period {done} of {periods}"),
            **scenario,
        )
        return ", ".join(f"{count:,} {name.replace('_', ' ')}s" for name, count in counts.items())


class DeclaredUpstream:
    """The use case's own source, as it is: there is nothing to make drift with."""

    def __init__(self, settings: Settings, use_case: UseCase, file: str) -> None:
        self._settings = settings
        self._use_case = use_case
        self.ingest_conf: dict[str, Any] = {"source": file} if file else {}

    def erase(self) -> None:
        """A declared source is not the demo's to erase."""

    def first_as_of(self) -> datetime:
        return datetime.now(UTC)

    def prepare(self, say: ProgressCallback) -> str:
        say("reading the source")
        rows = 0
        for each in _open_inputs(self._settings, self._use_case, self.ingest_conf.get("source", "")):
            for batch in each.batches():
                rows += batch.num_rows
                say(f"{rows:,} rows at the source so far")
        return f"{rows:,} rows at the source"

    def usual_rows(self, count: int) -> list[dict[str, Any]]:
        frame = read_latest_rows(get_engine(self._settings), self._use_case)
        sample = frame.sample(n=count, replace=True, random_state=SEED)
        names = [*self._use_case.entity.key_names, *(f.name for f in self._use_case.stored_features)]
        plain = sample[names].astype(object)
        rows = plain.where(sample[names].notna(), None).to_dict("records")
        whole = {f.name for f in self._use_case.stored_features if f.dtype == "int"}
        return [
            {str(name): int(v) if name in whole and v is not None else v for name, v in row.items()}
            for row in rows
        ]
