"""The clean start of a demo: it erases what earlier tours of the use case made and what the platform did by
itself since.

It refuses where a person has worked since: ingested or trained by hand, registered a model, moved the alias
in MLflow, rolled back, or answered an approval. The option `--erase` erases that too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from evergreen.demo.upstream import Upstream
from evergreen.errors import NotTheDemosData
from evergreen.private import write_private_file
from evergreen.registry.actor import DEPLOY, NOBODY, identify_actor
from evergreen.registry.champion import read_champion
from evergreen.registry.ledger import Action, read_entries_since_erase
from evergreen.registry.lock import lock_use_case
from evergreen.registry.models import TRAINING_RUN
from evergreen.registry.reconcile import reconcile_ledger
from evergreen.registry.succession.erasure import erase_succession
from evergreen.registry.versions import list_versions
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.checks.decision import MANUAL
from evergreen.store.tables.forget import PastRun, erase_use_case, holds_rows, is_empty, list_past_runs
from evergreen.training.search import studies
from evergreen.usecase import UseCase

# What a person does with a use case's models.
_PERSONS_ACTIONS: tuple[Action, ...] = ("external", "rollback", "approve", "deny")


@dataclass(frozen=True)
class TourMarker:
    """The moments as of which tours ingested and trained: a JSON file in Evergreen's home, for one
    database.

    `database` is named by the server's socket where it is reached by one: its port may be another one after
    each start. `addresses` are the names that the file may have for it, since earlier versions named every
    server by host and port.
    """

    path: Path
    database: str
    addresses: frozenset[str]

    @classmethod
    def of(cls, settings: Settings, use_case: UseCase) -> TourMarker:
        """The marker of a use case for the database of the settings."""
        by_port = f"{settings.mariadb_host}:{settings.mariadb_port}/{settings.mariadb_database}"
        socket = settings.mariadb_socket
        database = f"{socket}/{settings.mariadb_database}" if socket is not None else by_port
        path = settings.home / f"demo-{use_case.name}.json"
        return cls(path, database, frozenset({database, by_port}))

    def moments(self) -> set[datetime]:
        """The moments of this database; none if the file is another database's or does not exist."""
        if not self.path.exists():
            return set()
        document = json.loads(self.path.read_text("utf-8"))
        if document["database"] not in self.addresses:
            return set()
        return {datetime.fromisoformat(moment) for moment in document["moments"]}

    def note(self, moment: datetime) -> None:
        """Add a moment. To be called before anything is done as of it, so that a killed tour counts too."""
        self.write({*self.moments(), moment})

    def write(self, moments: set[datetime]) -> None:
        """Replace the moments."""
        document = {"database": self.database, "moments": sorted(moment.isoformat() for moment in moments)}
        write_private_file(self.path, json.dumps(document))


def reset_demo(
    settings: Settings,
    use_case: UseCase,
    source: Upstream,
    list_scheduled_moments: Callable[[], Collection[datetime]],
    *,
    erase: bool = False,
) -> str:
    """Erase what earlier tours of this use case made, and what the platform did by itself since; return what
    was done in words.

    `list_scheduled_moments` asks Airflow for the moments (aware) of the ingests that the schedule started.
    Raises NotTheDemosData if the use case holds data or a model that a person made, or a person has decided
    who is champion. `erase` erases that too.
    """
    marker = TourMarker.of(settings, use_case)
    database = get_engine(settings)
    if is_empty(database, use_case) and read_champion(settings, use_case.name) is None:
        # A tour that was killed early has left a simulated bank, whose books begin at its own moment.
        if erase or marker.moments():
            source.erase()
        marker.write(set())
        return "nothing there yet"
    apply_migrations(database)
    demos_moments = marker.moments()
    later_runs = [run for run in list_past_runs(database, use_case) if run.as_of not in demos_moments]
    has_content = holds_rows(database, use_case) or read_champion(settings, use_case.name) is not None
    reconcile_ledger(settings, database, use_case.name)
    if not erase:
        # Rows and a champion without a tour before them are the work of whoever set the platform up, also
        # where the schedule ingested and trained.
        persons_runs = later_runs
        if demos_moments or not has_content:
            persons_runs = find_runs_by_hand(later_runs, list_scheduled_moments)
        if persons_runs or (has_content and not demos_moments):
            raise _build_refusal(use_case, _describe_run(persons_runs[0]) if persons_runs else "")
        if succession_work := find_succession_work(settings, database, use_case.name):
            raise _build_refusal(use_case, succession_work)
    erase_use_case(database, use_case)
    studies.delete_studies(settings, database, use_case.name)
    _erase_models(settings, use_case)
    if erase or demos_moments:
        source.erase()
    marker.write(set())
    if erase:
        return "forgot all that there was"
    former = ["what the previous demo left"] if demos_moments else []
    if later_runs:
        former.append(f"what the platform did by itself (ingests and trainings: {len(later_runs)})")
    return f"forgot {' and '.join(former) or 'what the schedule left'}"


def find_runs_by_hand(
    runs: Iterable[PastRun], list_scheduled_moments: Callable[[], Collection[datetime]]
) -> list[PastRun]:
    """The runs that neither the schedule, new data nor the governor started.

    A training has its trigger on record. Who started an ingest is Airflow's to know, which is asked if there
    is one; the schedule gives it no file.
    """
    runs = list(runs)
    is_asked = any(run.kind == "ingest" for run in runs)
    scheduled_moments = list_scheduled_moments() if is_asked else ()
    return [
        run
        for run in runs
        if (
            run.trigger in ("", MANUAL)
            if run.kind == "training"
            else run.source or run.as_of not in scheduled_moments
        )
    ]


def find_succession_work(settings: Settings, database: sa.Engine, use_case_name: str) -> str:
    """In words, what a person did with the use case's models since its last `erase`; "" for nothing.

    That is a line of the ledger or a version without a training run. Neither a tour nor the schedules make
    any: what `deploy` takes back, and an approval without an answer in time, are the platform's own. Raises
    RegistryUnreachable, RegistryError, StoreUnreachable.
    """
    for line in read_entries_since_erase(database, use_case_name):
        if line.action in _PERSONS_ACTIONS and line.actor not in (DEPLOY, NOBODY):
            return (
                f"line {line.id} of the ledger, {line.action} by {line.actor} at"
                f" {line.at.isoformat(sep=' ', timespec='seconds')}: {line.reason}"
            )
    for version in list_versions(settings, use_case_name):
        if TRAINING_RUN not in version.tags:
            return f"version {version.version} of the model, which was registered by hand"
    return ""


def _build_refusal(use_case: UseCase, work: str) -> NotTheDemosData:
    return NotTheDemosData(
        f"{use_case.name} already holds data or a champion that no demo made" + (f": {work}" if work else ""),
        hint="erase all of it with --erase, or take the demo elsewhere: EVERGREEN_HOME=another-folder",
    )


def _describe_run(run: PastRun) -> str:
    of_file = f" of {run.source}" if run.source else ""
    return f"the {run.kind}{of_file} as of {run.as_of.isoformat(sep=' ', timespec='seconds')}"


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
