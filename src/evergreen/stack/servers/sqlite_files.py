"""SQLite databases of the stack: their URLs, and how one is made so that a kill leaves no half of it.

A database is made under an unfinished name and renamed when it is complete. What has an unfinished name may
be deleted at any time; what has its final name never is.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path


def build_unfinished_path(database: Path) -> Path:
    """The path at which a database is made, before it is renamed to `database`."""
    return database.with_name(f"{database.name}.new")


def build_sqlite_url(database: Path) -> str:
    """The SQLAlchemy URL of a SQLite file; of its path what means something in a URL is escaped."""
    return f"sqlite:///{str(database).replace('%', '%25').replace('?', '%3F')}"


def remove_unfinished_database(database: Path) -> None:
    """Remove what a killed creation of this SQLite database left; never the database itself."""
    for file in database.parent.glob(f"{build_unfinished_path(database).name}*"):
        file.unlink()


def finish_database(database: Path) -> None:
    """Give the SQLite database that was just made its name, unless there is one of that name."""
    if database.exists():
        remove_unfinished_database(database)
        return
    new = build_unfinished_path(database)
    # mode=rw: a database that nobody has made is an error, and no empty one.
    with contextlib.closing(sqlite3.connect(f"{new.resolve().as_uri()}?mode=rw", uri=True)) as connection:
        # What may still stand in a write-ahead log beside it would not be renamed with it.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    new.rename(database)
