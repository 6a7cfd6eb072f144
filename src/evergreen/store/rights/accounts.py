"""Makes accounts of MariaDB, and gives them rights, as an administrator of the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import sqlalchemy as sa

from evergreen.errors import SettingsError
from evergreen.store.tables.create import create_tables
from evergreen.usecase import UseCase


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


def prepare_account(
    engine: sa.Engine, account: tuple[str, str], password: str | None, use_cases: Iterable[UseCase]
) -> None:
    """Create the tables of the use cases that are missing, and the account (user and host) if it is new.

    With a password, that is the account's from now on; without one, the account must be there. Safe to run
    again. Raises what `create_tables` and `run_statements` raise.
    """
    for use_case in use_cases:
        create_tables(engine, use_case)
    if password is not None:
        with engine.connect() as connection:
            # The statement's text would hold the password as it stands here: the driver quotes it.
            for verb in ("CREATE USER IF NOT EXISTS", "ALTER USER"):
                connection.exec_driver_sql(f"{verb} %s@%s IDENTIFIED BY %s", (*account, password))


def run_statements(engine: sa.Engine, statements: Sequence[str]) -> None:
    """Run an administrator's statements one by one. Raises StoreUnreachable, StoreRefused."""
    with engine.connect() as connection:
        for statement in statements:
            # A single % would be the driver's placeholder.
            connection.exec_driver_sql(statement.replace("%", "%%"))
