"""Rows of a foreign SQL database, reached through an Airflow Connection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import sqlalchemy as sa

from evergreen.errors import SettingsError, SourceUnreachable, SourceUnreadable
from evergreen.settings import Settings
from evergreen.sources.connections import connection_url
from evergreen.usecase import SqlSource

_CONNECT_SECONDS = 10
# A row gets its time of recording before its transaction ends, and is invisible until then. So that it is not
# missed, each interval begins a little earlier; loading a row twice changes nothing.
OVERLAP = timedelta(days=1)


def read_sql(source: SqlSource, settings: Settings, *, start: datetime, end: datetime) -> pd.DataFrame:
    """The rows of a query for start - OVERLAP < recorded <= end (aware UTC), with the driver's types.

    Raises SourceUnreachable when the database does not answer or refuses us, SourceUnreadable when it
    does not understand the query, SourceError for an unknown connection.
    """
    url = connection_url(source.connection, settings)
    where = f"connection {source.connection!r} ({url.render_as_string(hide_password=True)})"
    bounds = {"start": _naive(start - OVERLAP), "end": _naive(end)}
    try:
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=_arguments(url))
        with engine.connect() as connection:
            result = connection.execute(_bound(source.query), bounds)
            names = list(result.keys())
            # As objects: pandas must not make floats of integers that have gaps.
            return pd.DataFrame(result.fetchall(), columns=pd.Index(names), dtype=object)
    except ImportError as error:
        raise SettingsError(
            f"{where} needs the Python package {error.name}",
            hint="install it, for PostgreSQL with: pip install 'evergreen[postgres]'",
        ) from error
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        if _is_about_the_query(error):
            raise _unreadable(where, error) from error
        raise SourceUnreachable(
            f"{where} does not answer: {_reason(error)}",
            hint="check that the database runs, and the Connection's host, port, user and password",
        ) from error
    except sa.exc.StatementError as error:
        raise _unreadable(where, error) from error


def _bound(query: str) -> sa.TextClause:
    """The query with typed bounds, so that each driver writes them as it writes its own datetimes."""
    statement = sa.text(query)
    used = {"start", "end"} & set(statement.compile().params)
    return statement.bindparams(*(sa.bindparam(name, type_=sa.DateTime) for name in used))


def _unreadable(where: str, error: sa.exc.StatementError) -> SourceUnreadable:
    return SourceUnreadable(
        f"{where} cannot run the source's query: {_reason(error)}",
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
    return str(arguments[-1] if arguments else error)[:500]


def _arguments(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "mysql":
        # Columns of type TIMESTAMP come in the session's zone.
        return {"connect_timeout": _CONNECT_SECONDS, "init_command": "SET time_zone = '+00:00'"}
    if url.get_backend_name() == "postgresql":
        return {"connect_timeout": _CONNECT_SECONDS, "options": "-c timezone=UTC"}
    return {}


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
