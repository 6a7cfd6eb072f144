"""The store by mysqlclient and by PyMySQL alone: the same sessions, errors and rows; real MariaDB."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from evergreen.drivers.keepalive import find_descriptor
from evergreen.errors import StoreUnreachable
from evergreen.ingest.loading.bulk import load_rows, write_rows
from evergreen.ingest.loading.load import load_parts
from evergreen.settings import Settings
from evergreen.stack.processes.ports import find_free_port
from evergreen.store.connection import database as database_module
from evergreen.store.connection.database import (
    can_send_files,
    dispose_engines,
    get_bulk_engine,
    get_engine,
    get_error_code,
    get_fast_engine,
    get_request_engine,
)
from evergreen.store.online.vectors import read_online_features
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.load import load_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.tables.evolve import apply_declaration, diff_tables
from evergreen.usecase import Feature, UseCase
from support.drivers import write_missing_mysqlclient
from support.own_servers import Database
from support.toy_schema import FACTS, LOG, declaring, rows

pytestmark = pytest.mark.usefixtures("drivers")

ID = "019eb000-0000-7000-8000-00000000000"


def engines_of(settings: Settings) -> dict[str, sa.Engine]:
    ordinary = get_engine(settings)
    return {
        "ordinary": ordinary,
        "fast": get_fast_engine(ordinary),
        "bulk": get_bulk_engine(ordinary),
    }


def test_each_engine_has_its_driver_and_one_alone_sends_files(settings: Settings, drivers: str) -> None:
    engines = engines_of(settings)
    other = "mysqldb" if drivers == "mysqlclient" else "pymysql"
    assert {kind: engine.driver for kind, engine in engines.items()} == {
        "ordinary": "pymysql",
        "fast": other,
        "bulk": other,
    }
    assert [kind for kind, engine in engines.items() if can_send_files(engine)] == ["bulk"]
    # From whichever of them one asks, it is the same one.
    assert all(get_bulk_engine(engine) is engines["bulk"] for engine in engines.values())
    assert all(get_fast_engine(engine) is engines["fast"] for engine in engines.values())


def test_sessions_are_the_same(settings: Settings) -> None:
    question = "SELECT @@time_zone, @@sql_mode, @@max_error_count, @@character_set_client, @@autocommit"
    question += ", @@collation_connection, @@tx_isolation"
    answers = {kind: rows(engine, question) for kind, engine in engines_of(settings).items()}
    assert answers["ordinary"][0][:5] == (
        "+00:00",
        "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
        64,
        "utf8mb4",
        0,
    )
    assert answers["fast"] == answers["bulk"] == answers["ordinary"]


@pytest.mark.parametrize(
    ("statement", "error", "code"),
    [
        ("INSERT INTO fact VALUES (1, 'a')", sa.exc.IntegrityError, 1062),
        ("INSERT INTO fact VALUES (NULL, 'a')", sa.exc.IntegrityError, 1048),
        ("INSERT INTO fact VALUES (2, 'abcd')", sa.exc.DataError, 1406),
        ("INSERT INTO fact VALUES (99999999999, 'a')", sa.exc.DataError, 1264),
        ("SELECT * FROM nothing", sa.exc.ProgrammingError, 1146),
        ("SELEKT", sa.exc.ProgrammingError, 1064),
        # The one class that differs: it is an OperationalError of mysqlclient.
        ("INSERT INTO fact VALUES ('many', 'a')", (sa.exc.DataError, sa.exc.OperationalError), 1366),
    ],
)
def test_errors_have_the_same_class_code_and_no_values(
    settings: Settings, statement: str, error: type[Exception] | tuple[type[Exception], ...], code: int
) -> None:
    for engine in engines_of(settings).values():
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE OR REPLACE TABLE fact (id INT PRIMARY KEY, word VARCHAR(3))")
            connection.exec_driver_sql("INSERT INTO fact VALUES (1, 'a')")
            with pytest.raises(error) as raised:
                connection.exec_driver_sql(statement)
        assert get_error_code(raised.value) == code
        assert "many" not in str(raised.value.orig)


def test_a_read_that_a_request_waits_for_ends_after_seconds(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispose_engines(settings)
    monkeypatch.setattr(database_module, "_REQUEST_SECONDS", 1)
    with (
        get_request_engine(get_engine(settings)).connect() as connection,
        pytest.raises(StoreUnreachable),
    ):
        connection.exec_driver_sql("SELECT SLEEP(20)")
    dispose_engines(settings)


def test_connections_over_the_network_notice_that_the_other_end_has_gone(settings: Settings) -> None:
    for engine in engines_of(settings).values():
        with engine.connect() as connection:
            handle = find_descriptor(connection.connection.driver_connection)
            assert handle is not None
            with socket.socket(fileno=os.dup(handle)) as copy:
                if copy.family == socket.AF_UNIX:
                    continue
                assert copy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                idle = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
                assert idle < copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000 <= 300


def test_a_server_that_is_not_there_or_refuses_is_told(settings: Settings, tmp_path: Path) -> None:
    by_port = settings.model_copy(update={"mariadb_socket": None})
    faults = {
        "does not answer": by_port.model_copy(update={"mariadb_port": find_free_port()}),
        "does not answer: .*": settings.model_copy(update={"mariadb_socket": tmp_path / "no.sock"}),
        "refuses us: Access denied": by_port.model_copy(
            update={"mariadb_password": SecretStr("pass wörd €")}
        ),
        "refuses us: .*elsewhere": settings.model_copy(update={"mariadb_database": "elsewhere"}),
    }
    for message, wrong in faults.items():
        try:
            for engine in engines_of(wrong).values():
                with pytest.raises(StoreUnreachable, match=message):
                    engine.connect()
        finally:
            dispose_engines(wrong)


def test_a_connection_that_the_server_ends_is_told_and_replaced(settings: Settings) -> None:
    for engine in engines_of(settings).values():
        with engine.connect() as connection:
            number = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
            with get_engine(settings).connect() as other:
                other.exec_driver_sql(f"KILL {number}")
            with pytest.raises(StoreUnreachable):
                connection.exec_driver_sql("DO SLEEP(5)")
        assert rows(engine, "SELECT 1") == [(1,)]


def test_a_password_of_any_letters_is_sent_as_utf_8(mariadb: Database, settings: Settings) -> None:
    name, password = "letters", "pass wörd €"
    mariadb.administer(
        f"CREATE OR REPLACE USER {name}@localhost IDENTIFIED BY '{password}'",
        f"GRANT ALL ON {settings.mariadb_database}.* TO {name}@localhost",
    )
    other = settings.model_copy(update={"mariadb_user": name, "mariadb_password": SecretStr(password)})
    try:
        for engine in engines_of(other).values():
            assert rows(engine, "SELECT CURRENT_USER()") == [("letters@localhost",)]
    finally:
        dispose_engines(other)
        mariadb.administer(f"DROP USER {name}@localhost")


@pytest.mark.parametrize("sent", [True, False])
def test_rows_of_a_file_arrive_whether_or_not_the_server_takes_files(
    mariadb: Database, settings: Settings, tmp_path: Path, sent: bool
) -> None:
    table = pa.table({"id": [1, 2], "word": ["a,'\"\\\n%s 😀", None], "price": [0.1, None]})
    file = write_rows(table, tmp_path / "rows.csv")
    mariadb.administer(f"SET GLOBAL local_infile = {int(sent)}")
    try:
        with get_bulk_engine(get_engine(settings)).begin() as connection:
            connection.exec_driver_sql("CREATE TABLE fact (id BIGINT, word VARCHAR(20), price DOUBLE)")
            load_rows(connection, "fact", file)
            inserts = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Com_insert'").one()[1]
    finally:
        mariadb.administer("SET GLOBAL local_infile = 1")
    assert rows(get_engine(settings), "SELECT * FROM fact ORDER BY id") == [
        (1, "a,'\"\\\n%s 😀", 0.1),
        (2, None, None),
    ]
    assert (int(inserts) == 0) == sent


def test_an_ingest_an_evolution_and_reads_by_key(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Callable[..., dict[str, pd.DataFrame]]
) -> None:
    frames = toy_frames(60)
    run = start_ingest(database, toy_use_case, datetime(2026, 7, 1, tzinfo=UTC))
    load_parts(database, toy_use_case, run.id, frames)
    assert rows(database, f"SELECT COUNT(*) FROM {FACTS}") == [(60,)]
    newest = frames["facts"].sort_values("event_time").groupby("client_id").last()
    keys = [(int(key),) for key in newest.index]
    vectors = read_online_features(database, toy_use_case, [*keys, (-1,)])
    assert list(vectors) == keys
    for (key,), vector in vectors.items():
        assert vector["age"] == newest.loc[key, "age"]
        assert vector["mood"] == newest.loc[key, "mood"]
    grown = declaring(toy_use_case, Feature("height", "float", ""))
    assert {change.kind for change in apply_declaration(database, grown)} == {"add"}
    assert diff_tables(database, grown) == []
    assert read_online_features(database, grown, keys[:1])[keys[0]]["height"] is None


def test_predictions_are_inserted_and_loaded_alike(database: sa.Engine, toy_use_case: UseCase) -> None:
    inputs: dict[str, Any] = {"client_id": 2**62, "age": 30, "spend": 1e-300, "mood": "so\\, 'so'\n😀"}
    first, second = (PredictionRow(f"{ID}{n}", 1, "online", inputs, "yes", 0.75, {"yes": 0.75}) for n in "12")
    assert insert_predictions(database, toy_use_case, [first]) == 1
    assert load_predictions(database, toy_use_case, [first, second]) == 1
    names = "client_id, age, spend, mood, prediction, probability, probabilities, model_version"
    (one, two) = rows(database, f"SELECT {names} FROM {LOG} ORDER BY prediction_id")
    assert one == two
    assert one[:4] == tuple(inputs.values())


def test_every_module_is_there_without_mysqlclient(tmp_path: Path, drivers: str) -> None:
    """No module of the package imports it where it is needed only for speed."""
    if drivers == "mysqlclient":
        pytest.skip("the other one says it")
    code = (
        "import evergreen.cli.registry, evergreen.stack.servers.probes, evergreen.loop.monitor\n"
        "import evergreen.usecases.credit_score.bank, evergreen.serving.predictions.shipper"
    )
    environment = write_missing_mysqlclient(tmp_path / "hidden")
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
