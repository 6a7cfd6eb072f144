"""The simulated bank's operational database: its tables, and bulk writes that may be repeated.

DATETIMEs are naive UTC, as everywhere in Evergreen. `recorded_at` is the time at which the bank wrote a row;
Evergreen's queries filter on it.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from evergreen.drivers.choice import build_driver_options, decide_driver
from evergreen.errors import SourceUnreachable
from evergreen.usecase import Feature, check_name
from evergreen.usecases.credit_score.fields import MONTHLY, PROFILE

METADATA = sa.MetaData()

# MariaDB's error number for a user without the right to create a database.
_ACCESS_DENIED = 1044
# The error numbers of MariaDB, MySQL and the client library when LOAD DATA LOCAL is refused.
_LOCAL_INFILE_REFUSED = frozenset({1148, 2068, 3948, 4166})


def _build_column(feature: Feature) -> sa.Column[Any]:
    kinds: dict[str, sa.types.TypeEngine[Any]] = {"int": sa.Integer(), "float": sa.Double()}
    return sa.Column(feature.name, kinds.get(feature.dtype, sa.String(100)), nullable=feature.nullable)


def _build_time_column(name: str, *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(), primary_key=key, nullable=False)


def _build_key_column() -> sa.Column[Any]:
    return sa.Column("customer_id", sa.BigInteger(), primary_key=True, autoincrement=False)


CUSTOMER = sa.Table(
    "customer",
    METADATA,
    _build_key_column(),
    _build_time_column("valid_from", key=True),
    *(_build_column(feature) for feature in PROFILE),
    _build_time_column("recorded_at"),
    sa.Index("customer_by_recorded_at", "recorded_at"),
)
MONTHLY_FACT = sa.Table(
    "monthly_fact",
    METADATA,
    _build_key_column(),
    _build_time_column("event_time", key=True),
    *(_build_column(feature) for feature in MONTHLY),
    _build_time_column("recorded_at"),
    sa.Index("monthly_fact_by_recorded_at", "recorded_at"),
)
SCORE_OUTCOME = sa.Table(
    "score_outcome",
    METADATA,
    _build_key_column(),
    _build_time_column("event_time", key=True),
    sa.Column("credit_score", sa.String(20), nullable=False),
    _build_time_column("recorded_at"),
    sa.Index("score_outcome_by_recorded_at", "recorded_at"),
)
# The periods that were simulated, with their arguments, so that a second call continues the same bank. The
# beginning of period 0 is that of the bank's books.
SIMULATED_PERIOD = sa.Table(
    "simulated_period",
    METADATA,
    sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
    _build_time_column("begins"),
    sa.Column("scenario", sa.String(20), nullable=False),
    sa.Column("seed", sa.BigInteger(), nullable=False),
    sa.Column("customers", sa.Integer(), nullable=False),
)
# The table in which former versions recorded the calendar months that they had simulated.
_CALENDAR_MONTHS = sa.Table("simulated_month", sa.MetaData(), sa.Column("month", sa.Date(), primary_key=True))


@contextmanager
def open_bank(url: str) -> Iterator[Engine]:
    """An engine on the bank's database. Its tables are created, and the database where it is missing and the
    user may create it.

    `url` is an SQLAlchemy URL that names the database, e.g.
    mysql://user:secret@host:3306/credit_bank. With `?local_infile=1` rows are sent as files, which
    also lets the server ask for any file; otherwise they are inserted. Raises SourceUnreachable when the
    server does not answer or refuses.
    """
    target = decide_driver(sa.make_url(url))
    database = check_name(target.database or "", "the bank's database")
    address = target.query.get("unix_socket") or f"{target.host}:{target.port or 3306}"
    try:
        _create_database(target, database)
        engine = _create_engine(target)
        METADATA.create_all(engine)
    except sa.exc.OperationalError as error:
        raise SourceUnreachable(
            f"the bank's database {database!r} at {address} cannot be opened: {error.orig}",
            hint="is the server up, and may this user create the database? (evergreen status; GRANT ALL)",
        ) from error
    try:
        yield engine
    finally:
        engine.dispose()


def has_calendar_months(engine: Engine) -> bool:
    """Whether a former version simulated this bank in calendar months, which cannot be continued."""
    if not sa.inspect(engine).has_table(_CALENDAR_MONTHS.name):
        return False
    with engine.connect() as connection:
        return connection.execute(sa.select(_CALENDAR_MONTHS).limit(1)).first() is not None


def drop_tables(engine: Engine) -> None:
    """Drop all tables of the simulated bank, also those of former versions."""
    METADATA.drop_all(engine)
    _CALENDAR_MONTHS.drop(engine, checkfirst=True)


def _create_engine(url: sa.URL) -> Engine:
    return sa.create_engine(
        url,
        poolclass=sa.NullPool,
        hide_parameters=True,
        connect_args={
            "local_infile": url.query.get("local_infile") == "1",
            "init_command": "SET time_zone = '+00:00'",
            "connect_timeout": 10,
        },
        **build_driver_options(url),
    )


def _create_database(url: sa.URL, database: str) -> None:
    server = _create_engine(url.set(database=""))
    try:
        with server.begin() as connection:
            connection.exec_driver_sql(
                f"CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )
    except sa.exc.OperationalError as error:
        # A user without the right to create the database may still use one that exists.
        if _get_error_number(error) != _ACCESS_DENIED:
            raise
    finally:
        server.dispose()


def write_rows(connection: Connection, table: sa.Table, frame: pd.DataFrame) -> None:
    """Add the rows of a frame whose columns have the table's names; a row whose key exists already is kept as
    it is."""
    if frame.empty:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as file:
        frame.to_csv(
            file,
            sep="\t",
            na_rep="\\N",
            header=False,
            index=False,
            quoting=csv.QUOTE_NONE,
            date_format="%Y-%m-%d %H:%M:%S",
        )
        file.flush()
        try:
            _load_file(connection, table, list(frame.columns), Path(file.name))
        except sa.exc.DBAPIError as error:
            if _get_error_number(error) not in _LOCAL_INFILE_REFUSED:
                raise
            _insert_rows(connection, table, frame)


def _load_file(connection: Connection, table: sa.Table, columns: list[str], path: Path) -> None:
    names = ", ".join(f"`{column}`" for column in columns)
    connection.exec_driver_sql(
        f"LOAD DATA LOCAL INFILE %s IGNORE INTO TABLE `{table.name}` CHARACTER SET utf8mb4 ({names})",
        (str(path),),
    )


def _insert_rows(connection: Connection, table: sa.Table, frame: pd.DataFrame) -> None:
    rows = [
        dict(zip(frame.columns, values, strict=True))
        for values in frame.astype(object).where(frame.notna(), None).itertuples(index=False)
    ]
    connection.execute(sa.insert(table).prefix_with("IGNORE"), rows)


def _get_error_number(error: sa.exc.DBAPIError) -> int:
    """The server's error number, 0 if there is none."""
    arguments = error.orig.args if error.orig is not None else ()
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0
