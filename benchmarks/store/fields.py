"""From seconds to the figures that have a name and a target."""

from __future__ import annotations

from statistics import median

from benchmarks.common.result import Field
from benchmarks.store.measure import Measured
from benchmarks.store.online import percentile


def fields(measured: Measured) -> list[Field]:
    """Every figure of the run; those without a target are told for comparison."""
    rows, labels = measured.size.rows, measured.size.labels
    wrote = {name: median(values) for name, values in measured.written.items()}
    read = {name: median(values) for name, values in measured.read.items()}
    small = {name: median(values) for name, values in measured.read_small.items()}
    to_sql = min(wrote["to_sql, PyMySQL"], wrote["to_sql, mysqlclient"])
    alone, hundred = (percentile(measured.online[name], 50) for name in ("1", "100"))
    growth_write = wrote["ingest"] / median(measured.written_small)
    size = f"{rows:,} rows x 25 columns"
    judged = [
        Field(
            "ingest_vs_load_data",
            wrote["LOAD DATA"] / wrote["ingest"],
            f"{size}: validated ingest with online table / bare LOAD DATA LOCAL of that file",
            0.75,
        ),
        Field(
            "ingest_vs_to_sql",
            to_sql / wrote["ingest"],
            "the same / pandas to_sql with executemany, by the faster driver",
            4,
            aim=8,
        ),
        Field(
            "read_vs_pandas",
            read["pandas read_sql"] / read["cold"],
            "training set, joined / pandas read_sql with PyMySQL of its two tables, not joined",
            15,
        ),
        Field(
            "pit_labels_per_s_vs_naive",
            read["correlated subquery"] / read["cold"],
            f"{labels:,} labels x {rows:,} rows x 20 features to Arrow / the correlated subquery",
            2.5,
            part="cold",
        ),
        Field(
            "pit_labels_per_s_vs_naive",
            read["correlated subquery"] / read["warm"],
            "the same, when nothing changed since the last read",
            8,
            part="warm",
        ),
        Field(
            "pit_vs_duckdb_asof",
            read["DuckDB"] / read["cold"],
            "the same / DuckDB's ASOF JOIN of the same rows in memory",
            0.3,
            part="cold",
        ),
        Field(
            "pit_vs_duckdb_asof",
            read["DuckDB"] / read["warm"],
            "the same, when nothing changed since the last read",
            0.8,
            part="warm",
        ),
        Field(
            "online_1_p50_ms", alone, f"one of {measured.size.customers:,} keys x 20 features, milliseconds"
        ),
        Field("online_100_p50_ms", hundred, "100 of them in one call, milliseconds"),
        Field("online_100_vs_single", hundred / alone, "100 keys in one call / 1 key", 3, at_most=True),
        Field(
            "peak_rss_mb",
            measured.memory["peak_rss_mb"],
            f"of a process that ingests a CSV of {measured.memory['rows']:,} rows",
            500,
            at_most=True,
        ),
        Field(
            "growth_ingest",
            growth_write,
            f"ingest of {rows:,} rows / of {measured.small.rows:,}",
            11,
            at_most=True,
        ),
        Field(
            "growth_join",
            read["cold"] / small["cold"],
            f"cold join with {rows:,} rows of history / with {measured.small.rows:,}",
            10,
            at_most=True,
        ),
        Field(
            "growth_join_warm",
            read["warm"] / small["warm"],
            "the same, when nothing changed since the last read",
            10,
            at_most=True,
        ),
        Field(
            "migration_longest_wait_s",
            measured.migration["longest_wait_seconds"],
            f"the longest insert while the columns of a log of {measured.migration['rows']:,} rows change",
            1,
            at_most=True,
        ),
        Field(
            "migration_rows_lost",
            measured.migration["rows_lost"],
            f"of those and {measured.migration['inserts_meanwhile']:,} inserted meanwhile",
            0,
            at_most=True,
        ),
    ]
    return [*judged, *_told(measured, wrote, read)]


def _told(measured: Measured, wrote: dict[str, float], read: dict[str, float]) -> list[Field]:
    rows, labels = measured.size.rows, measured.size.labels
    return [
        Field("ingest_rows_per_s", rows / wrote["ingest"], "validated ingest, one process"),
        Field(
            "ingest_tasks_rows_per_s",
            rows / wrote["three tasks"],
            "the same by extract, validate and load, through MariaDB",
        ),
        Field(
            "load_data_rows_per_s",
            rows / wrote["LOAD DATA"],
            "bare LOAD DATA LOCAL of the file, in the order of time",
        ),
        Field(
            "load_data_sorted_rows_per_s",
            rows / wrote["LOAD DATA sorted"],
            "of the same rows sorted by primary key beforehand (not counted)",
        ),
        Field(
            "ingest_vs_load_data_sorted",
            wrote["LOAD DATA sorted"] / wrote["ingest"],
            "ingest of the unsorted file / that",
        ),
        Field("to_sql_rows_per_s", rows / wrote["to_sql, PyMySQL"], "PyMySQL", part="pymysql"),
        Field("to_sql_rows_per_s", rows / wrote["to_sql, mysqlclient"], "mysqlclient", part="mysqlclient"),
        Field(
            "memory_ingest_rows_per_s",
            measured.memory["rows"] / measured.memory["seconds"],
            f"ingest of {measured.memory['rows']:,} rows",
        ),
        Field("pit_labels_per_s", labels / read["cold"], "from MariaDB to Arrow", part="cold"),
        Field("pit_labels_per_s", labels / read["warm"], "nothing changed since the last read", part="warm"),
        Field(
            "duckdb_labels_per_s",
            labels / read["DuckDB"],
            "ASOF JOIN of the last versions by QUALIFY: the same rows as ours",
            part="asof",
        ),
        Field(
            "duckdb_labels_per_s",
            labels / read["DuckDB, last versions"],
            "ASOF JOIN alone, of last versions kept beforehand",
            part="last_versions",
        ),
        Field(
            "duckdb_labels_per_s",
            labels / read["DuckDB, keys first"],
            "joined on keys and clocks, then the values fetched, by hand",
            part="keys_first",
        ),
        Field("pandas_rows_per_s", (rows + labels) / read["pandas read_sql"], "read_sql with PyMySQL"),
        Field("migration_s", measured.migration["seconds"], "the whole migration of that log"),
        Field("online_1_p99_ms", percentile(measured.online["1"], 99), "one key, milliseconds"),
        Field("online_100_p99_ms", percentile(measured.online["100"], 99), "100 keys, milliseconds"),
    ]
