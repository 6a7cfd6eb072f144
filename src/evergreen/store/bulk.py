"""Many rows into a temporary table: LOAD DATA LOCAL INFILE, or multi-row INSERT where that is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from evergreen.store.database import NOT_ALLOWED_LOCALLY, error_code

_INSERT_ROWS = 1000


def fill_temporary(connection: sa.Connection, name: str, like: sa.Table, frame: pd.DataFrame) -> None:
    """Make the temporary table `name` with those columns of `like` that `frame` has, and fill it.

    Neither ends the transaction. The table lives as long as the connection, or until `drop_temporary`.
    """
    drop_temporary(connection, name)
    columns = [like.c[column] for column in frame.columns]
    definitions = ", ".join(
        f"`{column.name}` {column.type.compile(dialect=connection.dialect)}" for column in columns
    )
    # Names come from a checked declaration.
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE `{name}` ({definitions})"
        " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin"
    )
    if frame.empty:
        return
    try:
        _load_data(connection, name, frame)
    except sa.exc.DBAPIError as error:
        if error_code(error) not in NOT_ALLOWED_LOCALLY:
            raise
        _insert(connection, name, frame)


def drop_temporary(connection: sa.Connection, name: str) -> None:
    """Drop a temporary table if it is there; a permanent one of that name is safe."""
    connection.exec_driver_sql(f"DROP TEMPORARY TABLE IF EXISTS `{name}`")


def _load_data(connection: sa.Connection, name: str, frame: pd.DataFrame) -> None:
    """Arrow writes the CSV: strings quoted, quotes doubled, missing values as nothing between the commas."""
    import pyarrow
    import pyarrow.csv

    table = pyarrow.Table.from_pandas(_plain_times(frame), preserve_index=False)
    variables = ", ".join(f"@c{number}" for number in range(len(frame.columns)))
    # An empty field is a missing value: validation has made empty texts missing before.
    assignments = ", ".join(
        f"`{column}` = NULLIF(@c{number}, '')" for number, column in enumerate(frame.columns)
    )
    with tempfile.TemporaryDirectory(prefix="evergreen-load-") as folder:
        path = Path(folder) / "rows.csv"
        pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(include_header=False))
        connection.exec_driver_sql(
            f"LOAD DATA LOCAL INFILE %s INTO TABLE `{name}` CHARACTER SET utf8mb4"
            " FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY ''"
            f" LINES TERMINATED BY '\n' ({variables}) SET {assignments}",
            (str(path),),
        )
    _check_all_arrived(connection, name, len(frame))


def _check_all_arrived(connection: sa.Connection, name: str, rows: int) -> None:
    """LOAD DATA LOCAL turns errors into warnings; a load that lost or bent a value must not go on."""
    warnings = connection.exec_driver_sql("SHOW WARNINGS").all()
    if warnings:
        raise sa.exc.DataError(f"LOAD DATA into {name}", {}, ValueError(str(warnings[:5])))
    found = connection.exec_driver_sql(f"SELECT COUNT(*) FROM `{name}`").scalar()  # noqa: S608
    if found != rows:
        raise sa.exc.DataError(f"LOAD DATA into {name}", {}, ValueError(f"{found} of {rows} rows arrived"))


def _insert(connection: sa.Connection, name: str, frame: pd.DataFrame) -> None:
    columns = ", ".join(f"`{column}`" for column in frame.columns)
    places = ", ".join(["%s"] * len(frame.columns))
    statement = f"INSERT INTO `{name}` ({columns}) VALUES ({places})"  # noqa: S608
    plain = _plain_times(frame).astype(object)
    rows = list(plain.where(frame.notna(), None).itertuples(index=False, name=None))
    for start in range(0, len(rows), _INSERT_ROWS):
        connection.exec_driver_sql(statement, rows[start : start + _INSERT_ROWS])


def _plain_times(frame: pd.DataFrame) -> pd.DataFrame:
    """Moments as naive UTC, which both ways of loading write without an offset."""
    moments = [c for c in frame.columns if isinstance(frame[c].dtype, pd.DatetimeTZDtype)]
    return frame.assign(**{c: frame[c].dt.tz_convert("UTC").dt.tz_localize(None) for c in moments})
