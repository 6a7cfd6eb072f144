"""Rows of a foreign SQL database, named by an Airflow Connection or an SQLAlchemy URL, as Arrow batches."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from evergreen.drivers.choice import build_driver_options, decide_driver
from evergreen.errors import SettingsError, SourceUnreachable, SourceUnreadable
from evergreen.hiding import hide_secrets, hide_values
from evergreen.settings import Settings
from evergreen.sources.connections import find_connection_url
from evergreen.sources.files.column_names import check_column_names
from evergreen.usecase import SqlSource

_CONNECT_SECONDS = 10
# Rows that SQLAlchemy buffers.
_FETCH_ROWS = 1000
# A row gets its time of recording before its transaction is committed, and is invisible until then. Each
# interval begins so much earlier that such a row is not missed; loading a row twice changes nothing.
OVERLAP = timedelta(days=1)


def find_source_url(source: SqlSource, settings: Settings) -> sa.URL:
    """The database's URL, with its password. Raises SourceError for an unknown connection, SettingsError for
    a malformed one."""
    if "://" in source.connection:
        return parse_url(source.connection)
    return find_connection_url(source.connection, settings)


def parse_url(url: str) -> sa.URL:
    """A text as an SQLAlchemy URL. Raises SettingsError."""
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # The URL itself may hold a password, so the message does not show it.
        raise SettingsError(
            "the URL of an SQL source is malformed",
            hint="write it as mysql://user:password@host:3306/database, special characters %-encoded",
        ) from None


def format_url(url: sa.URL) -> str:
    """The URL for messages: without password and driver options, except for the path of a socket."""
    socket = url.query.get("unix_socket")
    text = url.set(query={}).render_as_string(hide_password=True)
    return f"{text} by {socket}" if socket else text


def read_query_batches(
    source: SqlSource, url: sa.URL, *, start: datetime, end: datetime, batch_rows: int, batch_bytes: int
) -> Generator[pa.Table, None, None]:
    """The rows of the source's query as batches, streamed; the first batch has no rows.

    The query receives `start - OVERLAP` as :start and `end` as :end (both aware UTC). A batch has at most
    `batch_rows` rows and about `batch_bytes` bytes, and the types of its own values: a column without values
    is null there, whole decimals are int64 and others float64, values of several kinds become text.

    Raises SourceUnreachable when the database does not answer or refuses the connection, SourceUnreadable
    when it cannot run the query, SettingsError for a missing driver.
    """
    place = (
        format_url(url)
        if "://" in source.connection
        else f"connection {source.connection!r} ({format_url(url)})"
    )
    url = decide_driver(url)
    bounds = {"start": _to_naive_utc(start - OVERLAP), "end": _to_naive_utc(end)}
    try:
        engine = sa.create_engine(
            url,
            poolclass=sa.pool.NullPool,
            hide_parameters=True,
            connect_args=_build_connect_arguments(url),
            **build_driver_options(url),
        )
        with engine.connect().execution_options(
            stream_results=True, max_row_buffer=_FETCH_ROWS
        ) as connection:
            result = connection.execute(_bind_query(source.query), bounds)
            names = list(result.keys())
            check_column_names(place, names, "give one of them another name with AS in the source's query")
            fitting_rows = _FETCH_ROWS
            try:
                yield pa.table({name: pa.nulls(0) for name in names})
                while rows := result.fetchmany(min(batch_rows, fitting_rows)):
                    columns = map(build_column, zip(*rows, strict=True))
                    table = pa.table(dict(zip(names, columns, strict=True)))
                    yield table
                    # As many rows at once as have `batch_bytes` if they are as large as the last ones.
                    fitting_rows = max(batch_bytes * len(rows) // max(table.nbytes, 1), 1)
            except GeneratorExit:
                # The server is still sending rows, so this connection cannot be used again.
                connection.invalidate()
                raise
    except ImportError as error:
        raise SettingsError(
            f"{place} needs the Python package {error.name}",
            hint="install it, for PostgreSQL with: pip install 'evergreen[postgres]'; mysql:// and"
            " mysql+pymysql:// need no more than what is installed",
        ) from error
    except sa.exc.NoSuchModuleError as error:
        raise SettingsError(
            f"{place} is of a kind that SQLAlchemy does not know here", hint="install its dialect's package"
        ) from error
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        if _is_query_error(error):
            raise _build_query_error(place, error) from error
        raise SourceUnreachable(
            f"{place} does not answer: {_read_reason(error)}",
            hint="check that the database runs, and the Connection's host, port, user and password",
        ) from error
    except sa.exc.StatementError as error:
        raise _build_query_error(place, error) from error
    except sa.exc.ResourceClosedError as error:
        raise SourceUnreadable(
            f"{place} answers the source's query with no rows at all",
            hint="declare a SELECT in the use case",
        ) from error


def build_column(values: Sequence[Any]) -> pa.Array:
    """A driver's values as one Arrow array of a type that holds them exactly."""
    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError, ValueError):
        return _convert_mixed_values(values)
    if pa.types.is_decimal(array.type):
        return _convert_decimals(array)
    if pa.types.is_nested(array.type):  # a database's JSON
        return _convert_mixed_values(values)
    return array


