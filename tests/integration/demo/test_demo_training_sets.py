"""The demo's decisions without a stack rest on the very training sets that the platform itself reads."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.training.decisions import digest_of, training_sets

from evergreen.demo.timeline import Timeline
from evergreen.demo.upstream import SEED
from evergreen.loop import ingest
from evergreen.settings import Settings
from evergreen.sources.connections import CONNECTION_PREFIX
from evergreen.stack.servers.mariadb import HOSTS
from evergreen.store.connection.database import get_engine
from evergreen.store.history.training_set import read_training_set
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.tables.sql_files import build_full_grants
from evergreen.usecases.credit_score import CONNECTION, USE_CASE
from evergreen.usecases.credit_score.simulator import populate
from support.own_servers import Database

CUSTOMERS = 120


@pytest.mark.parametrize("moment", [datetime(2024, 2, 29, 23, 30, tzinfo=UTC)])
def test_bank_ingest_and_join_give_the_training_sets_of_the_decisions(
    settings: Settings, mariadb: Database, moment: datetime
) -> None:
    """The same table, types and order included; simulated in two calls and ingested twice, as in a tour."""
    bank = f"{settings.mariadb_database}_bank"
    mariadb.administer(*build_full_grants(bank, settings.mariadb_user, HOSTS))
    account = f"{settings.mariadb_user}:{settings.mariadb_password.get_secret_value()}"
    url = f"mysql://{account}@{settings.mariadb_host}:{settings.mariadb_port}/{bank}"
    settings.home.mkdir(exist_ok=True)
    apply_migrations(get_engine(settings))
    timeline, window = Timeline.until(moment), USE_CASE.retrain.window
    assert window is not None
    found = []
    try:
        with patch.dict(os.environ, {f"{CONNECTION_PREFIX}{CONNECTION.upper()}": url}):
            for end, turn in ((timeline.first_training, None), (timeline.now, timeline.recession_from)):
                populate(
                    url,
                    start=timeline.begins,
                    end=end,
                    customers=CUSTOMERS,
                    seed=SEED,
                    recession_from=turn,
                )
                ingest.run_ingest(settings, USE_CASE.name, end)
                found.append(read_training_set(get_engine(settings), USE_CASE, end, end - window))
    finally:
        mariadb.administer(f"DROP DATABASE IF EXISTS {bank}")
    expected = training_sets(moment, customers=CUSTOMERS)
    for read, made in zip(found, expected, strict=True):
        assert read.table.schema.equals(made.table.schema)
        assert pa.Table.equals(read.table, made.table)
        assert read.digest == made.digest
        assert digest_of(read) == digest_of(made)
