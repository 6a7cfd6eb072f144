"""The clean start of a demo: it erases what earlier tours of the use case made, and nothing else."""

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
    """The moments as of which tours ingested and trained: a JSON file in Evergreen's home, for one
    database."""

    path: Path
    database: str

    @classmethod
    def of(cls, settings: Settings, use_case: UseCase) -> TourMarker:
        """The marker of a use case for the database of the settings."""
        place = f"{settings.mariadb_host}:{settings.mariadb_port}/{settings.mariadb_database}"
        return cls(settings.home / f"demo-{use_case.name}.json", place)

    def moments(self) -> set[datetime]:
        """The moments of this database; none if the file is another database's or does not exist."""
        if not self.path.exists():
            return set()
        document = json.loads(self.path.read_text("utf-8"))
        if document["database"] != self.database:
            return set()
        return {datetime.fromisoformat(moment) for moment in document["moments"]}

    def note(self, moment: datetime) -> None:
        """Add a moment. To be called before anything is done as of it, so that a killed tour counts too."""
        self.write({*self.moments(), moment})

    def write(self, moments: set[datetime]) -> None:
        """Replace the moments."""
        document = {"database": self.database, "moments": sorted(moment.isoformat() for moment in moments)}
        write_private_file(self.path, json.dumps(document))


def reset_demo(settings: Settings, use_case: UseCase, source: Upstream, *, erase: bool = False) -> str:
    """Erase what earlier tours of this use case made; return what was done in words.

    Raises NotTheDemosData if the use case holds data or a model of a moment that no tour worked as of,
    because a person made these. `erase` erases them too.
    """
    marker = TourMarker.of(settings, use_case)
    database = get_engine(settings)
    if is_empty(database, use_case) and read_champion(settings, use_case.name) is None:
        # A tour that was killed early has left a simulated bank, whose books begin at its own moment.
        if erase or marker.moments():
            source.erase()
        marker.write(set())
        return "nothing there yet"
    moments = list_run_moments(database, use_case)
    if not erase and (not moments or moments - marker.moments()):
        raise NotTheDemosData(
            f"{use_case.name} already holds data or a champion that no demo made",
            hint="erase all of it with --erase, or take the demo elsewhere: EVERGREEN_HOME=another-folder",
        )
    erase_use_case(database, use_case)
    studies.delete_studies(settings, database, use_case.name)
    _erase_models(settings, use_case)
    source.erase()
    marker.write(set())
    return "forgot what the previous demo left"


def _erase_models(settings: Settings, use_case: UseCase) -> None:
    """Delete the models and their runs. The ledger is append-only: it gets a line by which there is no
    champion any more."""
    database = get_engine(settings)
    with lock_use_case(database, use_case.name):
        erase_succession(
            settings,
            database,
            use_case.name,
            actor=identify_actor(),
            reason="a demo began anew: its tables, runs and models were erased",
        )
