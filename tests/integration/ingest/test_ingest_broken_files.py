"""The corpus of bad files through a whole ingest: loaded exactly, or refused with everything as it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from evergreen.errors import SourceError, ValidationFailed
from evergreen.loop import ingest
from evergreen.settings import Settings
from evergreen.store.connection.database import dispose_engines, get_engine
from support.broken_files import AS_OF, CORPUS, HEADER, declare, rows_of
from support.own_servers import Database
from support.toy_loads import content

BEFORE = AS_OF - timedelta(days=30)
FORMER = f"{HEADER}\n1000,2025-12-01,2.5,former,no\n"


@pytest.fixture(scope="module")
def pails(mariadb: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A store that holds one former row; one for all files, for a database costs more than a file."""
    folder = tmp_path_factory.mktemp("pails")
    with mariadb.empty_database() as name:
        made = mariadb.build_settings(folder, name)
        declare(made)
        (folder / "former.csv").write_text(FORMER, encoding="utf-8")
        ingest.run_ingest(made, "pails", BEFORE, source=str(folder / "former.csv"))
        yield made
        dispose_engines(made)


@pytest.fixture
def former(pails: Settings) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
    """The store's content before a file; what the file added is gone afterwards."""
    use_case, database = declare(pails), get_engine(pails)
    before = content(database, use_case)
    assert [len(rows) for rows in before.values()] == [1, 1, 1, 0, 0]
    yield before
    with database.begin() as connection:
        for table in ("pails__shape", "pails__shape__online", "pails__label"):
            connection.execute(sa.text(f"DELETE FROM {table} WHERE id <> 1000"))
        connection.exec_driver_sql(f"DELETE FROM ingest_run WHERE as_of > '{BEFORE:%Y-%m-%d}'")


@pytest.mark.parametrize("name", CORPUS)
def test_a_file_loads_exactly_or_is_refused(
    pails: Settings, former: dict[str, list[tuple[Any, ...]]], tmp_path: Path, name: str
) -> None:
    file = CORPUS[name]
    path = tmp_path / f"pails{file.suffix}"
    path.write_bytes(file.content)
    use_case, database = declare(pails), get_engine(pails)
    if file.expectation == "refused":
        with pytest.raises((SourceError, ValidationFailed)) as raised:
            ingest.run_ingest(pails, "pails", AS_OF, source=str(path))
        assert raised.value.hint
        assert len(str(raised.value)) < 5000
        assert content(database, use_case) == former
        with database.connect() as connection:
            status = connection.exec_driver_sql("SELECT status FROM ingest_run ORDER BY as_of DESC").scalar()
        assert status == "failed"
        return
    ingest.run_ingest(pails, "pails", AS_OF, source=str(path))
    after = content(database, use_case)
    wanted = rows_of(name)
    known = {row[0]: row for row in after["pails__shape"] if row[0] != 1000}
    online = {row[0]: row for row in after["pails__shape__online"] if row[0] != 1000}
    labels = {row[0]: row for row in after["pails__label"] if row[0] != 1000}
    assert (
        known
        == online
        == {key: (key, naive(row[0]), naive(AS_OF), row[1], row[2]) for key, row in wanted.items()}
    )
    assert labels == {key: (key, naive(row[0]), naive(AS_OF), row[3]) for key, row in wanted.items()}
    assert all(row in after[table] for table, rows in former.items() for row in rows)


def naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
