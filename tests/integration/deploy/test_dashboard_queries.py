"""Every SQL query of Grafana's dashboards on a real MariaDB, in transactions that only read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
import sqlalchemy as sa

from evergreen.registry.ledger import append_entry
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.tables.sql_files import get_ledger_schema
from evergreen.usecase import UseCase
from support.checked_toy import log_prediction, save_check
from support.dashboards import fill_sql, list_queries

SQL = [query for query in list_queries() if query.form != "promql"]
# What there is in the world of these tests; the other queries have no rows here, and must run all the same.
FILLED = {
    "loop: Ingests, A",
    "loop: Ledger, A",
    "loop: Decisions whether to retrain, A",
    "prediction-log: variable use_case",
    "prediction-log: Predictions by version, A",
    "prediction-log: Predictions by channel, A",
    "prediction-log: Probability of the answer, A",
    "prediction-log: Newest predictions, A",
    "prediction-log: Rows that are not counted yet, A",
    "prediction-log: The log in all, A",
    "drift: PSI by feature, A",
    "drift: Drifted features, A",
    "drift: More or fewer missing values, A",
    "drift: Refused rows, A",
    "drift: Largest PSI by slice, A",
    "drift: Checks, A",
    "drift: Findings on data and service, A",
}


@pytest.fixture
def connection(toy_store: Settings, toy_use_case: UseCase) -> Iterator[sa.Connection]:
    """A connection whose transactions only read, to a store with predictions, a check and a ledger."""
    save_check(toy_store)
    log_prediction(toy_store, toy_use_case)
    append_entry(
        get_engine(toy_store),
        use_case_name="toy",
        action="promote",
        from_version=None,
        to_version=2,
        training_run_id="t1",
        actor="a test",
        reason="it is better",
    )
    with get_engine(toy_store).connect() as connection:
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        connection.rollback()
        yield connection
        connection.exec_driver_sql("SET SESSION TRANSACTION READ WRITE")


def test_every_query_runs_and_finds_what_there_is(connection: sa.Connection, toy_store: Settings) -> None:
    ledger = get_ledger_schema(toy_store.mariadb_database)
    filled = set()
    for query in SQL:
        statement = fill_sql(query.text, "toy", ledger)
        assert statement.startswith("SELECT "), query.place
        result = connection.exec_driver_sql(statement.replace("%", "%%"))
        rows = result.all()
        if query.form == "time_series":
            columns = list(result.keys())
            assert columns[0] == "time", query.place
            assert all(isinstance(row.time, int | datetime) for row in rows), query.place
        if rows:
            filled.add(query.place)
    assert filled == FILLED
