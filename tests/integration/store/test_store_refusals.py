"""What a real MariaDB refuses arrives in Evergreen's words, whichever driver asked."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from evergreen.errors import SchemaMismatch, StoreRefused
from evergreen.serving.predictions.shipper import is_row_at_fault
from evergreen.store.connection.arrow import read_arrow
from evergreen.store.online.vectors import read_online_features
from evergreen.usecase import UseCase


def test_a_column_that_somebody_renamed_is_named_by_every_reader(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE toy__facts__online CHANGE COLUMN visits visitz BIGINT")
    lacking = "table toy__facts__online lacks the column visits, which is declared"
    with pytest.raises(SchemaMismatch, match=lacking) as caught:
        read_online_features(database, toy_use_case, [(1,)])
    assert "evergreen features diff toy" in caught.value.hint
    with pytest.raises(SchemaMismatch, match=lacking):
        read_arrow(database, "SELECT `visits` FROM `toy__facts__online`")


def test_a_table_that_another_session_holds_is_told_as_such_and_no_row_is_blamed(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    with database.begin() as holder, database.connect() as other:
        holder.exec_driver_sql("INSERT INTO store_state (table_name, changes) VALUES ('held', 1)")
        other.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 1")
        with pytest.raises(StoreRefused, match="table store_state is in use by another session") as caught:
            other.exec_driver_sql("INSERT INTO store_state (table_name, changes) VALUES ('held', 2)")
        assert "SHOW PROCESSLIST" in caught.value.hint
        other.invalidate()
    assert not is_row_at_fault(caught.value)  # the prediction log keeps its rows and tries again
