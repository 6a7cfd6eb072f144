"""A clean start: the tour may be taken again, but it erases only what an earlier tour made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evergreen.demo.upstream import Upstream
from evergreen.errors import NotTheDemosData
from evergreen.private import write_private_file
from evergreen.registry.actor import identify_actor
from evergreen.registry.champion import read_champion
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.erasure import erase_succession
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.tables.forget import erase_use_case, is_empty, list_run_moments
from evergreen.training.search import studies
from evergreen.usecase import UseCase


@dataclass(frozen=True)
class TourMarker:
    """The moments as of which tours ingested and trained, kept in the home, for one database only."""

    path: Path
    database: str

    @classmethod
    def of(cls, settings: Settings, use_case: UseCase) -> TourMarker:
        place = f"{settings.mariadb_host}:{settings.mariadb_port}/{settings.mariadb_database}"
        return cls(settings.home / f"demo-{use_case.name}.json", place)

    def moments(self) -> set[datetime]:
        """What was noted for this database; nothing if the mark is another database's or is not there."""
        if not self.path.exists():
            return set()
        noted = json.loads(self.path.read_text("utf-8"))
        if noted["database"] != self.database:
            return set()
        return {datetime.fromisoformat(moment) for moment in noted["moments"]}

    def note(self, moment: datetime) -> None:
        """Remember a moment BEFORE anything is done as of it, so that a killed tour is remembered too."""
        self.write({*self.moments(), moment})

    def write(self, moments: set[datetime]) -> None:
        noted = {"database": self.database, "moments": sorted(moment.isoformat() for moment in moments)}
        write_private_file(self.path, json.dumps(noted))


def reset_demo(settings: Settings, use_case: UseCase, source: Upstream, *, erase: bool = False) -> str:
    """Forget what an earlier tour of this use case left, and say in words what was done.

    Raises NotTheDemosData if the use case holds anything as of a moment that no tour worked as of: that is
    somebody's work. `erase` forgets that too.
    """
    mark = TourMarker.of(settings, use_case)
    database = get_engine(settings)
    if is_empty(database, use_case) and read_champion(settings, use_case.name) is None:
        # A tour that was killed early has left a source, whose books begin at its own moment.
        if erase or mark.moments():
            source.erase()
        mark.write(set())
        return "nothing there yet"
    moments = list_run_moments(database, use_case)
    if not erase and (not moments or moments - mark.moments()):
        raise NotTheDemosData(
            f"{use_case.name} already holds data or a champion that no demo made",
            hint="erase all of it with --erase, or take the demo elsewhere: EVERGREEN_HOME=another-folder",
        )
    erase_use_case(database, use_case)
    studies.delete_studies(settings, database, use_case.name)
    _forget_champions(settings, use_case)
    source.erase()
    mark.write(set())
    return "forgot what the previous demo left"


def _forget_champions(settings: Settings, use_case: UseCase) -> None:
    """Delete the models. The ledger forgets nothing: a line tells that nobody is champion any more."""
    database = get_engine(settings)
    with lock_use_case(database, use_case.name):
        erase_succession(
            settings,
            database,
            use_case.name,
            actor=identify_actor(),
            reason="a demo began anew: its tables, runs and models were erased",
        )
