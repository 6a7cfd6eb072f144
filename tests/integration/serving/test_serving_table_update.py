"""A service of this version on the prediction log of the version before; real MariaDB."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from evergreen.errors import StoreRefused, StoreUnreachable
from evergreen.serving.predictions.table_update import TableUpdate
from evergreen.serving.runtime import Runtime
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_log import count_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.usecase import UseCase
from support.previous_version import load_previous_database
from support.waiting import eventually


def test_a_row_that_only_the_new_table_takes_waits_for_it(settings: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(settings)
    load_previous_database(database)
    runtime = Runtime(settings, toy_use_case, CollectorRegistry())
    update = runtime._table_update

    def fail() -> list[str]:
        raise StoreUnreachable("MariaDB is away", hint="")

    runtime._table_update = TableUpdate(fail)
    usual = PredictionRow(str(uuid7()), 1, "canary", {"age": 40}, "yes")
    probe = replace(usual, prediction_id=str(uuid7()), channel="probe")
    runtime._write([usual])
    with pytest.raises(StoreRefused, match="not up to date"):
        runtime._write([probe])
    runtime._table_update = update
    runtime._write([usual])
    eventually(lambda: update.done)
    runtime._write([probe])
    counts = count_predictions(database, toy_use_case)
    assert (counts.by_channel["canary"], counts.by_channel["probe"]) == (3, 1)
