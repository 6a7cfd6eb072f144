"""Connections to the platform's own MariaDB; its errors are raised as those of `evergreen.errors`.

Connections use the Unix socket where the settings name one, else TCP, with TLS where they require it. A
server may ask a client to send a file (LOAD DATA LOCAL): only connections of `get_bulk_engine` do that.

There are up to four engines of one database. The ordinary one uses PyMySQL. The fast one, for reads of many
rows, the one for requests, which give up after seconds, and the bulk one, for loads, use mysqlclient where it
is installed.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import ExceptionContext

from evergreen.drivers.choice import PYMYSQL, build_driver_options, choose_fast_driver
from evergreen.drivers.keepalive import keep_watch
from evergreen.errors import StoreError, StoreUnreachable
from evergreen.hiding import hide_values
from evergreen.settings import Settings
from evergreen.store.connection.faults import translate_error

# https://mariadb.com/kb/en/mariadb-error-codes/ and the client's own codes (2xxx).
_UNREACHABLE = {2002, 2003, 2005, 2006, 2013, 1040, 1053, 1927}
_REFUSED = {1044, 1045, 1049, 1130, 1698}
DUPLICATE_KEY = 1062
WRONG_VALUE = 1366  # a column cannot hold it
NO_SUCH_TABLE = 1146
# The server or the client refuses LOAD DATA LOCAL.
LOCAL_INFILE_REFUSED = {1148, 2068, 3948, 4166}
_NOT_PROVEN = 2026  # TLS was required and did not come about
_NO_SUCH_PLUGIN = 2059  # a kind of log-in that the driver does not know
_CLIENT_ERROR = 2000  # among others: the server asked for a file that this connection does not send

_SESSION = (
    "SET SESSION time_zone = '+00:00', "
    "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', "
    # A server may be configured to keep no warnings; the errors of LOAD DATA LOCAL are warnings.
    "max_error_count = 64, "
    # The counts of an hour come as one text.
    "group_concat_max_len = 67108864"
)
UNREACHABLE_HINT = (
    "start the stack (evergreen up), or check EVERGREEN_MARIADB_HOST and EVERGREEN_MARIADB_PORT,"
    " or EVERGREEN_MARIADB_SOCKET"
)
_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 900  # a load of millions of rows is one statement
_REQUEST_SECONDS = 5  # without a byte, of a read that a request waits for

# Execution options of an engine: whether its connections send files, and those of its bulk engine may.
_SENDS_FILES = "evergreen_sends_files"
_MAY_SEND_FILES = "evergreen_may_send_files"

_Kind = Literal["ordinary", "fast", "request", "bulk"]

# By process, address, whether files may be sent, and kind.
_engines: dict[tuple[int, sa.URL, bool, _Kind], sa.Engine] = {}
_lock = threading.Lock()


def build_database_url(settings: Settings) -> sa.URL:
    """The address of the platform's database, with the password and how the server's identity is checked."""
    query = {"charset": "utf8mb4", "local_infile": "0"}
    if settings.mariadb_socket is not None:
        query["unix_socket"] = str(settings.mariadb_socket)
    elif settings.mariadb_verified:
        # Nothing less: "REQUIRED" sends the password to a server that says it speaks no TLS.
        query["ssl_mode"] = "VERIFY_IDENTITY"
        if settings.mariadb_tls_ca is not None:
            query["ssl_ca"] = str(settings.mariadb_tls_ca)
    return sa.URL.create(
        PYMYSQL,
        username=settings.mariadb_user,
        password=settings.mariadb_password.get_secret_value(),
        # The client library takes the socket for this name only.
        host=settings.mariadb_host if settings.mariadb_socket is None else "localhost",
        port=settings.mariadb_port if settings.mariadb_socket is None else None,
        database=settings.mariadb_database,
        query=query,
    )


def get_engine(settings: Settings) -> sa.Engine:
    """The process's one engine for these settings: UTC sessions, strict SQL, pings. It connects on first use.

    Statements on it raise StoreUnreachable when the server does not answer.
    """
    return _get_cached_engine(build_database_url(settings), may_send_files(settings), "ordinary")


def get_fast_engine(ordinary: sa.Engine) -> sa.Engine:
    """The engine of the same database by the faster driver, for reads of many rows.

    Its connections send no files. Where mysqlclient is missing, it is the ordinary engine.
    """
    kind: _Kind = "ordinary" if choose_fast_driver() == PYMYSQL else "fast"
    return _get_cached_engine(_get_ordinary_url(ordinary), _is_allowed_files(ordinary), kind)


def get_request_engine(ordinary: sa.Engine) -> sa.Engine:
    """The engine of the same database by the faster driver, for reads that a request waits for.

    Its statements raise StoreUnreachable when MariaDB sends nothing for some seconds. So a server that hangs,
    or a connection whose other end has gone, keeps no thread for long.
    """
    return _get_cached_engine(_get_ordinary_url(ordinary), _is_allowed_files(ordinary), "request")


def get_bulk_engine(ordinary: sa.Engine) -> sa.Engine:
    """The engine of the same database whose connections may send files (LOAD DATA LOCAL), for loads only.

    Where the settings do not allow it, it is the fast engine: its connections send none, and loads use
    INSERT.
    """
    if not _is_allowed_files(ordinary):
        return get_fast_engine(ordinary)
    return _get_cached_engine(_get_ordinary_url(ordinary), True, "bulk")


def can_send_files(engine: sa.Engine) -> bool:
    """Whether the connections of an engine send files."""
    return bool(engine.get_execution_options().get(_SENDS_FILES, False))


def may_send_files(settings: Settings) -> bool:
    """Whether a load may use LOAD DATA LOCAL. The client then sends what the SERVER names, any file that this
    process may read; so by itself only to a server that nobody else can stand in for."""
    if settings.mariadb_local_infile != "auto":
        return settings.mariadb_local_infile == "on"
    if settings.mariadb_socket is not None:
        return _is_guarded(settings.mariadb_socket)
    return settings.mariadb_verified


def dispose_engines(settings: Settings) -> None:
    """Close this process's idle connections for these settings; the next `get_engine` begins anew."""
    with _lock:
        keys = [key for key in _engines if key[:2] == (os.getpid(), build_database_url(settings))]
        engines = [_engines.pop(key) for key in keys]
    for each in engines:
        each.dispose()


