"""The data of a tour: from a simulator where the use case has one, otherwise from its declared source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import ModuleType
from typing import Protocol, runtime_checkable

from evergreen.demo.timeline import Timeline
from evergreen.demo.traffic import FeatureRow
from evergreen.errors import SourceError
from evergreen.ingest.future_rows import refuse_only_future_rows
from evergreen.settings import Settings
from evergreen.sources.connections import find_connection_url
from evergreen.sources.read import SourceInput, open_source
from evergreen.store.connection.database import get_engine
from evergreen.store.online.vectors import read_latest_rows
from evergreen.usecase import TIMELESS, SqlSource, UseCase
from evergreen.usecases import load_submodule

ProgressCallback = Callable[[str], None]

CUSTOMER_COUNT = 1_500
SEED = 2026


class Upstream(Protocol):
    """The data that a tour works with. `ingest_conf` has the parameters of the tour's first ingest run."""

    ingest_conf: dict[str, str]

    def erase(self) -> None:
        """Remove the data that an earlier tour has made."""

    def first_as_of(self) -> datetime:
        """The moment (aware UTC) as of which the tour ingests and trains first."""

    def prepare(self, say: ProgressCallback) -> str:
        """Make the data up to `first_as_of` available; return what there is in words."""

    def usual_rows(self, count: int) -> Sequence[FeatureRow]:
        """Rows for requests that are like the data of the first training."""


@runtime_checkable
class DriftingUpstream(Upstream, Protocol):
    """Data that can be made to drift, so that the tour has drift to detect."""

    def drift(self, say: ProgressCallback) -> str:
        """Make the data drift, up to now; return what there is in words."""

    def drifted_rows(self, count: int) -> tuple[Sequence[FeatureRow], Sequence[str]]:
        """Rows for requests that are like the drifted data, and their true labels."""


def build_upstream(settings: Settings, use_case: UseCase, file: str, timeline: Timeline) -> Upstream:
    """The data of the use case's simulator if its folder has one, else of its declared source, or of `file`
    instead of it."""
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
    """Raise SourceError if the use case's file, or `file` instead of it, cannot be read or has only rows of
    the future, and if a `file` is given for a use case that reads a database."""
    source = use_case.label.source
    if isinstance(source, SqlSource):
        if file:
            raise SourceError(
                f"{use_case.name} reads the database {source.connection!r}, not the file {file}",
                hint="leave --csv out",
            )
        return
    try:
        for source_input in _open_inputs(settings, use_case, file):
            next(iter(source_input.batches()), None)
    except SourceError as error:
        hint = f"name the file: evergreen demo {use_case.name} --csv FILE"
        raise type(error)(error.message, hint=hint) from error
    for name, part in use_case.parts.items():
        if part.source == source:
            inputs = _open_inputs(settings, use_case, file)
            batches = (batch for source_input in inputs for batch in source_input.batches())
            refuse_only_future_rows(part, name, batches, datetime.now(UTC))


def _open_inputs(settings: Settings, use_case: UseCase, file: str) -> list[SourceInput]:
    """The files or the query that the use case's labels are read from, up to now."""
    source, now = use_case.label.source, datetime.now(UTC)
    return open_source(source, settings, use_case.name, start=TIMELESS, end=now, override=file)


class SimulatedUpstream:
    """A simulated operational database of a bank. Its data are stable until the recession begins."""

    def __init__(
        self, settings: Settings, use_case: UseCase, simulator: ModuleType, timeline: Timeline
    ) -> None:
        assert isinstance(use_case.label.source, SqlSource)
        self._url = find_connection_url(use_case.label.source.connection, settings)
        self._simulator = simulator
        self.ingest_conf: dict[str, str] = {}
        self._timeline = timeline

    def erase(self) -> None:
        """Drop the tables of the simulated bank."""
        self._simulator.erase(self._url)

    def first_as_of(self) -> datetime:
        """The moment of the first training, before the recession begins."""
        return self._timeline.first_training

    def prepare(self, say: ProgressCallback) -> str:
        """Simulate the bank until the first training; return the counts of its rows in words."""
        until = self._timeline.first_training
        return f"simulated bank until {until:%Y-%m-%d}: " + self._populate(until, say)

    def usual_rows(self, count: int) -> Sequence[FeatureRow]:
        """Rows of customers before the recession, who are not in the database."""
        rows, _ = self._draw_customers(count, SEED + 1, "stable")
        return rows

    def drift(self, say: ProgressCallback) -> str:
        """Simulate the recession until now; return the counts of the bank's rows in words."""
        recession_from = self._timeline.recession_from
        counts = self._populate(self._timeline.now, say, recession_from=recession_from)
        return f"simulated recession since {recession_from:%Y-%m-%d}: the bank now holds {counts}"

    def drifted_rows(self, count: int) -> tuple[Sequence[FeatureRow], Sequence[str]]:
        """Rows of customers in the recession, who are not in the database, and their true labels."""
        return self._draw_customers(count, SEED + 2, "recession")

    def _draw_customers(
        self, count: int, seed: int, scenario: str
    ) -> tuple[Sequence[FeatureRow], Sequence[str]]:
        period = self._simulator.periods_before(self._timeline.begins, self._timeline.recession_from)
        rows, labels = self._simulator.draw(count, seed, scenario=scenario, period=period)
        return list(rows), list(labels)

    def _populate(self, end: datetime, say: ProgressCallback, **scenario: datetime) -> str:
        counts = self._simulator.populate(
            self._url,
            start=self._timeline.begins,
            end=end,
            customers=CUSTOMER_COUNT,
            seed=SEED,
            progress=lambda period, periods: say(f"period {period} of {periods}"),
            **scenario,
        )
        return ", ".join(f"{count:,} {name.replace('_', ' ')}s" for name, count in counts.items())


class DeclaredUpstream:
    """The declared source of a use case, which the demo does not change: its data cannot be made to drift."""

    def __init__(self, settings: Settings, use_case: UseCase, file: str) -> None:
        self._settings = settings
        self._use_case = use_case
        self.ingest_conf: dict[str, str] = {"source": file} if file else {}

    def erase(self) -> None:
        """Do nothing: the demo has not made the source."""

    def first_as_of(self) -> datetime:
        """The present moment."""
        return datetime.now(UTC)

    def prepare(self, say: ProgressCallback) -> str:
        """Read the source once; return the number of its rows in words."""
        say("reading the source")
        rows = 0
        for source_input in _open_inputs(self._settings, self._use_case, self.ingest_conf.get("source", "")):
            for batch in source_input.batches():
                rows += batch.num_rows
                say(f"{rows:,} rows at the source so far")
        return f"{rows:,} rows at the source"

    def usual_rows(self, count: int) -> Sequence[FeatureRow]:
        """Rows drawn with replacement from the newest stored rows of all entities."""
        frame = read_latest_rows(get_engine(self._settings), self._use_case)
        sample = frame.sample(n=count, replace=True, random_state=SEED)
        names = [*self._use_case.entity.key_names, *(f.name for f in self._use_case.stored_features)]
        values = sample[names].astype(object)
        rows = values.where(sample[names].notna(), None).to_dict("records")
        integers = {f.name for f in self._use_case.stored_features if f.dtype == "int"}
        return [
            {str(name): int(v) if name in integers and v is not None else v for name, v in row.items()}
            for row in rows
        ]
