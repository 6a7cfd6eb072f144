"""Makes accounts of MariaDB, and gives them rights, as an administrator of the server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from evergreen.errors import SettingsError


def read_password(file: Path | None) -> str | None:
    """The first line of a file with a password; None without a file. Raises SettingsError."""
    if file is None:
        return None
    try:
        password = file.read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingsError(f"the password file {file} cannot be read: {reason}") from None
    if not password:
        raise SettingsError(f"the password file {file} is empty", hint="write the password into it")
    return password


def make_account(engine: sa.Engine, account: tuple[str, str], password: str) -> None:
    """Create an account (user and host) if it is new, and give it that password from now on.

    Raises SettingsError for the account of this connection, StoreUnreachable, StoreRefused.
    """
    if account[0] == engine.url.username:
        raise SettingsError(
            f"{account[0]} is the administrator that runs this", hint="name another account with --user"
        )
    with engine.connect() as connection:
        # The driver quotes the password.
        for verb in ("CREATE USER IF NOT EXISTS", "ALTER USER"):
            connection.exec_driver_sql(f"{verb} %s@%s IDENTIFIED BY %s", (*account, password))


def run_statements(engine: sa.Engine, statements: Sequence[str]) -> None:
    """Run an administrator's statements one by one. Raises StoreUnreachable, StoreRefused."""
    with engine.connect() as connection:
        for statement in statements:
            # A single % would be the driver's placeholder.
            connection.exec_driver_sql(statement.replace("%", "%%"))
