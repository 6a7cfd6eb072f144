"""MariaDB numbers and dates each line, so a line that is dated back changes no past answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.registry import champion_history, ledger
from evergreen.registry.ledger_rights import is_ledger_protected
from evergreen.settings import Settings
from evergreen.store.connection.database import dispose_engines, get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.tables.sql_files import build_ledger_grants, build_ledger_statements, get_ledger_schema
from support.own_servers import Database

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
LINE = "(at, use_case, action, to_version, actor, reason)"

# As the platform's own administrator script made it before it recorded anything.
BEFORE = [
    "DROP DATABASE {ledger}",
    "CREATE DATABASE {ledger} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "CREATE TABLE {ledger}.promotion ("
    " id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,"
    " at DATETIME(6) NOT NULL,"
    " use_case VARCHAR(48) NOT NULL,"
    " action ENUM('promote', 'reject', 'rollback', 'approve', 'deny', 'external', 'erase') NOT NULL,"
    " from_version INT NULL,"
    " to_version INT NULL,"
    " training_run_id CHAR(36) CHARACTER SET ascii NULL,"
    " mlflow_run_id VARCHAR(64) NULL,"
    " actor VARCHAR(255) NOT NULL,"
    " reason TEXT NOT NULL,"
    " verdict JSON NULL,"
    " UNIQUE KEY once (use_case, action, training_run_id, mlflow_run_id, to_version)"
    ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin",
    "GRANT SELECT, INSERT ON {ledger}.promotion TO '{user}'@'localhost'",
]


@pytest.fixture
def database(settings: Settings) -> sa.Engine:
    engine = get_engine(settings)
    apply_migrations(engine)
    return engine


@pytest.fixture
def database_of_before(settings: Settings, mariadb: Database) -> sa.Engine:
    """A platform whose ledger an earlier Evergreen has made."""
    engine = get_engine(settings)
    apply_migrations(engine)
    names = {"ledger": get_ledger_schema(settings.mariadb_database), "user": settings.mariadb_user}
    mariadb.administer(*(statement.format(**names) for statement in BEFORE))
    dispose_engines(settings)
    return get_engine(settings)


def promote(
    database: sa.Engine, version: int, at: datetime | None = None, former: int | None = None
) -> ledger.Entry:
    return ledger.append_entry(
        database,
        use_case_name="toy",
        action="promote",
        from_version=former,
        to_version=version,
        training_run_id=None,
        actor="gate",
        reason="good",
        at=at,
    )


def now(mariadb: Database) -> datetime:
    with mariadb.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT SYSDATE(6)")
        ((moment,),) = cursor.fetchall()
    return moment.replace(tzinfo=UTC)


def served(database: sa.Engine, at: datetime) -> int | None:
    line = champion_history.read_champions_at(database, at, "toy").get("toy")
    return line.to_version if line else None


def migrate_ledger(settings: Settings, mariadb: Database) -> None:
    """As an administrator does, with sql/admin/ledger.sql."""
    name = settings.mariadb_database
    mariadb.administer(
        *build_ledger_statements(name), *build_ledger_grants(name, settings.mariadb_user, ["localhost"])
    )


@pytest.mark.parametrize(
    "session",
    [
        "SET timestamp = 1000000000",
        "SET time_zone = '-11:00'",
        "SET insert_id = 9223372036854775807",
        "SET auto_increment_offset = 65535, auto_increment_increment = 65535",
    ],
)
def test_no_session_numbers_or_dates_its_line(database: sa.Engine, mariadb: Database, session: str) -> None:
    first = promote(database, 1)
    schema = get_ledger_schema(str(database.url.database))
    before = now(mariadb)
    with database.connect() as connection:
        connection.exec_driver_sql(session)
        connection.exec_driver_sql(
            f"INSERT INTO {schema}.promotion {LINE} VALUES (NOW(6), 'toy', 'promote', 2, 'me', 'mine')"
        )
        connection.commit()
        connection.invalidate()
    mine, _ = ledger.read_entries(database, "toy")
    assert mine.id == first.id + 1
    assert mine.recorded_at is not None
    assert before <= mine.recorded_at <= now(mariadb)
    assert promote(database, 3).id == mine.id + 1


def test_a_line_that_is_dated_back_changes_nobody_who_served(database: sa.Engine) -> None:
    first = promote(database, 1)
    assert first.recorded_at is not None
    assert not first.misdated
    mine = promote(database, 7, at=MARCH, former=1)
    assert mine.at == MARCH
    assert mine.misdated
    assert mine.since == mine.recorded_at
    assert served(database, MARCH + timedelta(days=1)) is None
    assert served(database, first.since) == 1
    assert champion_history.read_backdated_entries(database, MARCH + timedelta(days=1)) == [mine]
    assert champion_history.read_backdated_entries(database, mine.since) == []
    ahead = promote(database, 8, at=mine.since + timedelta(days=300), former=7)
    assert ahead.misdated
    assert served(database, ahead.since) == 8


def test_writers_at_the_same_time_get_numbers_of_their_own(database: sa.Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        lines = list(pool.map(lambda version: promote(database, version), range(40)))
    assert sorted(line.id for line in lines) == list(range(1, 41))
    assert sorted(line.to_version or 0 for line in lines) == list(range(40))


def test_a_ledger_of_before_works_and_says_that_it_is_not_protected(
    database_of_before: sa.Engine, settings: Settings, mariadb: Database
) -> None:
    old = promote(database_of_before, 1, at=MARCH)
    assert old.recorded_at is None
    assert not old.misdated
    assert served(database_of_before, MARCH) == 1
    assert champion_history.find_former_champion(database_of_before, "toy") is None
    assert not is_ledger_protected(database_of_before)
    for _ in range(2):
        migrate_ledger(settings, mariadb)
        assert is_ledger_protected(database_of_before)
    assert ledger.read_entries(database_of_before, "toy") == [old]
    assert served(database_of_before, MARCH) == 1
    new = promote(database_of_before, 2, former=1)
    assert new.id == old.id + 1
    assert new.recorded_at is not None
    assert served(database_of_before, new.since) == 2


def test_numbers_that_were_used_up_before_are_mended_as_the_error_says(
    database_of_before: sa.Engine, settings: Settings, mariadb: Database
) -> None:
    promote(database_of_before, 1)
    schema = get_ledger_schema(settings.mariadb_database)
    with database_of_before.begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO {schema}.promotion (id, at, use_case, action, actor, reason)"
            " VALUES (9223372036854775807, NOW(6), 'toy', 'deny', 'me', 'no more')"
        )
    for _ in range(2):
        with pytest.raises(StoreError, match="no number left") as raised:
            promote(database_of_before, 2)
        migrate_ledger(settings, mariadb)
    mariadb.administer(raised.value.hint.rpartition("\n")[2].rstrip(";"))
    assert promote(database_of_before, 2).id == 3
    assert [(line.id, line.actor) for line in ledger.read_entries(database_of_before, "toy")] == [
        (3, "gate"),
        (2, "me"),
        (1, "gate"),
    ]
