"""Writes rows of the prediction log in bulk, by LOAD DATA LOCAL INFILE."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Literal, TypeAlias

import sqlalchemy as sa

from evergreen.store.connection.database import (
    DUPLICATE_KEY,
    LOCAL_INFILE_REFUSED,
    NO_SUCH_TABLE,
    can_send_files,
    get_bulk_engine,
    get_error_code,
)
from evergreen.store.predictions.append_rows import find_existing_ids
from evergreen.store.predictions.hour_counts import LoggedColumns, RowCounter
from evergreen.store.predictions.insert import (
    arrange_by_columns,
    build_logged_rows,
    count_new_rows,
    insert_logged_rows,
    simplify_rows,
)
from evergreen.store.predictions.load_text import FORMAT, format_rows
from evergreen.store.predictions.logged_columns import arrange_columns
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.tables import declared
from evergreen.usecase import UseCase

_Outcome: TypeAlias = Literal["loaded", "duplicates", "refused"]


def load_predictions(
    engine: sa.Engine,
    use_case: UseCase,
    rows: Sequence[PredictionRow],
    counter: RowCounter | None = None,
) -> int:
    """Do what `insert_predictions` does, with the same result and the same errors, at a fraction of its cost.

    `engine` is an ordinary one; the rows go over the connection of `get_bulk_engine`. Where that may not send
    files, where the server takes none, or where a row did not arrive as it was written, nothing is loaded and
    the rows are inserted.
    """
    table = declared.build_prediction_table(use_case)
    bulk_engine = get_bulk_engine(engine)
    can_load = bool(rows) and can_send_files(bulk_engine)
    load = partial(_load_columns, bulk_engine, use_case, table.name, counter=counter)
    if can_load:
        # Rows that are new and as usual, which is nearly all of them, are never looked at one by one.
        columns = arrange_columns(use_case, table, rows)
        if columns is not None and load(columns) == "loaded":
            return len(rows)
    stored_rows = build_logged_rows(use_case, table, rows)
    if can_load:
        outcome = load(arrange_by_columns(list(stored_rows.values())))
        if outcome == "duplicates":
            existing_ids = find_existing_ids(engine, table, stored_rows)
            new = [row for row_id, row in stored_rows.items() if row_id not in existing_ids]
            outcome = load(arrange_by_columns(new)) if new else "loaded"
            stored_rows = {str(row["prediction_id"]): row for row in new}
        if outcome == "loaded":
            return len(stored_rows)
    return insert_logged_rows(engine, use_case, table, simplify_rows(stored_rows), counter)


def _load_columns(
    engine: sa.Engine,
    use_case: UseCase,
    table: str,
    columns: LoggedColumns,
    counter: RowCounter | None,
) -> _Outcome:
    """Load rows of the same columns, and count them: all of them, or none where some of them are there
    already ("duplicates") or may not arrive as they are ("refused")."""
    names = ", ".join(f"`{name}`" for name in columns)
    try:
        text = format_rows(columns)
    except (UnicodeEncodeError, TypeError):
        return "refused"  # a text or a type that only the driver may know
    # A file in memory, which the client library opens by its path.
    file = os.memfd_create("predictions")
    try:
        with os.fdopen(file, "wb", closefd=False) as writer:
            writer.write(text)
        with engine.connect() as connection:
            result = connection.exec_driver_sql(
                f"LOAD DATA LOCAL INFILE %s INTO TABLE `{table}` {FORMAT} ({names})",
                (f"/proc/self/fd/{file}",),
            )
            # With LOCAL, rows that are there are skipped, each with a warning, and every error is a warning
            # too. MariaDB shows 64 of them.
            warnings = connection.exec_driver_sql("SHOW WARNINGS").all()
            if warnings or result.rowcount != len(columns["prediction_id"]):
                connection.rollback()
                return "duplicates" if {code for _, code, _ in warnings} == {DUPLICATE_KEY} else "refused"
            count_new_rows(connection, use_case, columns, counter)
            connection.commit()
            return "loaded"
    except sa.exc.DBAPIError as error:
        # A table that is not there is told by the way of INSERT.
        if get_error_code(error) not in LOCAL_INFILE_REFUSED | {NO_SUCH_TABLE}:
            raise
        return "refused"
    finally:
        os.close(file)
