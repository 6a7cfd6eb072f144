"""Loads into a real MariaDB that fail, are killed, meet each other, or bring what the store cannot take."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from evergreen.errors import StoreError, StoreUnreachable
from evergreen.ingest import staging
from evergreen.ingest.loading import load as ingest
from evergreen.ingest.loading.bulk import load_rows, write_rows
from evergreen.settings import Settings
from evergreen.store.connection.database import get_bulk_engine
from evergreen.store.history.training_set import read_training_set
from evergreen.store.records.ingest_run import get_ingest, start_ingest, update_ingest
from evergreen.store.tables.create import create_tables
from evergreen.store.tables.forget import erase_use_case
from evergreen.usecase import UseCase
from support.own_servers import Database
from support.toy_loads import DAY, JULY, content, load

Frames = Callable[..., dict[str, pd.DataFrame]]


@pytest.mark.parametrize(
    ("filled", "step"),
    [
        *((False, step) for step in ("load_rows", "update_ingest", "combine_digests")),
        *(
            (True, step)
            for step in ("insert_changed_rows", "count_stored_rows", "refresh_online_table", "update_ingest")
        ),
    ],
)
def test_a_load_that_fails_anywhere_leaves_what_was_there(
    database: sa.Engine,
    toy_use_case: UseCase,
    toy_frames: Frames,
    monkeypatch: pytest.MonkeyPatch,
    filled: bool,
    step: str,
) -> None:
    """Into an empty table rows go straight, into a filled one by comparison."""

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("forced")

    if filled:
        load(database, toy_use_case, JULY - DAY, toy_frames(12, seed=2))
    before = content(database, toy_use_case)
    with monkeypatch.context() as patch:
        patch.setattr(ingest, step, fail)
        with pytest.raises(RuntimeError, match="forced"):
            load(database, toy_use_case, JULY, toy_frames(30))
    assert content(database, toy_use_case) == before
    assert load(database, toy_use_case, JULY, toy_frames(30))["facts"] == 30


def test_a_connection_that_dies_half_way_leaves_nothing(
    database: sa.Engine,
    toy_use_case: UseCase,
    toy_frames: Frames,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hang_up(connection: sa.Connection, *args: object, **values: object) -> None:
        own = connection.execute(sa.text("SELECT CONNECTION_ID()")).scalar_one()
        with database.connect() as other:
            other.exec_driver_sql(f"KILL {own}")
        update_ingest(connection, *args, **values)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "update_ingest", hang_up)
        with pytest.raises(StoreUnreachable):
            load(database, toy_use_case, JULY, toy_frames(30))
    assert not any(content(database, toy_use_case).values())
    assert load(database, toy_use_case, JULY, toy_frames(30))["facts"] == 30


def test_a_killed_load_leaves_nothing_and_a_rerun_gives_the_rows_of_a_clean_run(
    database: sa.Engine, settings: Settings, toy_use_case: UseCase, toy_frames: Frames, tmp_path: Path
) -> None:
    frames = toy_frames(60)
    run = start_ingest(database, toy_use_case, JULY)
    for part, frame in frames.items():
        staging.append_staged_rows(
            database, run.id, part, 0, pa.Table.from_pandas(frame, preserve_index=False)
        )
    script = f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        import pyarrow as pa
        from support import toy_declaration
        from evergreen.settings import load_settings
        from evergreen.ingest import staging
        from evergreen.ingest.loading import load as ingest
        from evergreen.store.connection.database import get_bulk_engine, get_engine

        def stop_here(*args, **kwargs):
            print("all rows are written, nothing is committed", flush=True)
            time.sleep(60)

        ingest.update_ingest = stop_here
        database = get_engine(load_settings())
        frames = {{
            part: pa.concat_tables(staging.read_staged_batches(database, {run.id!r}, part))
            for part in ("facts", "label")
        }}
        ingest.load_parts(database, toy_declaration.USE_CASE, {run.id!r}, frames)
    """
    environment = {
        "TMPDIR": str(tmp_path),  # what a killed process leaves goes with the test
        "EVERGREEN_HOME": str(tmp_path / "nowhere"),
        "EVERGREEN_MARIADB_SOCKET": str(settings.mariadb_socket),
        "EVERGREEN_MARIADB_PASSWORD": settings.mariadb_password.get_secret_value(),
        "EVERGREEN_MARIADB_DATABASE": settings.mariadb_database,
    }
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("all rows are written")
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=30)
    assert not any(content(database, toy_use_case).values())
    assert get_ingest(database, run.id).status == "extracting"
    staged = {part: pa.concat_tables(staging.read_staged_batches(database, run.id, part)) for part in frames}
    ingest.load_parts(database, toy_use_case, run.id, staged)
    after_the_kill = content(database, toy_use_case)
    assert list(staging.read_staged_batches(database, run.id, "facts")) == []

    erase_use_case(database, toy_use_case)
    create_tables(database, toy_use_case)
    load(database, toy_use_case, JULY, frames)
    assert content(database, toy_use_case) == after_the_kill
    assert len(after_the_kill["toy__facts"]) == 60


