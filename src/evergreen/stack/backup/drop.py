"""Drops a use case: its tables, its records, and what its services kept; models are archived or deleted.

Names come from the database, so that a use case can be dropped whose folder is gone. Lines of the ledger
stay, and one more says who dropped it.
"""

from __future__ import annotations

import contextlib
import difflib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from evergreen.documents import JsonObject, write_document
from evergreen.errors import StackError, UnknownUseCase
from evergreen.registry.actor import identify_actor
from evergreen.registry.champion_history import read_champion_changes
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.erasure import archive_succession, erase_succession
from evergreen.registry.versions import list_versions
from evergreen.serving.predictions.spool_folders import list_spool_folders
from evergreen.serving.standing import format_container_name
from evergreen.settings import Settings, load_settings
from evergreen.stack.airflow_api import AirflowApi
from evergreen.stack.backup.create import Backup, create_backup
from evergreen.stack.backup.home_parts import MLFLOW_DATABASE, SPOOL, find_stack_files
from evergreen.stack.backup.home_server import reach_server
from evergreen.stack.servers.sqlite_files import build_sqlite_url
from evergreen.stack.status import Progress
from evergreen.store.connection.database import get_engine
from evergreen.store.tables.forget import erase_tables, find_known_use_cases, find_tables
from evergreen.training.search.studies import delete_studies
from evergreen.usecases import find_use_case_folders, load_valid_use_cases

ModelsEnd = Literal["archive", "delete"]

_HEALTH_SECONDS = 5.0
# Folders in the home that have a folder, or a page, of each use case.
_HOME_FOLDERS = ("models", "bentoml", "backtests")
_PAGES = ("reports", "profiles")


@dataclass(frozen=True)
class DropPlan:
    """What a drop would do: tables with about how many rows each holds, the versions in MLflow, the champion,
    and the folder that declares the use case (None: it is gone)."""

    use_case_name: str
    tables: dict[str, int]
    versions: tuple[int, ...]
    champion: int | None
    declaration: str | None

    def to_json(self) -> JsonObject:
        """For `--json`."""
        return write_document(self)


@dataclass(frozen=True)
class DropResult:
    """What was dropped, what became of the models, and the backup that was taken before (None: by wish)."""

    plan: DropPlan
    models: ModelsEnd
    backup: Backup | None

    def to_json(self) -> JsonObject:
        """For `--json`."""
        return {
            **self.plan.to_json(),
            "models": self.models,
            "backup": str(self.backup.folder) if self.backup else None,
        }


def plan_drop(home: Path, use_case_name: str) -> DropPlan:
    """What `drop_use_case` would do now. Changes nothing.

    Raises UnknownUseCase where neither the store, MLflow nor a declaration knows the name; StackError while
    its service answers or a DAG of it runs; StoreUnreachable, RegistryUnreachable, OrchestratorError.
    """
    with _reach_servers(home) as (settings, is_up):
        return _plan(settings, use_case_name, is_up)


def drop_use_case(
    home: Path,
    use_case_name: str,
    *,
    models: ModelsEnd = "archive",
    backups: Path | None = None,
    without_backup: bool = False,
    progress: Progress | None = None,
) -> DropResult:
    """Take a backup of the whole stack, then drop the use case. Killed half-way it is run again.

    `backups` is the folder for the backup. `without_backup`: for stacks in containers, and by wish. Raises
    as `plan_drop` and `create_backup` do; then nothing was dropped.
    """
    report = progress or _ignore
    backup = None
    plan_drop(home, use_case_name)  # before the backup, which takes longer
    if not without_backup:
        backup = create_backup(home, backups, report)
    with _reach_servers(home) as (settings, is_up):
        engine = get_engine(settings)
        report(f"dropping {use_case_name}")
        end_succession = archive_succession if models == "archive" else erase_succession
        with lock_use_case(engine, use_case_name):
            # Again, because a run may have begun and made tables since; no training promotes from here on.
            plan = _plan(settings, use_case_name, is_up)
            end_succession(
                settings,
                engine,
                use_case_name,
                actor=identify_actor(),
                reason=f"evergreen drop: its tables were dropped, its models {models}d",
            )
            erase_tables(engine, use_case_name, list(plan.tables))
            delete_studies(settings, engine, use_case_name)
        # While the stack cannot start a service on them.
        folders = [settings.home / name / use_case_name for name in _HOME_FOLDERS]
        for folder in (*folders, *list_spool_folders(settings.home / SPOOL, use_case_name)):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (f"demo-{use_case_name}.json", *(f"{each}/{use_case_name}.html" for each in _PAGES)):
            (settings.home / file).unlink(missing_ok=True)
    return DropResult(plan, models, backup)


