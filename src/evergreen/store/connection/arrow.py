"""Rows of MariaDB as Arrow tables, read without a Python object per value; types, literals and digests."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from evergreen.errors import SchemaMismatch, StoreError, StoreUnreachable
from evergreen.hiding import hide_secrets, hide_values
from evergreen.store.connection.database import (
    NO_SUCH_TABLE,
    UNREACHABLE_HINT,
    describe_address,
    get_error_code,
    get_fast_engine,
)
from evergreen.store.connection.faults import find_table_name, find_use_case_name, translate_error
from evergreen.store.connection.times import to_naive_utc

MOMENT = pa.timestamp("us", tz="UTC")
ARROW_TYPES: dict[str, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "category": pa.string(),
    "text": pa.string(),
    "moment": MOMENT,
}

_SESSION = "SET SESSION time_zone = '+00:00'"
_NOT_VERSIONED = 4124
_CODE = re.compile(r"ERROR (\d+) \(")
_STRING_BYTES = 2**31 - 1  # what one Arrow array of type string holds

# The process that used connectorx first. connectorx keeps one pool of threads per process; a fork has the
# pool's memory but not its threads, and would wait for them for ever.
_first_reader: int | None = None


def read_arrow(
    engine: sa.Engine, statements: str | Sequence[str], schema: pa.Schema | None = None
) -> pa.Table:
    """The rows of one SELECT, or of several of the same columns, which are then read at the same time.

    Moments come as timestamp[us], or as `schema` says (BIGINT, DOUBLE, VARCHAR, TEXT and DATETIME fit the
    `ARROW_TYPES`). Rows of one statement keep its order; of several, their chunks come mixed. Raises
    StoreUnreachable, SchemaMismatch for a column and StoreError for a table that does not exist.
    """
    global _first_reader
    selects = [statements] if isinstance(statements, str) else list(statements)
    with engine.connect():
        pass  # connectorx itself fails only after half a minute without an answer
    if not has_connectorx() or _first_reader not in (None, os.getpid()):
        return _apply_schema(_read_by_cursor(engine, selects), schema)
    _first_reader = os.getpid()
    # Not at the top: the image of the service has no connectorx (200 MB), because it reads no whole tables.
    import connectorx

    try:
        table = connectorx.read_sql(
            build_reader_address(engine.url),
            selects if len(selects) > 1 else selects[0],
            return_type="arrow",
            pre_execution_query=_SESSION,
        )
    except RuntimeError as error:
        raise _translate_read_error(engine.url, str(error), selects[0]) from error
    return _apply_schema(table, schema)


@functools.cache
def has_connectorx() -> bool:
    """Whether connectorx is installed; otherwise rows are read by the driver, several times slower."""
    return importlib.util.find_spec("connectorx") is not None


def format_sql_literal(value: Any) -> str:
    """A key or a moment (aware) as SQL text."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{to_naive_utc(value).isoformat(' ', 'microseconds')}'"
    if isinstance(value, str):
        # In hexadecimal, no character can end the literal.
        return f"_utf8mb4 X'{value.encode().hex()}' COLLATE utf8mb4_nopad_bin"
    return str(int(value))


