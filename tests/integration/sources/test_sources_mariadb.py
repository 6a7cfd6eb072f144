"""Rows of a MariaDB: types as declared, streamed, and what a server's faults look like."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from evergreen.errors import SourceUnreachable, SourceUnreadable
from evergreen.settings import Settings
from evergreen.sources import read as read_module
from evergreen.sources.read import open_source
from evergreen.store.connection.database import get_engine
from evergreen.usecase import SqlSource

START = datetime(2026, 1, 5, tzinfo=UTC)
END = START + timedelta(days=1)


@pytest.fixture(params=["mysqldb", "pymysql"])
def url(settings: Settings, request: pytest.FixtureRequest) -> str:
    with get_engine(settings).begin() as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE fact (id BIGINT, whole DECIMAL(20,0), price DECIMAL(9,2), day DATE,"
                " recorded DATETIME(6), moment TIMESTAMP(6), said VARCHAR(20), `select` DOUBLE)"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO fact VALUES (9007199254740993, 9007199254740993, 1.25, '2026-01-05',"
                " '2026-01-05 12:00:00.000001', '2026-01-05 12:00:00', '😀', 0.5),"
                " (2, NULL, NULL, NULL, '2026-01-06', NULL, NULL, NULL),"
                " (3, 1, 1, NULL, '2026-01-06 00:00:00.000001', NULL, '', NULL)"
            )
        )
    made = get_engine(settings.model_copy(update={"mariadb_socket": None})).url
    return made.set(query={}, drivername=f"mysql+{request.param}").render_as_string(hide_password=False)


def test_values_keep_every_digit_and_letter(url: str, settings: Settings) -> None:
    query = "SELECT * FROM fact WHERE recorded > :start AND recorded <= :end ORDER BY recorded"
    (given,) = open_source(SqlSource(url, query), settings, "toy", start=START, end=END)
    (batch,) = given.batches()
    assert batch.to_pylist() == [
        {
            "id": 9007199254740993,
            "whole": 9007199254740993,
            "price": 1.25,
            "day": date(2026, 1, 5),
            "recorded": datetime(2026, 1, 5, 12, 0, 0, 1, tzinfo=UTC).replace(tzinfo=None),
            "moment": datetime(2026, 1, 5, 12, tzinfo=UTC).replace(tzinfo=None),
            "said": "😀",
            "select": 0.5,
        },
        {
            **dict.fromkeys(("whole", "price", "day", "moment", "said", "select")),
            "id": 2,
            "recorded": datetime(2026, 1, 6, tzinfo=UTC).replace(tzinfo=None),
        },
    ]


def test_many_rows_are_streamed_and_need_not_be_read_to_their_end(
    url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_module, "BATCH_ROWS", 1_000)
    query = "SELECT seq AS id, IF(seq > 5000, seq, NULL) AS late FROM seq_1_to_20500"
    (given,) = open_source(SqlSource(url, query), settings, "toy", start=START, end=END)
    batches = given.batches()
    assert next(batches).column("late").null_count == 1_000
    batches.close()  # type: ignore[attr-defined]
    found = list(given.batches())
    assert [batch.num_rows for batch in found] == [1_000] * 20 + [500]
    assert sum(sum(batch.column("id").to_pylist()) for batch in found) == 20_500 * 20_501 // 2


def test_a_servers_faults_are_told_apart(url: str, settings: Settings) -> None:
    def failing(place: str, query: str) -> None:
        (given,) = open_source(SqlSource(place, query), settings, "toy", start=START, end=END)
        list(given.batches())

    for query in ("SELECT wrong FROM fact", "SELECT * FROM nowhere", "SELEKT 1"):
        with pytest.raises(SourceUnreadable, match="cannot run the source's query"):
            failing(url, query)
    password = sa.make_url(url).password
    with pytest.raises(SourceUnreachable) as raised:
        failing(sa.make_url(url).set(port=1).render_as_string(hide_password=False), "SELECT 1")
    assert password
    assert password not in str(raised.value)
