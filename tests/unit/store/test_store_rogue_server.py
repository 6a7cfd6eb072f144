"""Whoever answers in MariaDB's place reads no file of ours: a server that asks for one gets none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from evergreen.errors import SourceUnreachable, StoreUnreachable
from evergreen.ingest.loading.bulk import load_rows, write_rows
from evergreen.settings import Settings
from evergreen.sources import sql
from evergreen.store.connection import arrow
from evergreen.store.connection.database import dispose_engines, get_bulk_engine, get_engine
from evergreen.usecase import SqlSource
from support.rogue_server import RogueServer, rogue_server
from support.waiting import eventually

NOW = datetime(2026, 7, 1, tzinfo=UTC)
SECRET = b"AIRFLOW_FERNET_KEY=..."


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "stack.env"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def rogue(secret: Path) -> Iterator[RogueServer]:
    with rogue_server(secret) as server:
        yield server


@pytest.fixture
def settings(rogue: RogueServer, tmp_path: Path) -> Iterator[Settings]:
    made = Settings(home=tmp_path, mariadb_port=rogue.port, mariadb_password=SecretStr("password"))
    yield made
    dispose_engines(made)


def load_a_row(database: sa.Engine, folder: Path) -> None:
    """As an ingest loads."""
    file = write_rows(pa.table({"a": [1]}), folder / "rows.csv")
    with get_bulk_engine(database).begin() as connection:
        load_rows(connection, "facts", file)


def test_a_connection_of_the_store_sends_nothing(settings: Settings, rogue: RogueServer) -> None:
    with pytest.raises(StoreUnreachable, match="asked for a file of ours") as raised:
        get_engine(settings).connect()
    assert "not the MariaDB that you mean" in raised.value.hint
    assert rogue.questions
    assert rogue.received == b""


@pytest.mark.usefixtures("drivers")
def test_an_ingest_sends_nothing_to_a_server_that_anybody_could_be(
    settings: Settings, rogue: RogueServer, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnreachable):
        load_a_row(get_engine(settings), tmp_path)
    assert rogue.questions
    assert rogue.received == b""


@pytest.mark.parametrize("option", ["", "?local_infile=1"])
@pytest.mark.parametrize("driver", ["mysqldb", "pymysql"])
def test_a_source_sends_nothing_whatever_its_url_says(rogue: RogueServer, driver: str, option: str) -> None:
    address = f"mysql+{driver}://u:p@127.0.0.1:{rogue.port}/shop{option}"
    source = SqlSource(address, "SELECT 1 FROM facts")
    rows = sql.read_query_batches(
        source, sql.parse_url(address), start=NOW, end=NOW, batch_rows=1, batch_bytes=1
    )
    with pytest.raises(SourceUnreachable):
        list(rows)
    assert rogue.questions
    assert rogue.received == b""


def test_the_reader_of_whole_tables_sends_nothing(settings: Settings, rogue: RogueServer) -> None:
    """In a process of its own: it tries for half a minute, in threads that nobody can end."""
    code = "import connectorx, sys; connectorx.read_sql(sys.argv[1], 'SELECT 1', return_type='arrow')"
    reader = subprocess.Popen(
        [sys.executable, "-c", code, arrow.build_reader_address(get_engine(settings).url)],
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: bool(rogue.questions))
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(1)  # it has the rogue's answer by now, and sends nothing
        assert rogue.received == b""
    finally:
        reader.kill()
        reader.wait()


@pytest.mark.usefixtures("drivers")
def test_the_file_is_sent_only_where_somebody_has_said_so(
    settings: Settings, rogue: RogueServer, tmp_path: Path
) -> None:
    """What the tests above would find. It is the bulk connection's own risk, and why it must be allowed."""
    allowed = settings.model_copy(update={"mariadb_local_infile": "on"})
    try:
        with pytest.raises(StoreUnreachable):
            get_engine(allowed).connect()
        assert rogue.received == b""
        with pytest.raises(Exception, match=r"\w"):
            load_a_row(get_engine(allowed), tmp_path)
        assert SECRET in rogue.received
    finally:
        dispose_engines(allowed)


@pytest.mark.usefixtures("drivers")
def test_a_socket_where_anybody_may_put_one_is_no_proof(secret: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    place = shared / "mariadb.sock"
    with rogue_server(secret, at=place) as rogue:
        made = Settings(home=tmp_path, mariadb_socket=place)
        try:
            with pytest.raises(StoreUnreachable):
                load_a_row(get_engine(made), tmp_path)
            assert rogue.questions
            assert rogue.received == b""
            shared.chmod(0o700)
            dispose_engines(made)
            with pytest.raises(Exception, match=r"\w"):
                load_a_row(get_engine(made), tmp_path)
            assert SECRET in rogue.received
        finally:
            dispose_engines(made)


@pytest.mark.parametrize("required", [{"mariadb_tls": True}, {"mariadb_tls_ca": Path("authority.pem")}])
@pytest.mark.usefixtures("drivers")
def test_a_server_without_tls_gets_neither_password_nor_file_where_tls_is_required(
    secret: Path, tmp_path: Path, required: dict[str, object]
) -> None:
    (tmp_path / "authority.pem").touch()
    with rogue_server(secret, ask_for_password=True) as rogue:
        plain = Settings(home=tmp_path, mariadb_port=rogue.port, mariadb_password=SecretStr("password"))
        proven = plain.model_copy(update={**required, "mariadb_local_infile": "on"})
        try:
            with pytest.raises(StoreUnreachable, match="does not prove over TLS who it is"):
                get_engine(proven).connect()
            with pytest.raises(StoreUnreachable, match="does not prove over TLS who it is"):
                get_bulk_engine(get_engine(proven)).connect()
            assert rogue.passwords == []
            assert rogue.received == b""
            with pytest.raises(StoreUnreachable):
                get_engine(plain).connect()
            assert rogue.passwords == [b"password\x00"]
        finally:
            dispose_engines(plain)
            dispose_engines(proven)