def flatten_column(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; of type large_string when it is longer than a string array may be."""
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_string(column.type) and column.nbytes >= _STRING_BYTES:
        column = column.cast(pa.large_string())
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def to_integers(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A column of moments or whole numbers without missing ones as int64 (moments: microseconds)."""
    array = flatten_column(column) if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    integers: np.ndarray = array.to_numpy()
    return integers


def digest_table(table: pa.Table, threads: int = 2) -> str:
    """SHA-256 over names, types, order and values: the same in every process and however it is chunked."""
    with ThreadPoolExecutor(threads) as pool:
        columns = list(pool.map(_digest_column, table.columns))
    total = hashlib.sha256(f"{table.num_rows}\n".encode())
    for field, column_digest in zip(table.schema, columns, strict=True):
        total.update(f"{field.name}\x1f{_classify_type(field.type)}\x1f{column_digest}\n".encode())
    return total.hexdigest()


def _digest_column(column: pa.ChunkedArray) -> str:
    total, missing = hashlib.sha256(), hashlib.sha256()
    texts = hashlib.sha256()
    if column.null_count:
        missing.update(np.packbits(_compute_validity(column)).tobytes())
    for chunk in column.chunks:
        if _classify_type(chunk.type) == "text":
            filled = chunk.fill_null("") if chunk.null_count else chunk
            total.update(pc.binary_length(filled).to_numpy().astype("<i8", copy=False))
            texts.update(_characters(filled))
        elif pa.types.is_floating(chunk.type):
            # One bit pattern for zero.
            total.update((_fill_missing(chunk, 0.0).to_numpy() + 0.0).astype("<f8", copy=False))
        else:
            plain = chunk.view(pa.int64()) if pa.types.is_timestamp(chunk.type) else chunk
            total.update(_fill_missing(plain, 0).to_numpy().astype("<i8", copy=False))
    return total.hexdigest() + texts.hexdigest() + missing.hexdigest()


def _compute_validity(column: pa.ChunkedArray) -> np.ndarray:
    return np.concatenate([chunk.is_valid().to_numpy(zero_copy_only=False) for chunk in column.chunks])


def _fill_missing(chunk: pa.Array, value: float) -> pa.Array:
    return chunk.fill_null(value) if chunk.null_count else chunk


def _characters(chunk: pa.Array) -> memoryview | bytes:
    """The bytes of a string array without missing ones, one text after the other."""
    _, offsets, data = chunk.buffers()
    if data is None or not len(chunk):
        return b""
    width = np.int64 if pa.types.is_large_string(chunk.type) else np.int32
    bounds = np.frombuffer(offsets, dtype=width)[chunk.offset : chunk.offset + len(chunk) + 1]
    return memoryview(data)[int(bounds[0]) : int(bounds[-1])]


def _classify_type(data_type: pa.DataType) -> str:
    if pa.types.is_string(data_type) or pa.types.is_large_string(data_type):
        return "text"
    if pa.types.is_timestamp(data_type):
        return "moment"
    return "float" if pa.types.is_floating(data_type) else "int"


def _apply_schema(table: pa.Table, schema: pa.Schema | None) -> pa.Table:
    return table if schema is None else table.rename_columns(schema.names).cast(schema)


def build_reader_address(url: sa.URL) -> str:
    """The address in the form that connectorx takes. Its driver never sends files."""
    user, password = (quote(str(part or ""), safe="") for part in (url.username, url.password))
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host
    # Without this option, it asks a server on loopback for a socket and goes on there, without TLS.
    options = {"prefer_socket": "false"}
    if socket := url.query.get("unix_socket"):
        options["socket"] = str(socket)
    if url.query.get("ssl_mode"):
        options["sslmode"] = "verify_identity"
    if authority := url.query.get("ssl_ca"):
        options["ssl-ca"] = str(authority)
    account = f"{user}{f':{password}' if password else ''}"
    return f"mysql://{account}@{host}:{url.port or 3306}/{url.database}?{urlencode(options)}"


def _translate_read_error(url: sa.URL, message: str, statement: str) -> StoreError:
    code_match, table = _CODE.search(message), find_table_name(statement)
    code = int(code_match[1]) if code_match else 0
    if code == NO_SUCH_TABLE:
        return StoreError(
            f"table {table} is not there",
            hint=f"ingest first, which makes it: evergreen run ingest {find_use_case_name(table)}",
        )
    if code == _NOT_VERSIONED:
        return SchemaMismatch(
            f"table {table} keeps no system versions: somebody has changed it",
            hint=f"ALTER TABLE `{table}` ADD SYSTEM VERSIONING gives them back; training sets of before"
            " cannot be had again",
        )
    if (translated := translate_error(code, message, statement)) is not None:
        return translated
    if code and "timed out waiting" not in message:
        return StoreError(
            f"MariaDB could not read the rows of {table}: error {code}", hint="see MariaDB's error log"
        )
    # The client's message may contain the address, with its password.
    message = hide_values(hide_secrets(message))
    reason = message.strip().splitlines()[0][:500] if message.strip() else "connectorx gave no reason"
    return StoreUnreachable(
        f"MariaDB at {describe_address(url)} stopped answering: {reason}",
        hint=UNREACHABLE_HINT,
    )


def _read_by_cursor(engine: sa.Engine, statements: Sequence[str]) -> pa.Table:
    """The rows of `read_arrow` by the driver and Python objects, for a fork of a process that has read."""
    tables = []
    with get_fast_engine(engine).connect() as connection:
        for statement in statements:
            try:
                result = connection.exec_driver_sql(statement.replace("%", "%%"))
            except sa.exc.DBAPIError as error:
                message = f"ERROR {get_error_code(error)} (driver): {error.orig}"
                raise _translate_read_error(engine.url, message, statement) from error
            names = list(result.keys())
            rows = result.cursor.fetchall() if result.cursor else []
            columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
            tables.append(pa.table([pa.array(values) for values in columns], names=names))
    return pa.concat_tables(tables, promote_options="permissive")
