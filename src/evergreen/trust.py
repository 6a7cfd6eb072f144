"""Whose folders are trusted: a use case is Python code, and a home holds settings and addresses.

Whoever may write into such a folder decides what runs as the caller. So a folder of the current directory is
used only when it belongs to the caller, to root, or, where root is the caller by `sudo`, to the user who
typed the command; git judges repositories the same way (safe.directory). The setting
EVERGREEN_TRUSTED_FOLDERS names exceptions.
"""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from evergreen.errors import UntrustedFolder

TRUSTED_FOLDERS_VARIABLE = "EVERGREEN_TRUSTED_FOLDERS"
ALL_FOLDERS = "*"

# What Python loads from a folder: sources, and what it or a compiler made of them; Airflow reads archives.
_CODE = frozenset({".py", ".pyc", ".so", ".zip"})


@dataclass(frozen=True)
class Trust:
    """Which owners and which folders are trusted.

    `exceptions`: the value of EVERGREEN_TRUSTED_FOLDERS: paths separated by ':', each with all that lies in
    it, or `*`. `look_up` gives a path's status and follows links, as `os.stat` does.
    """

    owners: frozenset[int]
    exceptions: str = ""
    look_up: Callable[[Path], os.stat_result] = field(default=os.stat, repr=False, compare=False)

    def check_folder(self, folder: Path, what: str) -> None:
        """Refuse a folder of somebody else; one that is not there is nobody's and passes.

        Raises UntrustedFolder, which names `what` the folder is, its owner, and the setting.
        """
        self._check(folder, what)

    def check_use_cases(self, root: Path) -> None:
        """Refuse a folder of use cases that belongs to somebody else, or stands in somebody else's folder,
        where its owner may put another one in its place. Where there is none, there is nothing to refuse.

        Raises UntrustedFolder.
        """
        try:
            if not root.exists() or self._is_exception(root):
                return
        except OSError:
            return  # what cannot be looked into is not read either
        self._check(root.absolute().parent, "the folder that holds the use cases")
        self._check(root, "the folder of use cases")

    def check_code(self, folder: Path, what: str) -> None:
        """Refuse a folder of code where it, a folder in it or any file of code in it is somebody else's.

        Raises UntrustedFolder.
        """
        self._check(folder, what)
        if self._is_exception(folder):
            return
        for path in _list_code(folder):
            self._check(path, f"code in {what}")

    def check_file(self, path: Path, what: str) -> None:
        """Refuse a file of somebody else, or one that everybody may write; one that is not there passes.

        Raises UntrustedFolder.
        """
        self._check(path, what)

    @property
    def absolute_exceptions(self) -> str:
        """The exceptions for a process that runs in another folder."""
        named = [part for part in self.exceptions.split(os.pathsep) if part]
        return os.pathsep.join(
            part if part == ALL_FOLDERS else str(Path(part).expanduser().resolve()) for part in named
        )

    def _check(self, path: Path, what: str) -> None:
        # A link counts as what it leads to: who may change that decides.
        try:
            path = path.resolve()
            status = self.look_up(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
            reason = getattr(error, "strerror", None) or error
            raise UntrustedFolder(
                f"nobody can tell whose {path} is: {reason}", hint="mend its permissions, or the link"
            ) from None
        # Folders that everybody may write are judged by the owners of what is in them: nobody can put a file
        # there that belongs to another user.
        by_everybody = stat.S_ISREG(status.st_mode) and bool(status.st_mode & stat.S_IWOTH)
        if (status.st_uid in self.owners and not by_everybody) or self._is_exception(path):
            return
        if status.st_uid in self.owners:
            raise UntrustedFolder(
                f"{what}, {path}, may be written by everybody on this machine",
                hint=f"chmod o-w {shlex.quote(str(path))}",
            )
        raise UntrustedFolder(
            f"{what}, {path}, belongs to {_format_user(status.st_uid)}, not to you: what is in it would run"
            f" as {_format_user(os.geteuid())}",
            hint=f"look at what is in it, and if you trust its owner: export {self._with(path)}",
        )

    def _is_exception(self, path: Path) -> bool:
        named = [part for part in self.exceptions.split(os.pathsep) if part]
        resolved = path.resolve()
        return any(
            part == ALL_FOLDERS or resolved.is_relative_to(Path(part).expanduser().resolve())
            for part in named
        )

    def _with(self, path: Path) -> str:
        """The line that makes an exception of this path as well."""
        folder = path if path.is_dir() else path.parent
        value = os.pathsep.join(filter(None, (self.exceptions, str(folder))))
        return f"{TRUSTED_FOLDERS_VARIABLE}={shlex.quote(value)}"


def build_trust(
    exceptions: str, environment: dict[str, str] | None = None, caller: int | None = None
) -> Trust:
    """Whom this process trusts: its own user and root. Where root is the caller, SUDO_UID of the environment
    too: `sudo evergreen status` in one's own folder. Anybody else's SUDO_UID says nothing."""
    caller = os.geteuid() if caller is None else caller
    sudo = (os.environ if environment is None else environment).get("SUDO_UID", "")
    owners = {0, caller}
    if caller == 0 and sudo.isascii() and sudo.isdigit():
        owners.add(int(sudo))
    return Trust(frozenset(owners), exceptions)


def _list_code(folder: Path) -> Iterator[Path]:
    """Every folder and every file of code below. A link to a folder is given, what lies behind it is not."""
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in folders)
        yield from (Path(place, name) for name in files if Path(name).suffix in _CODE)


def _format_user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
