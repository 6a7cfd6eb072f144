"""A private MariaDB server: own data folder, loopback port, socket and password; never the machine's own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from evergreen.errors import ChildFailed, MissingProgram, StackError
from evergreen.stack.deploy.facts import (
    BANK_DATABASE,
    BUFFER_POOL_MAX,
    BUFFER_POOL_MIN,
    DATABASE,
    DATABASE_USER,
    build_mariadb_options,
)
from evergreen.stack.servers.sqlite_files import build_unfinished_path
from evergreen.store.tables.sql_files import build_full_grants, build_ledger_grants, build_ledger_statements

# Debian puts the server into sbin, which is not on every user's PATH.
_MORE_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec")
_UNIX_SOCKET_PATH_MAX = 100
# Where the platform's user comes from: over TCP, or the socket.
HOSTS = ("127.0.0.1", "localhost")


def find_program(name: str, package: str = "") -> Path:
    """Where a program of MariaDB's is installed. Raises MissingProgram with what to install: `package`, or
    by default what the server needs.

    Only names of MariaDB's programs are looked for: a `mysqld` may be MySQL, which has no system-versioned
    tables.
    """
    search_path = os.pathsep.join([os.environ.get("PATH", ""), *_MORE_FOLDERS])
    if path := shutil.which(name, path=search_path):
        return Path(path)
    if package:
        raise MissingProgram(
            f"{name} is not installed", hint=f"apt-get install {package} (it sets up no service)"
        )
    raise MissingProgram(
        f"{name} is not installed",
        hint="install MariaDB's server, as make does: "
        "apt-get install mariadb-server-core mariadb-client-core (they set up no service)",
    )


@dataclass(frozen=True)
class PrivateMariaDB:
    """Where one private server lives and how to reach it. `home` holds its data, init file and socket.

    `user` has all rights in `database` and in the `foreign` ones, which stand for databases of other systems;
    to the ledger it may only add lines.
    """

    home: Path
    port: int
    user: str
    password: str
    database: str = DATABASE
    foreign: tuple[str, ...] = ()

    @property
    def administrator(self) -> dict[str, str]:
        """How the account with all rights connects: this process' OS user, by the socket, no password."""
        return {"unix_socket": str(self.socket), "user": _read_os_user()}

    @property
    def data(self) -> Path:
        """The data folder; it exists when the system tables are complete."""
        return self.home / "data"

    @property
    def socket(self) -> Path:
        """In the home, which only its owner enters.

        A Unix socket's path may have 107 bytes. That of a deep home stands in a folder under /tmp, which
        `prepare` makes as private as the home.
        """
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        short = f"evergreen-{digest}"
        folders = (self.home, Path(tempfile.gettempdir()) / short, Path("/tmp") / short)
        paths = [folder / "mariadb.sock" for folder in folders]
        return next((path for path in paths if len(os.fsencode(path)) < _UNIX_SOCKET_PATH_MAX), paths[-1])

    @property
    def _temporary(self) -> Path:
        return self.home / "tmp"

    @property
    def initialised(self) -> bool:
        """Whether the system tables are all there; an interrupted `initialise` does not count."""
        return self.data.exists()

    def prepare(self) -> None:
        """Make the home, readable by its owner only.

        Raises MissingProgram when there is no server, StackError when the folder of its socket is another's.
        """
        find_program("mariadbd")
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        self._temporary.mkdir(exist_ok=True)
        if self.socket.parent != self.home:
            _make_private_folder(self.socket.parent)

    def install_command(self) -> list[str]:
        """The command that creates the system tables in a new data folder, which has no name yet.

        It is run in `home` with `install_environment`: a shell script that takes a path with spaces apart.
        """
        return [
            str(find_program("mariadb-install-db")),
            "--no-defaults",
            f"--datadir=./{build_unfinished_path(self.data).name}",
            *_build_root_option(),
            "--auth-root-authentication-method=socket",
            # Without it the account is the one that $USER names.
            f"--auth-root-socket-user={_read_os_user()}",
            "--skip-test-db",
            # As packages call it. Without it, root's run would change the owner of the PAM plugin's folder
            # under /usr/lib/mysql, which belongs to the machine's own MariaDB.
            "--rpm",
        ]

    @property
    def install_environment(self) -> dict[str, str]:
        """What `install_command` needs in its environment."""
        return {"TMPDIR": str(self._temporary)}

    def forget_half_made(self) -> None:
        """Remove what a killed `install_command` left; never the data folder itself."""
        if build_unfinished_path(self.data).exists():
            shutil.rmtree(build_unfinished_path(self.data))

    def mark_initialised(self) -> None:
        """Give the new data folder its name, when `install_command` has succeeded."""
        build_unfinished_path(self.data).rename(self.data)

    def initialise(self) -> None:
        """Create the system tables when there are none. Safe to run again, also after an interrupted run."""
        self.prepare()
        if self.initialised:
            return
        self.forget_half_made()
        result = subprocess.run(
            self.install_command(),
            cwd=self.home,
            env={**os.environ, **self.install_environment},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if result.returncode != 0:
            raise ChildFailed(
                f"mariadb-install-db failed: {(result.stderr or result.stdout).strip()[-600:]}",
                hint=f"see whether {self.home} is writable and the disk has room",
            )
        self.mark_initialised()

    def command(self) -> list[str]:
        """The server's command line. Writes the accounts into an init file (mode 600) that it runs."""
        init = self.home / "init.sql"
        init.touch(mode=0o600)
        init.write_text("".join(f"{statement};\n" for statement in self._accounts()), "utf-8")
        return [
            str(find_program("mariadbd")),
            "--no-defaults",
            *_build_root_option(),
            f"--datadir={self.data}",
            # A server that starts deletes every temporary table in its tmpdir; in /tmp these may be those of
            # another server.
            f"--tmpdir={self._temporary}",
            f"--socket={self.socket}",
            f"--pid-file={self.home / 'mariadb.pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            f"--init-file={init}",
            *build_mariadb_options(innodb_buffer_pool_size=_compute_buffer_pool_bytes()),
            "--max-connections=100",
            "--performance-schema=OFF",
        ]

    def _accounts(self) -> list[str]:
        """The statements that the server runs at each start, before it accepts connections."""
        accounts = []
        for host in HOSTS:
            account = f"'{self.user}'@'{host}'"
            accounts += [
                f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{self.password}'",
                f"ALTER USER {account} IDENTIFIED BY '{self.password}'",
                # Homes of earlier versions have a user who may do everything everywhere.
                f"REVOKE ALL PRIVILEGES ON *.* FROM {account}",
            ]
        return [
            f"CREATE DATABASE IF NOT EXISTS `{self.database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            # An init file runs without an account, and a trigger needs one whose rights it has.
            *build_ledger_statements(self.database, definer="'root'@'localhost'"),
            *accounts,
            *(
                statement
                for name in (self.database, *self.foreign)
                for statement in build_full_grants(name, self.user, HOSTS)
            ),
            *build_ledger_grants(self.database, self.user, HOSTS),
        ]


def build_stack_server(home: Path, port: int, password: str) -> PrivateMariaDB:
    """The server of the embedded stack in `home`."""
    return PrivateMariaDB(
        home=home / "mariadb", port=port, user=DATABASE_USER, password=password, foreign=(BANK_DATABASE,)
    )


def _compute_buffer_pool_bytes() -> int:
    """Bytes for the pages of tables in memory: an eighth of the machine's, from 256 MiB to 1 GiB.

    Taken as it is used. Indexes that no longer fit make each inserted row cost a read.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(max(machine // 8, BUFFER_POOL_MIN), BUFFER_POOL_MAX)


def _read_os_user() -> str:
    """The account that this process runs as, as the server sees it: not what $LOGNAME or $USER say."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _make_private_folder(folder: Path) -> None:
    """Make a folder under a shared one. Raises StackError unless it is ours and closed to others."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    entry = folder.lstat()
    if not stat.S_ISDIR(entry.st_mode) or entry.st_uid != os.geteuid() or stat.S_IMODE(entry.st_mode) & 0o077:
        raise StackError(
            f"{folder} must be a folder that only you can enter: MariaDB's socket goes there, because the"
            " path of the stack's home is too long for one",
            hint="remove it, or set EVERGREEN_HOME to a shorter path",
        )


def _build_root_option() -> list[str]:
    """MariaDB refuses to run as root unless told so; any other account runs as itself."""
    return ["--user=root"] if os.geteuid() == 0 else []


def generate_password() -> str:
    """A random password that is safe inside SQL quotes, URLs and environment files."""
    return secrets.token_hex(16)