def get_error_code(error: BaseException | None) -> int:
    """MariaDB's number of an error of the driver or of SQLAlchemy, or of a StoreError that was raised from
    one; 0 where there is none."""
    if isinstance(error, StoreError):
        error = error.__cause__
    original = getattr(error, "orig", None) or error
    arguments = getattr(original, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def _is_allowed_files(engine: sa.Engine) -> bool:
    return bool(engine.get_execution_options().get(_MAY_SEND_FILES, False))


def _get_ordinary_url(engine: sa.Engine) -> sa.URL:
    return engine.url.set(drivername=PYMYSQL)


def _get_cached_engine(address: sa.URL, allowed: bool, kind: _Kind) -> sa.Engine:
    # A forked child (an Airflow task) must not share its parent's sockets, hence the process id.
    key = (os.getpid(), address, allowed, kind)
    with _lock:
        if key not in _engines:
            url = address if kind == "ordinary" else address.set(drivername=choose_fast_driver())
            answer_seconds = _REQUEST_SECONDS if kind == "request" else _ANSWER_SECONDS
            engine = sa.create_engine(
                url,
                pool_pre_ping=True,
                # Rows are people's data, which must not appear in errors.
                hide_parameters=True,
                pool_recycle=3600,
                execution_options={_SENDS_FILES: kind == "bulk", _MAY_SEND_FILES: allowed},
                connect_args={
                    "local_infile": kind == "bulk",
                    "init_command": _SESSION,
                    "connect_timeout": _CONNECT_SECONDS,
                    "read_timeout": answer_seconds,
                    "write_timeout": answer_seconds,
                },
                **build_driver_options(url),
            )
            sa.event.listen(engine, "handle_error", _translate_driver_error)
            sa.event.listen(engine, "connect", lambda connection, _: keep_watch(connection))
            _engines[key] = engine
        return _engines[key]


def _is_guarded(socket: Path) -> bool:
    """Whether nobody but its folder's owner can put another socket there, also while the server is down."""
    try:
        return not socket.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    except OSError:
        return False


def _translate_driver_error(context: ExceptionContext) -> None:
    """Raise StoreUnreachable for a server that does not answer or refuses the user, and the errors of
    `faults` for the codes that it has; other errors stay the driver's."""
    if context.is_pre_ping:
        return  # the pool reconnects by itself
    _hide_values(context)
    code = get_error_code(context.original_exception)
    reason = _read_reason(context.original_exception)
    where = _describe_server(context)
    if code == _NOT_PROVEN:
        raise StoreUnreachable(
            f"MariaDB at {where} does not prove over TLS who it is: {reason}",
            hint="check that it has a certificate for that host name, and EVERGREEN_MARIADB_TLS_CA",
        ) from context.original_exception
    if code == _NO_SUCH_PLUGIN:
        raise StoreUnreachable(
            f"MariaDB at {where} asks for a kind of log-in that the driver does not know: {reason}",
            hint="install the package that it names, or give the user another kind, for one"
            " ALTER USER ... IDENTIFIED VIA mysql_native_password",
        ) from context.original_exception
    if code == _CLIENT_ERROR and "infile" in reason.lower():
        raise StoreUnreachable(
            f"the server at {where} asked for a file of ours instead of answering, and got none",
            hint="it is not the MariaDB that you mean: see who listens there",
        ) from context.original_exception
    if code not in _UNREACHABLE | _REFUSED:
        message = _read_reason(context.original_exception)
        if (translated := translate_error(code, message, context.statement)) is not None:
            raise translated from context.original_exception
        return
    if code in _REFUSED:
        raise StoreUnreachable(
            f"MariaDB at {where} refuses us: {reason}",
            hint="check EVERGREEN_MARIADB_USER, _PASSWORD and _DATABASE",
        ) from context.original_exception
    raise StoreUnreachable(
        f"MariaDB at {where} does not answer: {reason}",
        hint=UNREACHABLE_HINT,
    ) from context.original_exception


def _hide_values(context: ExceptionContext) -> None:
    """Remove row values from the server's message, in the driver's error and in SQLAlchemy's around it: both
    are printed where the error is logged."""
    original = context.original_exception
    safe_args = tuple(hide_values(part) if isinstance(part, str) else part for part in original.args)
    if safe_args == original.args:
        return
    before = str(original)
    original.args = safe_args
    outer = context.sqlalchemy_exception
    if outer is not None:
        outer.args = tuple(
            part.replace(before, str(original)) if isinstance(part, str) else part for part in outer.args
        )


def _describe_server(context: ExceptionContext) -> str:
    if context.engine is None:
        return "its address"
    return describe_address(context.engine.url)


def describe_address(address: sa.URL) -> str:
    """An address as text: the socket, or host and port, and the database."""
    socket = address.query.get("unix_socket")
    return f"{socket or f'{address.host}:{address.port}'}/{address.database}"


def _read_reason(error: BaseException) -> str:
    return str(error.args[-1]) if error.args else str(error)
