"""Rows of a foreign SQL database, reached through an Airflow Connection or an SQLAlchemy URL."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from evergreen.errors import SettingsError, SourceUnreachable, SourceUnreadable
from evergreen.hiding import hide_secrets, hide_values
from evergreen.settings import Settings
from evergreen.sources.connections import connection_url
from evergreen.sources.files.column_names import check_distinct
from evergreen.usecase import SqlSource

_CONNECT_SECONDS = 10
# Rows that SQLAlchemy holds between the driver and us.
_FETCH = 1000
# A row gets its time of recording before its transaction ends, and is invisible until then. So that it is not
# missed, each interval begins a little earlier; loading a row twice changes nothing.
OVERLAP = timedelta(days=1)


def where(source: SqlSource, settings: Settings) -> sa.URL:
    """The database's URL, with its password. Raises SourceError for an unknown connection, SettingsError for
    a malformed one."""
    if "://" in source.connection:
        return parsed(source.connection)
    return connection_url(source.connection, settings)


def parsed(url: str) -> sa.URL:
    """An SQLAlchemy URL. Raises SettingsError."""
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # The URL itself may hold a password, so the message does not show it.
        raise SettingsError(
            "the URL of an SQL source is malformed",
            hint="write it as mysql://user:password@host:3306/database, special characters %-encoded",
        ) from None


def shown(url: sa.URL) -> str:
    """The URL for people to read: no password, nor what else the driver is told but its socket."""
    socket = url.query.get("unix_socket")
    text = url.set(query={}).render_as_string(hide_password=True)
    return f"{text} by {socket}" if socket else text


def batches(
    source: SqlSource, url: sa.URL, *, start: datetime, end: datetime, batch_rows: int, batch_bytes: int
) -> Generator[pa.Table, None, None]:
    """The rows of a query for start - OVERLAP < recorded <= end (aware UTC), streamed; first of all a batch
    without rows.

    Each batch has the types of its own values: a column that holds none is null there, whole decimals are
    int64 and others float64, values of several kinds become text.

    Raises SourceUnreachable when the database does not answer or refuses us, SourceUnreadable when it does
    not understand the query, SettingsError for a missing driver.
    """
    place = shown(url) if "://" in source.connection else f"connection {source.connection!r} ({shown(url)})"
    bounds = {"start": _naive(start - OVERLAP), "end": _naive(end)}
    try:
        engine = sa.create_engine(
            url, poolclass=sa.pool.NullPool, hide_parameters=True, connect_args=_arguments(url)
        )
        with engine.connect().execution_options(stream_results=True, max_row_buffer=_FETCH) as connection:
            result = connection.execute(_bound(source.query), bounds)
            names = list(result.keys())
            check_distinct(place, names, "give one of them another name with AS in the source's query")
            fitting = _FETCH
            try:
                yield pa.table({name: pa.nulls(0) for name in names})
                while rows := result.fetchmany(min(batch_rows, fitting)):
                    columns = map(column, zip(*rows, strict=True))
                    table = pa.table(dict(zip(names, columns, strict=True)))
                    yield table
                    # As many rows at once as the last ones let expect.
                    fitting = max(batch_bytes * len(rows) // max(table.nbytes, 1), 1)
            except GeneratorExit:
                # The server is still sending: nothing else can be said on this connection.
                connection.invalidate()
                raise
    except ImportError as error:
        raise SettingsError(
            f"{place} needs the Python package {error.name}",
            hint="install it, for PostgreSQL with: pip install 'evergreen[postgres]'",
        ) from error
    except sa.exc.NoSuchModuleError as error:
        raise SettingsError(
            f"{place} is of a kind that SQLAlchemy does not know here", hint="install its dialect's package"
        ) from error
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        if _is_about_the_query(error):
            raise _unreadable(place, error) from error
        raise SourceUnreachable(
            f"{place} does not answer: {_reason(error)}",
            hint="check that the database runs, and the Connection's host, port, user and password",
        ) from error
    except sa.exc.StatementError as error:
        raise _unreadable(place, error) from error
    except sa.exc.ResourceClosedError as error:
        raise SourceUnreadable(
            f"{place} answers the source's query with no rows at all",
            hint="declare a SELECT in the use case",
        ) from error


def column(values: Sequence[Any]) -> pa.Array:
    """A driver's values as one Arrow array of a type that holds them exactly."""
    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError, ValueError):
        return _mixed(values)
    if pa.types.is_decimal(array.type):
        return _decimals(array)
    if pa.types.is_nested(array.type):  # a database's JSON
        return _mixed(values)
    return array


def _decimals(array: pa.Array) -> pa.Array:
    """What a database counts or adds up arrives as decimals: whole ones keep every digit."""
    if array.type.scale <= 0:
        try:
            return array.cast(pa.int64())
        except pa.ArrowException:
            pass  # beyond 2^63
    return array.cast(pa.float64())


def _mixed(values: Sequence[Any]) -> pa.Array:
    given = [value for value in values if value is not None]
    if all(isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) for value in given):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value)


def _bound(query: str) -> sa.TextClause:
    """The query with typed bounds, so that each driver writes them as it writes its own datetimes."""
    statement = sa.text(query)
    used = {"start", "end"} & set(statement.compile().params)
    return statement.bindparams(*(sa.bindparam(name, type_=sa.DateTime) for name in used))


def _unreadable(place: str, error: sa.exc.StatementError) -> SourceUnreadable:
    return SourceUnreadable(
        f"{place} cannot run the source's query: {_reason(error)}",
        hint="mend the query in the use case's declaration; it receives :start and :end",
    )


def _is_about_the_query(error: sa.exc.DBAPIError) -> bool:
    """SQLite and MySQL report an unknown table or column as operational errors too."""
    text = str(error.orig).lower()
    code = error.orig.args[0] if error.orig is not None and error.orig.args else 0
    return code in (1054, 1142, 1143) or any(
        t in text for t in ("no such table", "no such column", "syntax error")
    )


def _reason(error: sa.exc.StatementError) -> str:
    arguments = error.orig.args if error.orig is not None else ()
    return hide_secrets(hide_values(str(arguments[-1] if arguments else error)))[:500]


def _arguments(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() in ("mysql", "mariadb"):
        return {
            "connect_timeout": _CONNECT_SECONDS,
            # Columns of type TIMESTAMP come in the session's zone.
            "init_command": "SET time_zone = '+00:00'",
            # Whatever the Connection says: a server that may ask for files is sent any that we can read.
            "local_infile": False,
        }
    if url.get_backend_name() == "postgresql":
        return {"connect_timeout": _CONNECT_SECONDS, "options": "-c timezone=UTC"}
    return {}


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
