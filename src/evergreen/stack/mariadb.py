"""A private MariaDB server: own data folder, loopback port, socket and password; never the machine's own."""

from __future__ import annotations

import getpass
import hashlib
import os
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from evergreen.errors import ChildFailed, MissingProgram

# Debian puts the server into sbin, which is not on every user's PATH.
_SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/libexec"])
_UNIX_SOCKET_PATH_MAX = 100


def find_program(*names: str) -> Path:
    """The first of these programs that is installed. Raises MissingProgram with what to install."""
    for name in names:
        found = shutil.which(name, path=_SEARCH)
        if found:
            return Path(found)
    raise MissingProgram(
        f"{names[0]} is not installed",
        hint="install MariaDB's server: apt-get install mariadb-server (make demo does it for you)",
    )


@dataclass(frozen=True)
class PrivateMariaDB:
    """Where one private server lives and how to reach it. `home` holds `data/`, the init file and the socket."""

    home: Path
    port: int
    user: str
    password: str
    database: str = "evergreen"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def socket(self) -> Path:
        path = self.home / "mariadb.sock"
        if len(str(path)) < _UNIX_SOCKET_PATH_MAX:
            return path
        # A Unix socket's path may have 107 bytes; a deep checkout would exceed them.
        digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"evergreen-{digest}.sock"

    def initialise(self) -> None:
        """Create the system tables when there are none. Safe to run again, also after an interrupted run."""
        program = find_program("mariadb-install-db", "mysql_install_db")
        find_program("mariadbd", "mysqld")
        done = self.home / "initialised"
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        if done.exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        result = subprocess.run(
            [
                str(program),
                "--no-defaults",
                f"--datadir={self.data}",
                f"--user={getpass.getuser()}",
                "--auth-root-authentication-method=socket",
                "--skip-test-db",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise ChildFailed(
                f"mariadb-install-db failed: {(result.stderr or result.stdout).strip()[-600:]}",
                hint=f"see whether {self.home} is writable and the disk has room",
            )
        done.touch()

    def command(self) -> list[str]:
        """The server's command line. Writes the accounts into an init file of mode 600, which the server runs."""
        init = self.home / "init.sql"
        accounts = "\n".join(
            f"CREATE USER IF NOT EXISTS '{self.user}'@'{host}' IDENTIFIED BY '{self.password}';\n"
            f"ALTER USER '{self.user}'@'{host}' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{self.user}'@'{host}';"
            for host in ("127.0.0.1", "localhost")
        )
        init.touch(mode=0o600)
        init.write_text(
            f"CREATE DATABASE IF NOT EXISTS `{self.database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n{accounts}\n"
        )
        return [
            str(find_program("mariadbd", "mysqld")),
            "--no-defaults",
            f"--user={getpass.getuser()}",
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--pid-file={self.home / 'mariadb.pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            f"--init-file={init}",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_bin",
            "--default-time-zone=+00:00",
            "--sql-mode=STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO",
            "--innodb-buffer-pool-size=256M",
            "--innodb-log-file-size=256M",
            "--max-allowed-packet=64M",
            "--max-connections=100",
            "--local-infile=1",
            "--performance-schema=OFF",
        ]


def new_password() -> str:
    """A random password that is safe inside SQL quotes, URLs and environment files."""
    return secrets.token_hex(16)