def test_loads_at_the_same_time_wait_for_each_other(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames
) -> None:
    frames = toy_frames(60)

    def one(day: int) -> dict[str, int]:
        return load(database, toy_use_case, JULY + (day % 2) * DAY, frames)

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(one, range(4)))
    rows = content(database, toy_use_case)
    assert len(rows["toy__facts__online"]) == 10
    # Whichever moment came first, each row is known as of the later one.
    assert len(read_training_set(database, toy_use_case, JULY + DAY).frame) == 60
    assert max(count["facts"] for count in counts) == 60


def test_without_local_infile_the_rows_are_the_same(
    mariadb: Database, database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames
) -> None:
    frames = toy_frames(60)
    load(database, toy_use_case, JULY, frames)
    usual = content(database, toy_use_case)
    erase_use_case(database, toy_use_case)
    create_tables(database, toy_use_case)
    mariadb.administer("SET GLOBAL local_infile = 0")
    try:
        assert load(database, toy_use_case, JULY, frames) == {"facts": 60, "label": 60}
    finally:
        mariadb.administer("SET GLOBAL local_infile = 1")
    assert content(database, toy_use_case) == usual


def test_a_value_that_does_not_fit_stops_the_load(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames
) -> None:
    frames = toy_frames(30)
    frames["facts"].loc[3, "mood"] = "x" * 300
    with pytest.raises(StoreError, match=r"toy__facts does not take the rows as they are: .*mood"):
        load(database, toy_use_case, JULY, frames)
    assert not any(content(database, toy_use_case).values())


def test_a_server_that_tells_no_warnings_still_tells_of_bent_values(
    mariadb: Database, database: sa.Engine, tmp_path: Path
) -> None:
    mariadb.administer("SET @@GLOBAL.max_error_count = 0")
    sender = get_bulk_engine(database)
    sender.dispose()
    try:
        with sender.begin() as connection:
            connection.exec_driver_sql("CREATE TEMPORARY TABLE narrow (a TINYINT, b VARCHAR(3))")
            file = write_rows(pa.table({"a": [1, 1000], "b": ["x", "long"]}), tmp_path / "rows.csv")
            with pytest.raises(StoreError, match="does not take the rows as they are"):
                load_rows(connection, "narrow", file)
    finally:
        mariadb.administer("SET @@GLOBAL.max_error_count = DEFAULT")


def test_bent_values_are_told_where_rows_are_inserted_too(database: sa.Engine, tmp_path: Path) -> None:
    with database.begin() as connection:  # which sends no files
        connection.exec_driver_sql("CREATE TEMPORARY TABLE narrow (a TINYINT, b VARCHAR(3))")
        file = write_rows(pa.table({"a": [1, 1000], "b": ["x", "long"]}), tmp_path / "rows.csv")
        with pytest.raises(StoreError, match="does not take the rows as they are"):
            load_rows(connection, "narrow", file)


def test_frames_without_their_columns_or_of_no_part_are_refused(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames
) -> None:
    with pytest.raises(StoreError, match="no column age"):
        load(database, toy_use_case, JULY, {"facts": toy_frames(6)["facts"].drop(columns="age")})
    with pytest.raises(StoreError, match="no part other"):
        load(database, toy_use_case, JULY, {"other": toy_frames(6)["facts"]})


def test_staged_tables_come_back_in_chunks(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.Table.from_pandas(toy_frames(500)["facts"], preserve_index=False)
    run = start_ingest(database, toy_use_case, JULY)
    monkeypatch.setattr(staging, "CHUNK_BYTES", 6000)
    chunk = 0
    for start in (0, 200, 400):
        chunk = staging.append_staged_rows(database, run.id, "facts", chunk, table.slice(start, 200))
    assert chunk > 3
    assert staging.append_staged_rows(database, run.id, "nothing", 0, table.slice(0, 0)) == 1
    with database.connect() as connection:
        counted = connection.execute(
            sa.text("SELECT COUNT(*), SUM(row_count) FROM ingest_batch WHERE part = 'facts'")
        ).one()
    assert tuple(counted) == (chunk, 500)
    assert pa.concat_tables(staging.read_staged_batches(database, run.id, "facts")).equals(table)
    [empty] = staging.read_staged_batches(database, run.id, "nothing")
    assert empty.equals(table.slice(0, 0))
    assert list(staging.read_staged_batches(database, run.id, "other")) == []
