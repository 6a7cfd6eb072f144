"""Makes a home of a backup: all of it, or nothing.

The new home is made beside the old one under another name, tables loaded and all, and takes its place in the
end by a rename. What stood there before is kept whole under a name of its own: the old home can be put back
by renaming it, also one whose MariaDB no longer starts.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evergreen.documents import JsonObject
from evergreen.errors import BackupError, StackError
from evergreen.private import make_private_folder
from evergreen.stack.backup.copies import copy_file
from evergreen.stack.backup.drafts import make_folder
from evergreen.stack.backup.home_parts import find_stack_files
from evergreen.stack.backup.home_server import (
    build_client_options,
    connect_as_administrator,
    lock_stack,
    run_server,
)
from evergreen.stack.backup.manifest import (
    Manifest,
    Progress,
    read_installed_versions,
    read_manifest,
    resolve_file,
    verify_files,
)
from evergreen.stack.backup.mariadb_dump import DUMP_FILE, load_script
from evergreen.stack.processes import logs
from evergreen.stack.processes.home import STACK_LOCK, UP_LOCK, make_home_private
from evergreen.stack.servers.keys import load_or_create_keys
from evergreen.stack.servers.mariadb import PrivateMariaDB, build_stack_server
from evergreen.store.tables.sql_files import find_migrations_folder

# A long value takes twice its bytes in a script. The disk is waited for at the end, not at each commit: a
# restore that is cut short begins again.
_LOAD_OPTIONS = ("--max-allowed-packet=1G", "--innodb-flush-log-at-trx-commit=0")
_LOCKS = {STACK_LOCK, UP_LOCK}


@dataclass(frozen=True)
class RestoredHome:
    """A home that was made of a backup. `former` is where that which stood there before is now, if anything
    did."""

    home: Path
    backup: Path
    former: Path | None
    manifest: Manifest

    def to_json(self) -> JsonObject:
        """For `--json`."""
        document = self.manifest.to_json()
        document["files"] = len(self.manifest.files)
        former = str(self.former) if self.former else None
        return {"home": str(self.home), "backup": str(self.backup), "former_home": former, **document}


def restore_backup(
    backup: Path, home: Path, *, replace: bool = False, progress: Progress | None = None
) -> RestoredHome:
    """Make `home` the stack that the backup in that folder holds. `evergreen up` starts it.

    The backup is verified before anything is written. `replace`: also where `home` holds a stack, which is
    kept under another name. Killed at any moment, it leaves the old home, the new one, or, between two
    renames, none while both have names of their own; run again it finishes.

    Raises BackupError for a damaged backup, one of later versions than are installed, and a home that holds
    a stack; StackError while a stack runs there; MissingProgram, ChildFailed.
    """
    home, backup, report = home.resolve(), backup.resolve(), progress or _ignore
    manifest = read_manifest(backup)
    _refuse_later_versions(backup, manifest)
    if home in (backup, *backup.parents):
        raise BackupError(f"the backup {backup} is in the home {home}", hint="move it elsewhere first")
    try:
        with _lock_former_home(home):
            _refuse_stack(home, replace)
            verify_files(backup, manifest, report)
            make_private_folder(home.parent)
            former = _FormerHome(home)
            with former.put_back_on_failure(), make_folder(home, former.set_aside) as draft:
                _fill_home(draft, backup, manifest, report)
    except OSError as error:
        raise BackupError(
            f"the home {home} cannot be made: {error}",
            hint="set EVERGREEN_HOME to a folder beside which you may write, on a disk with room",
        ) from None
    return RestoredHome(home, backup, former.place, manifest)


def _refuse_later_versions(backup: Path, manifest: Manifest) -> None:
    installed = read_installed_versions()
    later = [
        f"{name} {version}, here is {installed[name]}"
        for name, version in manifest.versions.items()
        if name in installed and _parse_version(version) > _parse_version(installed[name])
    ]
    known = {path.stem for path in find_migrations_folder().glob("*.sql")}
    later += [
        f"the migration {name}, which is not known here" for name in manifest.migrations if name not in known
    ]
    if later:
        raise BackupError(
            f"{backup} was written by later versions: {'; '.join(later)}",
            hint="databases are migrated forward only: install those versions, or later ones",
        )


@contextlib.contextmanager
def _lock_former_home(home: Path) -> Iterator[None]:
    """Nobody starts a stack in `home` meanwhile. Raises StackError where one runs."""
    if not home.exists():
        yield
        return
    with lock_stack(home) as is_ours:
        if not is_ours:
            raise StackError(f"the stack of {home} runs", hint="run evergreen down first")
        yield


def _refuse_stack(home: Path, replace: bool) -> None:
    if not replace and (marks := find_stack_files(home)):
        raise BackupError(
            f"{home} holds a stack already ({marks[0].relative_to(home)} is there)",
            hint="restore it elsewhere (EVERGREEN_HOME=another-folder), or add --replace: the stack that is"
            " there is then kept under another name",
        )


def _fill_home(draft: Path, backup: Path, manifest: Manifest, report: Progress) -> None:
    """Make a whole home in `draft`."""
    make_home_private(draft)
    for file in manifest.files:
        if file.path != DUMP_FILE and copy_file(resolve_file(backup, file.path), draft, file.path) != file:
            raise BackupError(f"{file.path} of the backup {backup} has changed meanwhile")
    keys = load_or_create_keys(draft)
    server = build_stack_server(draft, 0, keys.mariadb_password)
    report("making MariaDB's system tables")
    server.initialise()
    socket_folder = server.socket.parent
    try:
        with run_server(server, logs.build_log_path(draft, "mariadb"), _LOAD_OPTIONS):
            report("loading MariaDB's tables")
            load_script(
                build_client_options(server),
                backup / DUMP_FILE,
                report,
                source_version=manifest.versions["mariadb"],
                target_version=_read_server_version(server),
            )
    finally:
        if socket_folder != server.home:
            shutil.rmtree(socket_folder, ignore_errors=True)


def _parse_version(version: str) -> tuple[int, ...]:
    """The numbers of a release such as "3.3.2": enough to tell which of two is later."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _read_server_version(server: PrivateMariaDB) -> str:
    with connect_as_administrator(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        [version] = cursor.fetchone() or ("",)
    return str(version)


class _FormerHome:
    """What stood in the place of the new home: moved aside, and put back when the new one cannot have it.

    `place` is where it is now, None while there is nothing to keep.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.was_there = home.exists()
        self.place: Path | None = None

    def set_aside(self, draft: Path) -> None:
        """Make room for `draft`, which takes over the files of locks: whoever holds one holds the new home's,
        and whoever waits for one waits for the new home."""
        if not self.home.exists():
            return
        if not self.was_there:  # then nobody held its lock
            raise StackError(
                f"{self.home} was made by somebody else meanwhile",
                hint="see what it is: a stack that was started there is brought down by evergreen down",
            )
        for name in _LOCKS:
            if (self.home / name).exists():
                (draft / name).unlink(missing_ok=True)
                os.link(self.home / name, draft / name)
        if {path.name for path in self.home.iterdir()} <= _LOCKS:
            shutil.rmtree(self.home)
            return
        self.place = self.home.with_name(f"{self.home.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        self.home.rename(self.place)

    @contextlib.contextmanager
    def put_back_on_failure(self) -> Iterator[None]:
        """Where the block fails after `set_aside`, the former home gets its name again."""
        try:
            yield
        except BaseException:
            if self.place is not None and not self.home.exists():
                self.place.rename(self.home)
            raise
        if self.place is not None:
            # They are the new home's now.
            for name in _LOCKS:
                (self.place / name).unlink(missing_ok=True)


def _ignore(_text: str) -> None:
    return None
