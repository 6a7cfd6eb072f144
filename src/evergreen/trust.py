"""Checks on the owners of folders with code and settings.

A use case is Python code, and a home holds settings and addresses: whoever may write into such a folder
decides what runs as the caller. So a folder is used only when it belongs to the caller, to root, or, where
the caller is root by `sudo`, to the user who typed the command; git treats repositories the same way
(safe.directory). The setting EVERGREEN_TRUSTED_FOLDERS names exceptions.
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

# The suffixes of files that Python loads from a folder (sources and compiled code), and Airflow (archives).
_CODE = frozenset({".py", ".pyc", ".so", ".zip"})


@dataclass(frozen=True)
class Trust:
    """The trusted owners (user ids) and folders.

    `exceptions` is the value of EVERGREEN_TRUSTED_FOLDERS: paths separated by ':', each with everything in
    it, or `*` for all. `look_up` returns the status of a path and follows links, as `os.stat` does.
    """

    owners: frozenset[int]
    exceptions: str = ""
    look_up: Callable[[Path], os.stat_result] = field(default=os.stat, repr=False, compare=False)

    def check_folder(self, folder: Path, description: str) -> None:
        """Raise UntrustedFolder for a folder of another user; one that does not exist passes.

        The message says what the folder is (`description`), its owner, and the setting.
        """
        self._check(folder, description)

    def check_use_cases(self, root: Path) -> None:
        """Raise UntrustedFolder for a folder of use cases that belongs to another user, or is in the folder
        of another user, who could replace it. One that does not exist passes."""
        try:
            if not root.exists() or self._is_exception(root):
                return
        except OSError:
            return  # a folder that cannot be looked up cannot be read either
        self._check(root.absolute().parent, "the folder that holds the use cases")
        self._check(root, "the folder of use cases")

    def check_code(self, folder: Path, description: str) -> None:
        """Raise UntrustedFolder for a folder of code if it, a folder in it or a file of code in it belongs to
        another user."""
        self._check(folder, description)
        if self._is_exception(folder):
            return
        for path in _list_code(folder):
            self._check(path, f"code in {description}")

    def check_file(self, path: Path, description: str) -> None:
        """Raise UntrustedFolder for a file of another user, or one that everybody may write; one that does
        not exist passes."""
        self._check(path, description)

    @property
    def absolute_exceptions(self) -> str:
        """The exceptions with absolute paths, for a process that runs in another folder."""
        folders = [folder for folder in self.exceptions.split(os.pathsep) if folder]
        return os.pathsep.join(
            folder if folder == ALL_FOLDERS else str(Path(folder).expanduser().resolve())
            for folder in folders
        )

    def _check(self, path: Path, description: str) -> None:
        # The target of a link is checked, because its owner decides what is read.
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
        # In folders that everybody may write the owners of the files are checked: nobody can create a file
        # there that belongs to another user.
        by_everybody = stat.S_ISREG(status.st_mode) and bool(status.st_mode & stat.S_IWOTH)
        if (status.st_uid in self.owners and not by_everybody) or self._is_exception(path):
            return
        if status.st_uid in self.owners:
            raise UntrustedFolder(
                f"{description}, {path}, may be written by everybody on this machine",
                hint=f"chmod o-w {shlex.quote(str(path))}",
            )
        raise UntrustedFolder(
            f"{description}, {path}, belongs to {_format_user(status.st_uid)}, not to you:"
            f" what is in it would run as {_format_user(os.geteuid())}",
            hint=f"look at what is in it, and if you trust its owner: export {self._format_setting(path)}",
        )

    def _is_exception(self, path: Path) -> bool:
        folders = [folder for folder in self.exceptions.split(os.pathsep) if folder]
        resolved = path.resolve()
        return any(
            folder == ALL_FOLDERS or resolved.is_relative_to(Path(folder).expanduser().resolve())
            for folder in folders
        )

    def _format_setting(self, path: Path) -> str:
        """The assignment of the setting that adds this path to the exceptions."""
        folder = path if path.is_dir() else path.parent
        value = os.pathsep.join(filter(None, (self.exceptions, str(folder))))
        return f"{TRUSTED_FOLDERS_VARIABLE}={shlex.quote(value)}"


def build_trust(
    exceptions: str, environment: dict[str, str] | None = None, caller: int | None = None
) -> Trust:
    """The Trust of this process: in its own user (`caller`), in root, and in the folders `exceptions`.

    Where root is the caller, the user SUDO_UID of the environment is trusted too, for `sudo evergreen status`
    in that user's folder. A caller who is not root could set SUDO_UID to any user, so there it is ignored.
    """
    caller = os.geteuid() if caller is None else caller
    sudo = (os.environ if environment is None else environment).get("SUDO_UID", "")
    owners = {0, caller}
    if caller == 0 and sudo.isascii() and sudo.isdigit():
        owners.add(int(sudo))
    return Trust(frozenset(owners), exceptions)


def _list_code(folder: Path) -> Iterator[Path]:
    """Every folder and file of code below a folder. Links to folders are listed, but not followed."""
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in folders)
        yield from (Path(place, name) for name in files if Path(name).suffix in _CODE)


def _format_user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
