"""Connections to the platform's own MariaDB, with its errors in Evergreen's words."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import ExceptionContext

from evergreen.errors import StoreError, StoreUnreachable
from evergreen.hiding import hide_values
from evergreen.settings import Settings

# https://mariadb.com/kb/en/mariadb-error-codes/ and the client's own codes (2xxx).
_UNREACHABLE = {2002, 2003, 2005, 2006, 2013, 1040, 1053, 1927}
_REFUSED = {1044, 1045, 1049, 1130, 1698}
DUPLICATE_KEY = 1062
NO_SUCH_TABLE = 1146
NOT_ALLOWED_LOCALLY = {1148, 3948, 4166}

_SESSION = (
    "SET SESSION time_zone = '+00:00', "
    "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', "
    # A server may be set to tell no warnings; LOAD DATA LOCAL tells its errors so.
    "max_error_count = 64"
)
_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 900  # a load of millions of rows is one statement

_engines: dict[tuple[int, sa.URL], sa.Engine] = {}
_lock = threading.Lock()


def url(settings: Settings) -> sa.URL:
    """Where the platform's database is, with its password."""
    return sa.URL.create(
        "mysql+mysqldb",
        username=settings.mariadb_user,
        password=settings.mariadb_password.get_secret_value(),
        host=settings.mariadb_host,
        port=settings.mariadb_port,
        database=settings.mariadb_database,
        query={"charset": "utf8mb4"},
    )


def engine(settings: Settings) -> sa.Engine:
    """The process's one engine for these settings: UTC sessions, strict SQL, pings. Opens nothing yet.

    Raises nothing by itself; what runs on it raises StoreUnreachable when the server does not answer.
    """
    # A forked child (an Airflow task) must not share its parent's sockets, hence the process id.
    key = (os.getpid(), url(settings))
    with _lock:
        if key not in _engines:
            made = sa.create_engine(
                key[1],
                pool_pre_ping=True,
                # Rows are people's data: no error tells them.
                hide_parameters=True,
                pool_recycle=3600,
                connect_args={
                    "local_infile": True,
                    "init_command": _SESSION,
                    "connect_timeout": _CONNECT_SECONDS,
                    "read_timeout": _ANSWER_SECONDS,
                    "write_timeout": _ANSWER_SECONDS,
                },
            )
            sa.event.listen(made, "handle_error", _translate)
            _engines[key] = made
        return _engines[key]


def dispose(settings: Settings) -> None:
    """Close this process's idle connections for these settings; the next `engine` begins anew."""
    with _lock:
        made = _engines.pop((os.getpid(), url(settings)), None)
    if made is not None:
        made.dispose()


def error_code(error: BaseException | None) -> int:
    """MariaDB's number of an error raised by the driver or SQLAlchemy; 0 where there is none."""
    original = getattr(error, "orig", None) or error
    arguments = getattr(original, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


@contextmanager
def exclusive(connection: sa.Connection, name: str, seconds: float = 300.0) -> Iterator[None]:
    """Hold the database-wide lock `name` meanwhile; the server frees it when the connection dies.

    MariaDB's lock names have 192 characters: room for any database, any use case, and 70 more.
    Raises StoreError when another session keeps it longer than `seconds`.
    """
    database = connection.engine.url.database
    lock = {"name": f"evergreen.{database}.{name}"}
    got = connection.execute(sa.text("SELECT GET_LOCK(:name, :seconds)"), {**lock, "seconds": seconds})
    if got.scalar() != 1:
        raise StoreError(
            f"another session has been working on {name} for {seconds:.0f} s",
            hint="wait for it, or end it: SHOW PROCESSLIST tells who it is",
        )
    try:
        yield
    finally:
        if not connection.invalidated and not connection.closed:
            connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), lock)


def _translate(context: ExceptionContext) -> None:
    """Turn "does not answer" and "not let in" into StoreUnreachable; all else stays the driver's error."""
    if context.is_pre_ping:
        return  # the pool reconnects by itself
    _hide_values(context)
    code = error_code(context.original_exception)
    if code not in _UNREACHABLE | _REFUSED:
        return
    where = _where(context)
    if code in _REFUSED:
        raise StoreUnreachable(
            f"MariaDB at {where} refuses us: {_reason(context.original_exception)}",
            hint="check EVERGREEN_MARIADB_USER, _PASSWORD and _DATABASE",
        ) from context.original_exception
    raise StoreUnreachable(
        f"MariaDB at {where} does not answer: {_reason(context.original_exception)}",
        hint="start the stack (evergreen up), or check EVERGREEN_MARIADB_HOST and EVERGREEN_MARIADB_PORT",
    ) from context.original_exception


def _hide_values(context: ExceptionContext) -> None:
    """Take row values out of the server's message, in the driver's error and in SQLAlchemy's around it: both
    are printed where the error is logged."""
    original = context.original_exception
    hidden = tuple(hide_values(part) if isinstance(part, str) else part for part in original.args)
    if hidden == original.args:
        return
    before = str(original)
    original.args = hidden
    outer = context.sqlalchemy_exception
    if outer is not None:
        outer.args = tuple(
            part.replace(before, str(original)) if isinstance(part, str) else part for part in outer.args
        )


def _where(context: ExceptionContext) -> str:
    if context.engine is None:
        return "its address"
    address = context.engine.url
    return f"{address.host}:{address.port}/{address.database}"


def _reason(error: BaseException) -> str:
    return str(error.args[-1]) if error.args else str(error)
