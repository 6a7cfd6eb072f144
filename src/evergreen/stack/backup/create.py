"""Takes a backup of the embedded stack, while it runs or stands.

A running stack goes on meanwhile, so the parts are not read at the same moment. Their order is chosen so that
what is restored is a state from which the platform goes on by itself:

1. Airflow's database. A task that ran then and has ended since runs again after a restore, which every task
   of the platform allows. The other way round, Airflow would call done what MariaDB does not have.
2. The spool of predictions. A row that was delivered since is in MariaDB too, and is not loaded twice. The
   other way round, a row delivered in between would be in neither.
3. MariaDB's snapshot and MLflow's database, both while no champion is changed: the locks of all use cases'
   successions are held from before the snapshot until MLflow's database is copied, which takes about a
   second. So the ledger's last line and MLflow's alias agree, and no line of the ledger names a version that
   MLflow lacks, because a version is registered before a line names it. MariaDB's rows are then written from
   the snapshot without any lock.
4. MLflow's artifacts. Files are written before the database names them, so each that is named is there.

The manifest is written last, and only then the folder gets its name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from evergreen.documents import JsonObject
from evergreen.errors import BackupError
from evergreen.private import make_private_folder
from evergreen.registry.champion_history import find_last_change
from evergreen.registry.ledger import get_ledger_table
from evergreen.registry.lock import lock_use_cases
from evergreen.stack.backup import home_parts
from evergreen.stack.backup.copies import copy_database, copy_tree
from evergreen.stack.backup.drafts import make_folder
from evergreen.stack.backup.home_server import HomeServer, build_client_options, reach_server
from evergreen.stack.backup.manifest import (
    FORMAT,
    BackupFile,
    Manifest,
    Progress,
    UseCaseState,
    read_installed_versions,
    write_manifest,
)
from evergreen.stack.backup.mariadb_dump import (
    DUMP_PROGRAM,
    TableChanged,
    dump_databases,
    read_dump_version,
)
from evergreen.store.connection.database import get_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.tables.platform import CATALOGUE_TABLES, SCHEMA_MIGRATION, TRAINING_RUN
from evergreen.store.tables.sql_files import get_ledger_schema
from evergreen.usecases import find_use_case_folders


@dataclass(frozen=True)
class Backup:
    """A backup that was written: its folder and its manifest."""

    folder: Path
    manifest: Manifest

    def to_json(self) -> JsonObject:
        """For `--json`: the manifest without the list of files."""
        document = self.manifest.to_json()
        document["files"] = len(self.manifest.files)
        return {"folder": str(self.folder), "bytes": self.manifest.size, **document}


def choose_backups_folder(home: Path) -> Path:
    """Where backups go unless somebody says otherwise: beside the home, not in it, so that neither removing
    nor replacing the home takes them along."""
    home = home.resolve()
    return home.with_name(f"{home.name}-backups")


def create_backup(home: Path, parent: Path | None = None, progress: Progress | None = None) -> Backup:
    """Write a backup of the stack in `home` as a new folder in `parent` (default: `choose_backups_folder`),
    readable by its owner only, named by the moment (UTC).

    `progress` is told in words what is being copied. A backup that fails or is killed leaves no folder of
    that name. Raises StackNotRunning where there is no stack, MissingProgram, ChildFailed, StoreError where a
    champion is being changed for five minutes, BackupError.
    """
    home = home.resolve()
    parent = (parent or choose_backups_folder(home)).resolve()
    report = progress or _ignore
    if parent == home or home in parent.parents:
        raise BackupError(
            f"{parent} is in the stack's home {home}, which a restore replaces",
            hint=f"name a folder elsewhere; the default is {choose_backups_folder(home)}",
        )
    read_dump_version()  # before anything is written: it says what is not installed
    folder = parent / f"evergreen-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    try:
        make_private_folder(parent)
        with make_folder(folder) as draft, reach_server(home) as server:
            manifest = _write_parts(home, draft, server, report)
            report("writing everything to disk")
            write_manifest(draft, manifest)
    except OSError as error:
        raise BackupError(
            f"the backup {folder} cannot be written: {error}",
            hint="name a folder that you may write, on a disk with room: evergreen backup FOLDER",
        ) from None
    return Backup(folder, manifest)


def _write_parts(home: Path, draft: Path, server: HomeServer, report: Progress) -> Manifest:
    files: list[BackupFile] = home_parts.copy_small_files(home, draft)
    report("copying Airflow's database")
    files += _copy_database_if_any(home, draft, home_parts.AIRFLOW_DATABASE)
    files += home_parts.copy_spool(home, draft, report)
    files += copy_tree(home / home_parts.REPORTS, draft, home_parts.REPORTS, report)
    engine = get_engine(server.settings)
    databases = _list_databases(engine, server)
    moment = datetime.now(UTC)
    use_cases: dict[str, UseCaseState] = {}
    registry: list[BackupFile] = []

    def copy_registry() -> None:
        """Copy MLflow's database; with the moment and the champions of MariaDB's snapshot."""
        nonlocal moment
        moment = datetime.now(UTC)
        use_cases.update({name: _read_use_case(engine, name) for name in names})
        for file in registry:  # of an attempt before
            (draft / file.path).unlink()
        registry[:] = _copy_database_if_any(home, draft, home_parts.MLFLOW_DATABASE)

    names = _list_use_cases(engine, server)
    files.append(_dump_without_succession(engine, server, databases, names, draft, report, copy_registry))
    files += registry
    files += copy_tree(home / home_parts.ARTIFACTS, draft, home_parts.ARTIFACTS, report)
    with engine.connect() as connection:
        version = str(connection.execute(sa.text("SELECT VERSION()")).scalar())
        migrations = [row.name for row in execute_if_table_exists(connection, sa.select(SCHEMA_MIGRATION))]
    return Manifest(
        format=FORMAT,
        made_at=moment,
        home=str(home),
        was_running=server.is_stack_up,
        versions={**read_installed_versions(), "mariadb": version, DUMP_PROGRAM: read_dump_version()},
        databases=databases,
        migrations=tuple(sorted(migrations)),
        use_cases=use_cases,
        files=tuple(files),
    )


def _dump_without_succession(
    engine: sa.Engine,
    server: HomeServer,
    databases: tuple[str, ...],
    use_case_names: Sequence[str],
    draft: Path,
    report: Progress,
    copy_registry: Callable[[], None],
) -> BackupFile:
    """Dump the databases. No champion changes from before their snapshot until `copy_registry` has returned.

    Begun again twice at most, where a table is altered meanwhile.
    """
    for attempts_left in (2, 1, 0):
        with contextlib.ExitStack() as locks:

            def copy_and_unlock(locks: contextlib.ExitStack = locks) -> None:
                """What is done once MariaDB's snapshot is fixed."""
                copy_registry()
                locks.close()

            report("waiting until no champion is being changed")
            locks.enter_context(lock_use_cases(engine, use_case_names))
            report("dumping MariaDB")
            try:
                return dump_databases(
                    build_client_options(server.server), databases, draft, report, copy_and_unlock
                )
            except TableChanged:
                if not attempts_left:
                    raise
                report("a table was altered meanwhile: the dump begins again")
    raise AssertionError("the last attempt returns or raises")


