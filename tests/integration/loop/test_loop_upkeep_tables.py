"""The verb upkeep: daily partitions of the prediction log and pruning of the history, on a real MariaDB."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from evergreen.errors import SettingsError
from evergreen.loop import upkeep
from evergreen.loop.upkeep import describe_upkeep, run_upkeep
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_log import count_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.usecase import UseCase
from support.command_line import CommandLine, environment

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
PARTITIONS = sa.text(
    "SELECT partition_name FROM information_schema.partitions"
    " WHERE table_schema = DATABASE() AND table_name = 'toy__prediction'"
)
VERSIONS = sa.text("SELECT COUNT(*) FROM toy__label FOR SYSTEM_TIME ALL")


def logged(moment: datetime) -> PredictionRow:
    """A logged prediction; its id is a UUIDv7 of that moment (RFC 9562)."""
    prediction_id = uuid.UUID(int=int(moment.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62)
    return PredictionRow(str(prediction_id), 1, "online", {}, "no")


def test_upkeep_without_a_champion_partitions_the_log_and_drops_what_is_too_old(
    toy_store: Settings, toy_use_case: UseCase
) -> None:
    database = get_engine(toy_store)
    old = NOW - toy_use_case.serving.retention - timedelta(days=2)
    insert_predictions(database, toy_use_case, [logged(old), logged(NOW)])
    outcome = run_upkeep(toy_store, "toy", NOW)
    assert count_predictions(database, toy_use_case).total == 1
    with database.connect() as connection:
        partitions = set(connection.execute(PARTITIONS).scalars())
    assert {"p20260801", "p20260808", "pmax"} <= partitions
    assert {"p20260801", "p20260808"} <= set(outcome["partitions_added"])
    assert len(outcome["partitions_dropped"]) == 1
    assert not set(outcome["partitions_dropped"]) & partitions

    again = run_upkeep(toy_store, "toy", NOW)
    assert (again["partitions_added"], again["partitions_dropped"]) == ([], [])
    assert describe_upkeep(again).startswith("partitions of the prediction log: none added, none dropped; ")


def test_upkeep_prunes_the_versions_that_ended_long_ago_and_no_row_of_now(toy_store: Settings) -> None:
    settings = toy_store.model_copy(update={"history_days": 1})
    database = get_engine(settings)
    with database.begin() as connection:
        rows = connection.execute(sa.text("SELECT COUNT(*) FROM toy__label")).scalar()
        connection.exec_driver_sql("SET timestamp = UNIX_TIMESTAMP() - 5 * 86400")
        connection.exec_driver_sql("UPDATE toy__label SET leaves = leaves")
        connection.exec_driver_sql("DELETE FROM toy__label ORDER BY client_id LIMIT 3")
        connection.exec_driver_sql("SET timestamp = DEFAULT")
    with database.connect() as connection:
        before = connection.execute(VERSIONS).scalar()
    outcome = run_upkeep(settings, "toy", datetime.now(UTC))
    with database.connect() as connection:
        after = connection.execute(VERSIONS).scalar()
        left = connection.execute(sa.text("SELECT COUNT(*) FROM toy__label")).scalar()
    assert left == rows - 3
    assert outcome["versions_pruned"]["toy__label"] == before - after >= 3
    assert outcome["history_from"] is not None
    assert sum(run_upkeep(settings, "toy", datetime.now(UTC))["versions_pruned"].values()) == 0


def test_upkeep_forgets_overwritten_rows_only_as_the_setting_says(toy_store: Settings) -> None:
    database = get_engine(toy_store)
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM toy__label LIMIT 5")

    def count_deleted_rows() -> int:
        with database.connect() as connection:
            return connection.execute(
                sa.text(
                    "SELECT COUNT(*) FROM toy__label FOR SYSTEM_TIME ALL WHERE row_end < UTC_TIMESTAMP(6)"
                )
            ).scalar_one()

    run_upkeep(toy_store, "toy", datetime.now(UTC))
    run_upkeep(toy_store.model_copy(update={"history_days": 30}), "toy", datetime.now(UTC))
    assert count_deleted_rows() == 5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "refuse_future", lambda as_of: None)
        later = datetime.now(UTC) + timedelta(days=2)
        run_upkeep(toy_store.model_copy(update={"history_days": 1}), "toy", later)
    assert count_deleted_rows() == 0


def test_upkeep_before_the_first_ingest_changes_nothing(toy_settings: Settings) -> None:
    outcome = run_upkeep(toy_settings, "toy", NOW)
    assert (outcome["partitions_added"], outcome["versions_pruned"]) == ([], {})
    assert not sa.inspect(get_engine(toy_settings)).has_table("toy__prediction")


def test_a_future_moment_is_refused_and_drops_nothing(toy_store: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(toy_store)
    insert_predictions(database, toy_use_case, [logged(NOW)])
    with pytest.raises(SettingsError, match="in the future"):
        run_upkeep(toy_store, "toy", datetime.now(UTC) + timedelta(days=400))
    assert count_predictions(database, toy_use_case).total == 1


def test_the_command_says_what_it_did_and_speaks_json(
    toy_store: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = CommandLine(monkeypatch, capsys)
    given = dict(environment(toy_store))
    done = command.run("upkeep", "toy", home=toy_store.home, **given)
    assert done.returncode == 0, done.stderr
    assert "partitions of the prediction log: 8 (p" in done.stdout
    assert ", none dropped; " in done.stdout
    facts = json.loads(command.run("upkeep", "toy", "--json", home=toy_store.home, **given).stdout)
    assert (facts["use_case"], facts["partitions_added"], facts["partitions_dropped"]) == ("toy", [], [])
