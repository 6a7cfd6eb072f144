"""Writing: a validated ingest into history and online table, against LOAD DATA LOCAL and pandas to_sql."""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow.csv
import sqlalchemy as sa
from benchmarks.common.server import Bench
from benchmarks.common.timing import alternate, say, seconds
from benchmarks.store import data
from benchmarks.store.data import KEY, TIME, VIEW, WIDE, Size

from evergreen.loop import ingest as loop
from evergreen.loop.ingest_results import LoadResult
from evergreen.settings import Settings
from evergreen.store.connection.database import build_database_url, get_bulk_engine, get_engine

HISTORY, ONLINE = f"{WIDE}__{VIEW}", f"{WIDE}__{VIEW}__online"
_LABELS = 1000  # the label is a part of every ingest; here it shall not count
_number = itertools.count(1)


def write_files(bench: Bench, size: Size) -> Path:
    """facts.csv in the order of time, sorted.csv by primary key, and few labels; declared as `bench_wide`."""
    folder = bench.folder / f"wide_{size.rows}"
    folder.mkdir(exist_ok=True)
    columns = data.columns_of(WIDE)
    data.write_csv(folder / "facts.csv", data.snapshots(size), columns)
    few = Size(size.customers, size.steps, min(_LABELS, size.labels))
    data.write_csv(folder / "labels.csv", iter([data.labels(few)]), [KEY, TIME, data.TARGET])
    declare(bench, folder)
    return folder


def declare(bench: Bench, folder: Path) -> None:
    """Let `bench_wide` read that folder's files, in this process too."""
    forget(WIDE)
    data.write_use_case(bench.use_cases, WIDE, folder)


def forget(name: str) -> None:
    """Declarations are loaded once a process; the next `load` reads the file again."""
    sys.modules.pop(f"evergreen_usecases_{name}", None)


def sort_file(folder: Path) -> None:
    """sorted.csv: the rows of facts.csv by primary key."""
    table = pyarrow.csv.read_csv(folder / "facts.csv").sort_by([(KEY, "ascending"), (TIME, "ascending")])
    data.write_csv(folder / "sorted.csv", iter([table]), table.column_names)


def run_ingest(settings: Settings) -> LoadResult:
    """The verb, as `evergreen run ingest` calls it. Raises when not every row arrived."""
    return loop.run_ingest(settings, WIDE, data.LOADED)


def run_tasks(settings: Settings) -> None:
    """The same by the three tasks of the DAG, in one process."""
    run = loop.extract_source_rows(settings, WIDE, data.LOADED)["ingest_run"]
    loop.validate_staged_rows(settings, run)
    loop.load_clean_rows(settings, run)


def load_data(settings: Settings, path: Path) -> None:
    """The bare statement, into an equal history table: no check, no online table."""
    with path.open(encoding="utf-8") as file:
        columns = next(csv.reader(file))
    given = ", ".join(f"@{name}" if name in data.MISSING else f"`{name}`" for name in columns)
    missing = ", ".join(f"`{name}` = NULLIF(@{name}, '')" for name in columns if name in data.MISSING)
    with get_bulk_engine(get_engine(settings)).begin() as connection:
        connection.exec_driver_sql(
            f"LOAD DATA LOCAL INFILE %s INTO TABLE `{HISTORY}` CHARACTER SET utf8mb4 FIELDS TERMINATED BY ','"
            f" OPTIONALLY ENCLOSED BY '\"' IGNORE 1 LINES ({given}) SET ingested_at = %s, {missing}",
            (str(path), _naive(data.LOADED)),
        )


def to_sql(settings: Settings, frame: pd.DataFrame, driver: str) -> None:
    """pandas with executemany (its default), into an equal history table; the frame is in memory already."""
    made = sa.create_engine(build_database_url(settings).set(drivername=f"mysql+{driver}"))
    try:
        with made.begin() as connection:
            frame.to_sql(HISTORY, connection, if_exists="append", index=False, chunksize=10_000)
    finally:
        made.dispose()


def frame_of(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path, parse_dates=[TIME])
    return frame.assign(ingested_at=_naive(data.LOADED))


def measure(bench: Bench, size: Size, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way to write the same rows into empty tables of the same kind."""
    say(f"  writing the files of {size.rows:,} rows x {len(data.columns_of(WIDE))} columns")
    folder = write_files(bench, size)
    sort_file(folder)
    frame = frame_of(folder / "facts.csv")
    facts, ordered = folder / "facts.csv", folder / "sorted.csv"
    say("  ingest, against LOAD DATA and to_sql")
    seen: dict[str, str] = {}

    def way(name: str, work: Callable[[Settings], object]) -> Callable[[], float]:
        def once() -> float:
            with bench.store(WIDE, f"wide_{next(_number)}") as settings:
                taken = seconds(lambda: work(settings))
                if name not in seen:
                    seen[name] = fingerprint(settings, HISTORY)
                    if name in ("ingest", "three tasks"):
                        check_online(settings)
                return taken

        return once

    taken = alternate(
        {
            "ingest": way("ingest", run_ingest),
            "LOAD DATA": way("LOAD DATA", lambda settings: load_data(settings, facts)),
            "LOAD DATA sorted": way("LOAD DATA sorted", lambda settings: load_data(settings, ordered)),
            "three tasks": way("three tasks", run_tasks),
            "to_sql, PyMySQL": way("to_sql, PyMySQL", lambda settings: to_sql(settings, frame, "pymysql")),
            "to_sql, mysqlclient": way(
                "to_sql, mysqlclient", lambda settings: to_sql(settings, frame, "mysqldb")
            ),
        },
        rounds,
    )
    if len(set(seen.values())) != 1:
        raise SystemExit(f"the ways to write do not leave the same rows: {seen}")
    return taken


def measure_ours(bench: Bench, size: Size, rounds: int) -> list[float]:
    """Seconds of the ingest alone, of a history of that size."""
    write_files(bench, size)

    def once() -> float:
        with bench.store(WIDE, f"wide_{next(_number)}") as settings:
            return seconds(lambda: run_ingest(settings))

    return alternate({f"ingest of {size.rows:,} rows": once}, rounds)[f"ingest of {size.rows:,} rows"]


def fingerprint(settings: Settings, table: str, where: str = "") -> str:
    """Row count and an order-free sum over every value of a table's declared columns."""
    columns = ["ingested_at", *data.columns_of(WIDE)]
    values = ", ".join(f"COALESCE(t.`{name}`, '-')" for name in columns)
    with get_engine(settings).connect() as connection:
        found = connection.exec_driver_sql(
            f"SELECT COUNT(*), COALESCE(SUM(CRC32(CONCAT_WS('|', {values}))), 0) FROM `{table}` t {where}"  # noqa: S608
        ).one()
    return f"{found[0]} rows, sum {found[1]}"


def check_online(settings: Settings) -> None:
    """The online table holds exactly the newest row of each customer."""
    newest = (
        f"JOIN (SELECT `{KEY}`, MAX(`{TIME}`) AS newest FROM `{HISTORY}` GROUP BY `{KEY}`) m"  # noqa: S608
        f" ON m.`{KEY}` = t.`{KEY}` AND m.newest = t.`{TIME}`"
    )
    online, wanted = fingerprint(settings, ONLINE), fingerprint(settings, HISTORY, newest)
    if online != wanted:
        raise SystemExit(f"the online table does not hold the newest rows: {online}, wanted {wanted}")


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)
