"""How long writers wait while the platform's columns of a large prediction log change.

A prediction log as the first versions had it is made, filled and migrated: `channel` becomes text, so that it
takes a new value, and two columns are added, one nullable and one that every row has. One thread inserts a
row every few milliseconds meanwhile.
"""

from __future__ import annotations

import threading
import time
from statistics import median
from typing import Any

import sqlalchemy as sa
from benchmarks.common.server import Bench
from sqlalchemy.dialects import mysql

from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.generated_migrations import MIGRATIONS, AddColumn, GeneratedMigration
from evergreen.store.migrations.migrate_generated import migrate_generated_tables
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

USE_CASE = "credit_score"
_PAUSE_SECONDS = 0.003
_WRITER_ALONE_SECONDS = 2.0
_DAYS = 30
_TEXT = mysql.VARCHAR(32, charset="ascii")
_NEW_COLUMNS = (
    AddColumn(sa.Column("trace", _TEXT, nullable=True)),
    AddColumn(sa.Column("origin", _TEXT, nullable=False, server_default="unknown")),
)


class Writer:
    """Inserts rows in a thread of its own, and keeps how long each took."""

    def __init__(self, engine: sa.Engine, table: str) -> None:
        self._engine, self._insert = engine, _build_insert(table)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.waits: list[float] = []

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            started = time.perf_counter()
            with self._engine.begin() as connection:
                connection.exec_driver_sql(self._insert)
            self.waits.append(time.perf_counter() - started)
            self._stop.wait(_PAUSE_SECONDS)


def _build_insert(table: str) -> str:
    return (
        f"INSERT INTO `{table}` (prediction_id, predicted_at, model_version, channel, prediction)"  # noqa: S608
        " VALUES (UUID(), NOW(6), 1, 'canary', 0.5)"
    )


def make_old_log(engine: sa.Engine, use_case: UseCase, rows: int) -> None:
    """Give the empty log the form of the first versions, daily partitions, and rows of 30 days."""
    table = use_case.prediction_table
    days = ", ".join(
        f"PARTITION p202601{day:02} VALUES LESS THAN ('2026-01-{day + 1:02}')" for day in range(1, _DAYS + 1)
    )
    with engine.begin() as connection:
        for statement in (
            f"ALTER TABLE `{table}` DROP INDEX by_channel,"
            " MODIFY COLUMN channel ENUM('online', 'batch', 'canary') NOT NULL,"
            " ADD COLUMN actual VARCHAR(255), ADD COLUMN actual_at DATETIME(6)",
            f"ALTER TABLE `{table}` REORGANIZE PARTITION pmax INTO"
            f" ({days}, PARTITION pmax VALUES LESS THAN (MAXVALUE))",
            f"DELETE FROM generated_table_migration WHERE table_name = '{table}'",  # noqa: S608
            f"INSERT INTO `{table}` (prediction_id, predicted_at, model_version, channel, prediction,"  # noqa: S608
            " actual, actual_at)"
            f" SELECT UUID(), '2026-01-01' + INTERVAL seq * {_DAYS * 86_400 / rows:.6f} SECOND, 1,"
            " ELT(1 + MOD(seq, 3), 'online', 'batch', 'canary'), seq, IF(MOD(seq, 2), seq, NULL),"
            f" IF(MOD(seq, 2), '2026-02-01', NULL) FROM seq_1_to_{rows}",
        ):
            connection.exec_driver_sql(statement.replace("%", "%%"))


def measure(bench: Bench, rows: int) -> dict[str, Any]:
    """Migrate a log of so many rows under a writer.

    Tells the seconds of the migration and of the inserts meanwhile, and how many rows are missing afterwards.
    """
    with bench.store(USE_CASE, "bench_migration") as settings:
        engine, use_case = get_engine(settings), load_use_case(USE_CASE, settings)
        table = use_case.prediction_table
        make_old_log(engine, use_case, rows)
        added = (
            GeneratedMigration(90 + number, "prediction", step.column_names[0], (step,))
            for number, step in enumerate(_NEW_COLUMNS)
        )
        with Writer(engine, table) as writer:
            time.sleep(_WRITER_ALONE_SECONDS)
            before = len(writer.waits)
            started = time.perf_counter()
            migrate_generated_tables(engine, use_case, [*MIGRATIONS, *added])
            seconds = time.perf_counter() - started
            after = len(writer.waits)
        with engine.begin() as connection:
            connection.exec_driver_sql(_build_insert(table).replace("'canary'", "'probe'"))
            counted = connection.exec_driver_sql(f"SELECT COUNT(*) FROM `{table}`").scalar_one()  # noqa: S608
    meanwhile = writer.waits[before:after]
    return {
        "rows": rows,
        "seconds": seconds,
        "inserts_meanwhile": len(meanwhile),
        "median_wait_seconds": median(meanwhile),
        "longest_wait_seconds": max(meanwhile),
        "rows_lost": rows + len(writer.waits) + 1 - counted,
    }
