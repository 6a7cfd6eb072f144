"""MariaDB over TLS: read and loaded where the server proves its name, refused where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from evergreen.errors import StoreUnreachable
from evergreen.ingest.loading.bulk import load_rows, write_rows
from evergreen.settings import Settings
from evergreen.store.connection.arrow import read_arrow
from evergreen.store.connection.database import dispose_engines, get_bulk_engine, get_engine, get_fast_engine
from support.certificates import Certificate, make_authority, sign
from support.own_servers import Database, private_mariadb


@dataclass(frozen=True)
class Proven:
    """A server whose certificate names 127.0.0.1, and two authorities: the one that signed it and another."""

    database: Database
    certificate: Certificate
    signer: Certificate
    stranger: Path

    @property
    def authority(self) -> Path:
        return self.signer.path

    def settings(self, **change: Any) -> Settings:
        server = self.database.server
        return Settings(
            mariadb_port=server.port,
            mariadb_user=server.user,
            mariadb_password=SecretStr(server.password),
            mariadb_database=server.database,
            **change,
        )


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proven]:
    folder = tmp_path_factory.mktemp("tls")
    authority = make_authority(folder, "authority")
    certificate = sign(folder, "server", authority, "127.0.0.1")
    options = [f"--ssl-cert={certificate.path}", f"--ssl-key={certificate.key_path}"]
    with private_mariadb(folder, options) as database:
        yield Proven(database, certificate, authority, make_authority(folder, "stranger").path)


def versions(database: sa.Engine) -> dict[str, str]:
    """The TLS version of each way to the server; "" for none."""
    question = "SELECT VARIABLE_VALUE AS version FROM information_schema.session_status"
    question += " WHERE VARIABLE_NAME = 'SSL_VERSION'"
    found = {"reader": read_arrow(database, question)["version"][0].as_py()}
    for engine in (database, get_fast_engine(database)):
        with engine.connect() as connection:
            found[engine.driver] = connection.exec_driver_sql(question).scalar_one()
    assert "pymysql" in found
    return found


def test_every_way_to_a_proven_server_is_encrypted(proven: Proven, tmp_path: Path) -> None:
    settings = proven.settings(mariadb_tls_ca=proven.authority)
    try:
        assert all(version.startswith("TLSv1") for version in versions(get_engine(settings)).values())
        file = write_rows(pa.table({"a": [1, 2]}), tmp_path / "rows.csv")
        with get_bulk_engine(get_engine(settings)).begin() as connection:
            connection.exec_driver_sql("CREATE OR REPLACE TABLE facts (a INT)")
            load_rows(connection, "facts", file)
            sent = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Com_load'").one()[1]
        assert int(sent) == 1
    finally:
        dispose_engines(settings)


def test_what_is_not_required_is_not_there(proven: Proven) -> None:
    """The test above can fail."""
    settings = proven.settings()
    try:
        assert set(versions(get_engine(settings)).values()) == {""}
    finally:
        dispose_engines(settings)


@pytest.mark.parametrize("authority", ["stranger", None])
def test_a_certificate_that_nobody_trusted_has_signed_is_refused(
    proven: Proven, authority: str | None
) -> None:
    assert_refused(proven, getattr(proven, authority) if authority else None)


def test_a_certificate_for_another_host_is_refused(proven: Proven) -> None:
    served = proven.certificate
    own = served.path.read_bytes(), served.key_path.read_bytes()
    other = sign(served.path.parent, "other", proven.signer, "elsewhere.example")
    try:
        replace(served, other.path.read_bytes(), other.key_path.read_bytes())
        proven.database.administer("FLUSH SSL")
        assert_refused(proven, proven.authority)
    finally:
        replace(served, *own)
        proven.database.administer("FLUSH SSL")
    settings = proven.settings(mariadb_tls_ca=proven.authority)
    for engine in (get_engine(settings), get_fast_engine(get_engine(settings))):
        engine.connect().close()
    dispose_engines(settings)


def replace(served: Certificate, certificate: bytes, key: bytes) -> None:
    served.path.write_bytes(certificate)
    served.key_path.write_bytes(key)


def assert_refused(proven: Proven, authority: Path | None) -> None:
    settings = proven.settings(mariadb_tls=True, mariadb_tls_ca=authority)
    try:
        for engine in (get_engine(settings), get_fast_engine(get_engine(settings))):
            with pytest.raises(StoreUnreachable, match="does not prove over TLS who it is"):
                engine.connect()
    finally:
        dispose_engines(settings)
