"""Reading: the point-in-time join and the full training set, against SQL, pandas and DuckDB."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import connectorx
import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from benchmarks.common.server import Bench
from benchmarks.common.timing import alternate, say, seconds
from benchmarks.store import data
from benchmarks.store.data import ASKED, JOIN, KEY, NUMBERS, TARGET, TIME, VIEW, Size
from benchmarks.store.ingest import forget

from evergreen.loop import ingest as loop
from evergreen.settings import Settings
from evergreen.store.connection.arrow import build_reader_address
from evergreen.store.connection.database import build_database_url, get_engine
from evergreen.store.history.training_set import TrainingSet, read_training_set
from evergreen.usecases import load_use_case

FACTS, LABEL = f"{JOIN}__{VIEW}", f"{JOIN}__label"
COLUMNS = [KEY, TIME, *NUMBERS, TARGET]
# A table that was changed within the last two seconds is not kept: its clock has whole seconds.
_UNTOUCHED_SECONDS = 3.0
_MOMENT = f"'{ASKED:%Y-%m-%d %H:%M:%S}'"
_WANTED = ", ".join(f"h.{name}" for name in NUMBERS)
_number = itertools.count(1)

# For each label the newest event time known then, and of that event time the version ingested last.
NAIVE = f"""
SELECT l.{KEY}, l.{TIME}, {_WANTED}, l.{TARGET}
FROM {LABEL} l
JOIN {FACTS} h ON h.{KEY} = l.{KEY}
 AND h.{TIME} = (SELECT MAX(x.{TIME}) FROM {FACTS} x
                 WHERE x.{KEY} = l.{KEY} AND x.{TIME} <= l.{TIME} AND x.ingested_at <= {_MOMENT})
 AND h.ingested_at = (SELECT MAX(y.ingested_at) FROM {FACTS} y
                      WHERE y.{KEY} = l.{KEY} AND y.{TIME} = h.{TIME} AND y.ingested_at <= {_MOMENT})
WHERE l.ingested_at <= {_MOMENT}
"""  # noqa: S608

_ASOF = f"""
SELECT l.{KEY}, l.{TIME}, {_WANTED}, l.{TARGET}
FROM label l ASOF JOIN ({{facts}}) h ON l.{KEY} = h.{KEY} AND l.{TIME} >= h.{TIME}
"""  # noqa: S608
# DuckDB's own words for "of each event time the version ingested last".
DUCKDB = _ASOF.format(
    facts=f"SELECT * FROM facts WHERE ingested_at <= {_MOMENT} QUALIFY"  # noqa: S608
    f" row_number() OVER (PARTITION BY {KEY}, {TIME} ORDER BY ingested_at DESC) = 1"
)
# The ASOF JOIN alone, when somebody has kept the last versions only.
DUCKDB_LAST = _ASOF.format(facts="SELECT * FROM last_facts")
# Written by hand to be fast: the join on keys and clocks only, the values fetched afterwards.
DUCKDB_LATE = f"""
WITH k AS (SELECT {KEY}, {TIME}, max(ingested_at) AS ingested_at FROM facts
           WHERE ingested_at <= {_MOMENT} GROUP BY 1, 2),
     j AS (SELECT l.{KEY}, l.{TIME}, l.{TARGET}, k.{TIME} AS known, k.ingested_at
           FROM label l ASOF JOIN k ON l.{KEY} = k.{KEY} AND l.{TIME} >= k.{TIME})
SELECT j.{KEY}, j.{TIME}, {_WANTED}, j.{TARGET}
FROM j JOIN facts h ON h.{KEY} = j.{KEY} AND h.{TIME} = j.known AND h.ingested_at = j.ingested_at
"""  # noqa: S608


@dataclass(frozen=True)
class World:
    """A store that holds history, corrections and labels."""

    settings: Settings

    @property
    def database(self) -> sa.Engine:
        return get_engine(self.settings)

    def training_set(self, cache: Path | None) -> TrainingSet:
        return read_training_set(self.database, load_use_case(JOIN, self.settings), ASKED, cache=cache)

    def read_naive(self) -> pa.Table:
        """The correlated subquery, read by the fastest reader there is, straight to Arrow."""
        return self.connectorx(NAIVE)

    def read_pandas(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """What the training set is made of, by pandas.read_sql with PyMySQL; not joined yet."""
        made = sa.create_engine(build_database_url(self.settings).set(drivername="mysql+pymysql"))
        try:
            with made.connect() as connection:
                return tuple(pd.read_sql(sa.text(_known(table)), connection) for table in (LABEL, FACTS))  # type: ignore[return-value]
        finally:
            made.dispose()

    def connectorx(self, statement: str) -> pa.Table:
        return connectorx.read_sql(
            build_reader_address(build_database_url(self.settings)), statement, return_type="arrow"
        )


@contextmanager
def world(bench: Bench, size: Size, *, too_late: bool = True) -> Iterator[World]:
    """A store of that size: the history, then two per cent corrected, then more that must not be seen."""
    later = [(data.CORRECTED, 0.02), *([(data.TOO_LATE, 0.005)] if too_late else [])]
    folder = bench.folder / f"join_{size.rows}"
    folder.mkdir()
    columns = data.columns_of(JOIN)
    data.write_csv(folder / "labels.csv", iter([data.labels(size)]), [KEY, TIME, TARGET])
    forget(JOIN)
    data.write_use_case(bench.use_cases, JOIN, folder)
    with bench.store(JOIN, f"join_{next(_number)}") as settings:
        say(f"  loading {size.rows:,} rows of history, their corrections and {size.labels:,} labels")
        data.write_csv(folder / "facts.csv", data.snapshots(size), columns)
        loop.run_ingest(settings, JOIN, data.LOADED)
        for moment, share in later:
            data.write_csv(folder / "facts.csv", iter([data.corrections(size, share, moment.day)]), columns)
            loop.run_ingest(settings, JOIN, moment)
        # The statistics that the server's optimizer would have made by itself after a while.
        with get_engine(settings).connect() as connection:
            connection.exec_driver_sql(f"ANALYZE TABLE {FACTS}, {LABEL}").all()
        time.sleep(_UNTOUCHED_SECONDS)
        yield World(settings)


def measure(bench: Bench, made: World, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way to the same joined rows, and of reading the parts with pandas."""
    memory = in_duckdb(made)
    warm = bench.folder / "warm"
    found = made.training_set(warm).table
    say("  the same rows from every way?")
    assert_same(found, made.read_naive(), "the correlated subquery")
    for name, statement in (
        ("ASOF JOIN", DUCKDB),
        ("last versions", DUCKDB_LAST),
        ("keys first", DUCKDB_LATE),
    ):
        assert_same(found, in_arrow(memory, statement), f"DuckDB, {name}")
    assert_same(found, made.training_set(warm).table, "the second read")
    del found
    say("  the point-in-time join, and reading its parts with pandas")
    taken = alternate(
        {
            **ours(bench, made, warm),
            "DuckDB": lambda: seconds(lambda: in_arrow(memory, DUCKDB)),
            "DuckDB, last versions": lambda: seconds(lambda: in_arrow(memory, DUCKDB_LAST)),
            "DuckDB, keys first": lambda: seconds(lambda: in_arrow(memory, DUCKDB_LATE)),
            "correlated subquery": lambda: seconds(made.read_naive),
            "pandas read_sql": lambda: seconds(made.read_pandas),
        },
        rounds,
    )
    memory.close()
    return taken


