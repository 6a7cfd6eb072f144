"""Which driver a connection uses, and what SQLAlchemy's `create_engine` is told for it.

PyMySQL is a wheel without compiled code and always installed. mysqlclient takes half the time or less where
rows are many or a request waits for them; it may be missing, and then PyMySQL does its work.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType

import sqlalchemy as sa

MYSQLCLIENT = "mysql+mysqldb"
PYMYSQL = "mysql+pymysql"

# The names that leave the choice of the driver to Evergreen.
_UNDECIDED = {"mysql", "mariadb"}


@cache
def has_mysqlclient() -> bool:
    """Whether mysqlclient is installed and its client library loads."""
    try:
        import MySQLdb  # noqa: F401  only where a connection is made: it loads a shared library
    except ImportError:
        return False
    return True


def choose_fast_driver() -> str:
    """SQLAlchemy's name of the faster of the drivers that are installed."""
    return MYSQLCLIENT if has_mysqlclient() else PYMYSQL


def decide_driver(url: sa.URL) -> sa.URL:
    """The URL with the faster driver where it names none; a driver that it names is kept."""
    return url.set(drivername=choose_fast_driver()) if url.drivername in _UNDECIDED else url


def build_driver_options(url: sa.URL) -> dict[str, ModuleType]:
    """The arguments of `create_engine` that a URL's driver needs: for PyMySQL its guarded form."""
    if url.drivername.rpartition("+")[2] != "pymysql":
        return {}
    # Here, because a process that uses the other driver need not load it.
    from evergreen.drivers.guarded_pymysql import GUARDED_PYMYSQL

    return {"module": GUARDED_PYMYSQL}
