"""`evergreen migrate --dry-run` names what is pending, changes nothing, and is empty afterwards."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrate_generated import migrate_generated_tables
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.migrations.plan import PLATFORM, PlannedMigration, plan_migrations
from evergreen.store.tables.sql_files import find_migrations_folder
from evergreen.usecase import UseCase
from support.previous_version import load_previous_database
from support.whole_database import read_everything


def read_definitions(database: sa.Engine) -> dict[str, str]:
    with database.connect() as connection:
        return {
            name: connection.exec_driver_sql(f"SHOW CREATE TABLE `{name}`").all()[0][1]
            for name in sa.inspect(connection).get_table_names()
        }


def test_a_database_of_before_is_told_and_left_as_it_is(settings: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(settings)
    load_previous_database(database)
    before = read_everything(database), read_definitions(database)
    plan = plan_migrations(database, [toy_use_case])
    assert (read_everything(database), read_definitions(database)) == before
    files = sorted(path.stem for path in find_migrations_folder().glob("*.sql"))
    platform = [each.name for each in plan if each.subject == PLATFORM]
    assert platform == files[-len(platform) :]
    assert all(each.steps for each in plan)
    generated = {(each.subject, each.name): each.steps for each in plan if each.subject != PLATFORM}
    [step] = generated["toy__prediction", "1 channel_as_text"]
    assert step.startswith("column channel becomes VARCHAR(32)")
    [step] = generated["toy__prediction", "2 outcomes_of_their_own"]
    assert step == "move actual and actual_at into rows of toy__outcome, some thousand at a time"
    # What was told is what is done.
    assert apply_migrations(database) == platform
    applied = migrate_generated_tables(database, toy_use_case)
    assert applied == [f"{table}: {name.partition(' ')[2]}" for table, name in generated]
    assert plan_migrations(database, [toy_use_case]) == []


def test_a_migration_is_told_by_its_comment_and_its_statements(settings: Settings, tmp_path: Path) -> None:
    database = get_engine(settings)
    apply_migrations(database)
    (tmp_path / "0099_wide.sql").write_text(
        "-- Why it is done,\n-- in words.\n\nALTER TABLE alert\n    ADD COLUMN n INT;\n"
        f"INSERT INTO `{{ledger}}`.x VALUES ('{'y' * 300}');\n"
    )
    [planned] = plan_migrations(database, [], tmp_path)
    assert planned.to_json()["meaning"] == "Why it is done, in words."
    assert planned == PlannedMigration(
        PLATFORM,
        "0099_wide",
        "Why it is done, in words.",
        ("ALTER TABLE alert ADD COLUMN n INT", planned.steps[1]),
    )
    assert planned.steps[1].startswith(f"INSERT INTO `{settings.mariadb_database}_ledger`.x")
    assert len(planned.steps[1]) == 160