@contextlib.contextmanager
def _reach_servers(home: Path) -> Iterator[tuple[Settings, bool]]:
    """Settings by which MariaDB and MLflow answer, and whether Airflow and services may run: those of a
    running stack, of containers, or of a stopped stack's files."""
    if not find_stack_files(home):
        yield load_settings(home), True
        return
    with reach_server(home.resolve()) as server:
        if server.is_stack_up:
            yield server.settings, True
            return
        registry = home.resolve() / MLFLOW_DATABASE
        if not registry.exists():  # whoever asks for models would make one without tables of MLflow's server
            raise StackError(f"there is no {registry}", hint="evergreen up makes it; then run this again")
        uri = build_sqlite_url(registry)
        yield server.settings.model_copy(update={"mlflow_tracking_uri": uri}), False


def _plan(settings: Settings, use_case_name: str, is_up: bool) -> DropPlan:
    engine = get_engine(settings)
    declared = find_use_case_folders(settings)
    known = {*declared, *find_known_use_cases(engine)}
    valid, _ = load_valid_use_cases(settings)
    tables = find_tables(engine, use_case_name, known, valid.values())
    versions = list_versions(settings, use_case_name)
    if use_case_name not in known and not tables and not versions:
        raise _build_unknown_error(use_case_name, known)
    if is_up:
        _refuse_while_used(settings, use_case_name)
    changes = read_champion_changes(engine, use_case_name)
    return DropPlan(
        use_case_name,
        tables,
        tuple(version.version for version in versions),
        changes[-1].to_version if changes else None,
        str(declared[use_case_name]) if use_case_name in declared else None,
    )


def _build_unknown_error(use_case_name: str, known: set[str]) -> UnknownUseCase:
    close = difflib.get_close_matches(use_case_name, known, 1)
    return UnknownUseCase(
        f"there is nothing of a use case {use_case_name!r}: no table, no record, no model, no declaration",
        hint=f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(known)) or 'none'}",
    )


def _refuse_while_used(settings: Settings, use_case_name: str) -> None:
    """Raise StackError while the use case's service answers, or a run of one of its DAGs has not ended."""
    if (url := settings.service_urls.get(use_case_name)) and _is_answered(f"{url}/livez"):
        raise StackError(
            f"the service of {use_case_name} is up at {url}, and would log into tables that are gone",
            hint="stop it first: evergreen down (a stack that is down can be dropped from as well), or"
            f" docker compose stop {format_container_name(use_case_name)}",
        )
    api = AirflowApi(settings)
    try:
        active = sorted(api.list_active_dags(f"{use_case_name}__"))
    finally:
        api.close()
    if active:
        raise StackError(
            f"runs of {', '.join(active)} have not ended",
            hint="wait for them or end them in Airflow's pages; a paused DAG begins no other",
        )


def _is_answered(url: str) -> bool:
    try:
        httpx.get(url, timeout=_HEALTH_SECONDS)
    except httpx.ConnectError:
        return False
    except httpx.HTTPError:
        return True
    return True


def _ignore(_text: str) -> None:
    return None
