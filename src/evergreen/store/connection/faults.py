"""MariaDB's errors as errors of Evergreen: with the table, the column, and what to do next.

MariaDB's own text may quote values of rows, so only names of tables and columns are taken from it.
"""

from __future__ import annotations

import re

from evergreen.errors import SchemaMismatch, StoreError, StoreRefused

# https://mariadb.com/kb/en/mariadb-error-codes/
NO_SUCH_COLUMN = 1054
LOCK_WAIT_TIMEOUT = 1205
DEADLOCK = 1213
_DENIED = {1142, 1143, 1227, 1370}
_FULL = {3, 1021, 1026, 1114}
_TOO_LARGE = {1153, 1301, 2020}
_READ_ONLY = {1036, 1290, 1792, 1836}
_ENDED = {1317, 1969}

_ANY = "USE_CASE"
_QUOTED = re.compile(r"'([^']*)'")
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN|TABLE)\s+((?:`[^`]+`\.)?`[^`]+`|[\w.]+)", re.IGNORECASE)


def translate_error(code: int, text: str, statement: str | None) -> StoreError | None:
    """The error to raise for MariaDB's error `code`; None for a code that has none, where the driver's own
    error is to be raised.

    `text` is MariaDB's message and `statement` the SQL as the driver got it.
    """
    table = find_table_name(statement)
    where = f"table {table}" if table else "MariaDB"
    if code == NO_SUCH_COLUMN:
        return build_missing_column_error(text, statement)
    if code in _DENIED:
        return StoreRefused(
            f"the platform's database user may not do what is to be done with {where}",
            hint="SHOW GRANTS tells its rights; it needs all of them in EVERGREEN_MARIADB_DATABASE, and"
            " SELECT and INSERT in the ledger's; `evergreen rights` gives an account a service's",
        )
    if code in (LOCK_WAIT_TIMEOUT, DEADLOCK):
        return StoreRefused(
            f"{where} is in use by another session, which did not end in time",
            hint="run this again when it has ended: SHOW PROCESSLIST tells who it is",
        )
    if code in _FULL:
        return StoreRefused(
            f"MariaDB has no room on its disk for {where}", hint="make room there, then run this again"
        )
    if code in _TOO_LARGE:
        return StoreRefused(
            f"a statement on {where} is larger than MariaDB takes",
            hint="set max_allowed_packet=64M in that MariaDB's options, as the embedded one has",
        )
    if code in _READ_ONLY:
        return StoreRefused(
            f"MariaDB lets nobody change {where} now: it, or the table, is read-only",
            hint="a replica is not written to: check EVERGREEN_MARIADB_HOST, and SELECT @@read_only",
        )
    if code in _ENDED:
        return StoreRefused(
            f"somebody, or a time limit, ended the statement on {where}",
            hint="run this again; SELECT @@max_statement_time tells the limit",
        )
    return None


def build_missing_column_error(text: str, statement: str | None) -> SchemaMismatch:
    """The error for a column that the declaration has and the table does not (MariaDB's error 1054)."""
    quoted = _QUOTED.search(text)
    column = quoted[1].rpartition(".")[2] if quoted else "of the declaration"
    table = find_table_name(statement)
    if (use_case_name := find_use_case_name(table)) == _ANY:
        return SchemaMismatch(
            f"table {table or '?'} of the platform lacks the column {column}",
            hint="if an earlier version made it, an ingest brings it up to date: evergreen run ingest"
            " USE_CASE; else somebody has changed it",
        )
    return SchemaMismatch(
        f"table {table} lacks the column {column}, which is declared",
        hint=f"see what differs: evergreen features diff {use_case_name};"
        f" mend it: evergreen apply {use_case_name}",
    )


def find_table_name(statement: str | None) -> str:
    """The first table that a statement names; "" when none is found."""
    match = _TABLE.search(statement or "")
    return match[1].replace("`", "").rpartition(".")[2] if match else ""


def find_use_case_name(table: str) -> str:
    """The use case that a table belongs to; the placeholder USE_CASE for a table of the platform."""
    name, separator, _ = table.partition("__")
    return name if separator else _ANY