def _convert_decimals(array: pa.Array) -> pa.Array:
    """Decimals without a fraction as int64, which keeps every digit, others as float64. The sums and counts
    of a database arrive as decimals."""
    if array.type.scale <= 0:
        try:
            return array.cast(pa.int64())
        except pa.ArrowException:
            pass  # beyond 2^63
    return array.cast(pa.float64())


def _convert_mixed_values(values: Sequence[Any]) -> pa.Array:
    """Values of several types as float64 if all are numbers, else as text."""
    present = [value for value in values if value is not None]
    if all(isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) for value in present):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else _format_value(value) for value in values], pa.string())


def _format_value(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value)


def _bind_query(query: str) -> sa.TextClause:
    """The query with typed bounds, so that each driver writes them as it writes its own datetimes."""
    statement = sa.text(query)
    parameters = {"start", "end"} & set(statement.compile().params)
    return statement.bindparams(*(sa.bindparam(name, type_=sa.DateTime) for name in parameters))


def _build_query_error(place: str, error: sa.exc.StatementError) -> SourceUnreadable:
    return SourceUnreadable(
        f"{place} cannot run the source's query: {_read_reason(error)}",
        hint="mend the query in the use case's declaration; it receives :start and :end",
    )


def _is_query_error(error: sa.exc.DBAPIError) -> bool:
    """Whether an operational error is about the query: SQLite and MySQL report an unknown table or column as
    one."""
    text = str(error.orig).lower()
    code = error.orig.args[0] if error.orig is not None and error.orig.args else 0
    # MySQL: unknown column, table or column not permitted.
    return code in (1054, 1142, 1143) or any(
        phrase in text for phrase in ("no such table", "no such column", "syntax error")
    )


def _read_reason(error: sa.exc.StatementError) -> str:
    """The driver's message without secrets and without values of rows."""
    arguments = error.orig.args if error.orig is not None else ()
    return hide_secrets(hide_values(str(arguments[-1] if arguments else error)))[:500]


def _build_connect_arguments(url: sa.URL) -> dict[str, str | int | bool]:
    if url.get_backend_name() in ("mysql", "mariadb"):
        return {
            "connect_timeout": _CONNECT_SECONDS,
            # Columns of type TIMESTAMP are sent in the session's time zone.
            "init_command": "SET time_zone = '+00:00'",
            # Never, whatever the Connection says: such a server could ask for any file of this machine.
            "local_infile": False,
        }
    if url.get_backend_name() == "postgresql":
        return {"connect_timeout": _CONNECT_SECONDS, "options": "-c timezone=UTC"}
    return {}


def _to_naive_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
