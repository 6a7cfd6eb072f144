"""A service of this version on the prediction log of the version before; real MariaDB."""

from __future__ import annotations

import pytest
import sqlalchemy.exc
from uuid_utils import uuid7

from evergreen.errors import StoreUnreachable
from evergreen.serving.predictions.shipper import LogInserter
from evergreen.serving.predictions.table_update import TableUpdate
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_log import count_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.usecase import UseCase
from support.previous_version import load_previous_database
from support.waiting import eventually


def test_a_probe_is_written_by_its_former_name_until_the_table_takes_the_new_one(
    settings: Settings, toy_use_case: UseCase
) -> None:
    database = get_engine(settings)
    load_previous_database(database)
    inserter = LogInserter(settings, toy_use_case)
    update = inserter.table_update

    def fail() -> list[str]:
        raise StoreUnreachable("MariaDB is away", hint="")

    def logged(channel: str) -> int:
        return count_predictions(database, toy_use_case).by_channel.get(channel, 0)

    def row(channel: str, **inputs: int | str) -> PredictionRow:
        return PredictionRow(str(uuid7()), 1, channel, {"age": 40, **inputs}, "yes")

    inserter.table_update = TableUpdate(fail)
    before = logged("online"), logged("canary")
    inserter.insert_predictions([row("online"), row("probe")])
    assert (logged("online"), logged("canary"), logged("probe")) == (before[0] + 1, before[1] + 1, 0)
    # A value that neither form of the table takes is the row's own fault, also meanwhile.
    with pytest.raises(sqlalchemy.exc.DataError):
        inserter.insert_predictions([row("probe", segment="x" * 5000)])
    inserter.table_update = update
    inserter.insert_predictions([row("online")])
    eventually(lambda: update.done)
    inserter.insert_predictions([row("probe")])
    assert (logged("canary"), logged("probe")) == (before[1] + 1, 1)