def measure_ours(bench: Bench, made: World, rounds: int) -> dict[str, list[float]]:
    """Seconds of the store's own join, cold and warm."""
    warm = bench.folder / f"warm_{next(_number)}"
    made.training_set(warm)
    return alternate(ours(bench, made, warm), rounds)


def ours(bench: Bench, made: World, warm: Path) -> dict[str, Callable[[], float]]:
    """The store's own join as two contenders: nothing read before, and nothing changed since (in `warm`)."""
    return {
        "cold": lambda: cold(bench, made),
        "warm": lambda: seconds(lambda: made.training_set(warm).table),
    }


def cold(bench: Bench, made: World) -> float:
    """Seconds of a training set of which nothing was read before."""
    folder = bench.folder / f"cold_{next(_number)}"
    try:
        return seconds(lambda: made.training_set(folder).table)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def in_duckdb(made: World) -> Any:
    """The same rows in DuckDB's memory, in the order in which the store holds them."""
    memory = duckdb.connect()
    facts, label = (made.connectorx(f"SELECT * FROM {table}") for table in (FACTS, LABEL))  # noqa: S608
    memory.register("given_facts", facts)
    memory.register("given_label", label)
    memory.execute(f"CREATE TABLE facts AS FROM given_facts ORDER BY {KEY}, {TIME}, ingested_at")
    memory.execute(f"CREATE TABLE label AS FROM given_label WHERE ingested_at <= {_MOMENT}")
    memory.execute(
        f"CREATE TABLE last_facts AS SELECT * FROM facts WHERE ingested_at <= {_MOMENT} QUALIFY"  # noqa: S608
        f" row_number() OVER (PARTITION BY {KEY}, {TIME} ORDER BY ingested_at DESC) = 1"
        f" ORDER BY {KEY}, {TIME}"
    )
    return memory


def in_arrow(memory: Any, statement: str) -> pa.Table:
    return memory.sql(statement).to_arrow_table()


def assert_same(ours: pa.Table, theirs: pa.Table, who: str) -> None:
    """Raise SystemExit unless both hold the same rows; their order and their column types may differ."""
    if ours.num_rows != theirs.num_rows:
        raise SystemExit(f"the store's join gives {ours.num_rows} rows, {who} {theirs.num_rows}")
    left, right = (_plain(table) for table in (ours, theirs))
    for name in COLUMNS:
        differs = (left[name] != right[name]) & ~(np.isnan(left[name]) & np.isnan(right[name]))
        if differs.any():
            place = int(np.argmax(differs))
            raise SystemExit(
                f"{who} gives other rows than the store's join: {name} differs in {differs.sum()},"
                f" first of {KEY} {left[KEY][place]:.0f}: {right[name][place]}, ours {left[name][place]}"
            )


def _plain(table: pa.Table) -> dict[str, np.ndarray]:
    """Each column as float64 (moments in microseconds, NaN for missing), by key and time."""
    columns: dict[str, np.ndarray] = {}
    for name in COLUMNS:
        column = table[name].combine_chunks()
        if pa.types.is_timestamp(column.type):
            column = pc.cast(pc.cast(column, pa.timestamp("us", tz=column.type.tz)), pa.int64())
        columns[name] = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    order = np.lexsort((columns[TIME], columns[KEY]))
    return {name: values[order] for name, values in columns.items()}


def _known(table: str) -> str:
    return f"SELECT * FROM {table} WHERE ingested_at <= {_MOMENT}"  # noqa: S608