def _copy_database_if_any(home: Path, draft: Path, path: str) -> list[BackupFile]:
    return [copy_database(home / path, draft, path)] if (home / path).exists() else []


def _list_databases(engine: sa.Engine, server: HomeServer) -> tuple[str, ...]:
    """The platform's database, its ledger's, and those that stand for other systems, as far as they exist."""
    database = server.server.database
    wanted = (database, get_ledger_schema(database), *server.server.foreign)
    schema = CATALOGUE_TABLES.c.table_schema
    with engine.connect() as connection:
        existing = set(connection.scalars(sa.select(schema).where(schema.in_(wanted)).distinct()))
    return tuple(name for name in wanted if name in existing or name == database)


def _list_use_cases(engine: sa.Engine, server: HomeServer) -> list[str]:
    """The use cases of the ledger, of trainings on record and of declarations, by name."""
    names = set(find_use_case_folders(server.settings))
    with engine.connect() as connection:
        for column in (get_ledger_table(engine).c.use_case, TRAINING_RUN.c.use_case):
            names |= {row[0] for row in execute_if_table_exists(connection, sa.select(column).distinct())}
    return sorted(names)


def _read_use_case(engine: sa.Engine, name: str) -> UseCaseState:
    table = get_ledger_table(engine)
    count = sa.select(sa.func.count()).select_from(table).where(table.c.use_case == name)
    last_change = find_last_change(engine, name)
    with engine.connect() as connection:
        lines = int(connection.execute(count).scalar_one())
    return UseCaseState(last_change.to_version if last_change else None, lines)


def _ignore(_text: str) -> None:
    return None
