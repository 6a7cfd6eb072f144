"""The simulated bank's operational database, on a real MariaDB."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import SourceUnreachable, UseCaseError
from evergreen.settings import Settings
from evergreen.stack.mariadb import HOSTS
from evergreen.store.sql_files import grant_all
from evergreen.usecase import SqlSource
from evergreen.usecases.credit_score import USE_CASE, bank
from evergreen.usecases.credit_score.simulator import populate
from own_servers import Database

START, MIDDLE, END = date(2025, 1, 1), date(2025, 3, 17), date(2025, 6, 20)
TABLES = ("customer", "monthly_fact", "score_outcome")


def url_of(
    settings: Settings, database: str, *, port: int | None = None, user: str | None = None, files: bool = True
) -> str:
    return sa.URL.create(
        "mysql+mysqldb",
        user or settings.mariadb_user,
        settings.mariadb_password.get_secret_value(),
        settings.mariadb_host,
        port or settings.mariadb_port,
        database,
        query={"local_infile": "1" if files else "0"},
    ).render_as_string(hide_password=False)


@pytest.fixture
def banks(settings: Settings, mariadb: Database) -> Iterator[tuple[str, str]]:
    """URLs of two bank databases that do not exist yet, and that the platform's user may make."""
    names = [f"{settings.mariadb_database}_{kind}" for kind in ("one", "two")]
    user = settings.mariadb_user
    mariadb.administer(*(grant for name in names for grant in grant_all(name, user, HOSTS)))
    yield url_of(settings, names[0]), url_of(settings, names[1])
    mariadb.administer(*(f"DROP DATABASE IF EXISTS {name}" for name in names))


def content(url: str) -> dict[str, list[tuple[Any, ...]]]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return {
            name: [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name} ORDER BY 1, 2")]
            for name in TABLES
        }


def read(url: str, source: Any, start: datetime, end: datetime) -> pd.DataFrame:
    assert isinstance(source, SqlSource)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return pd.read_sql(sa.text(source.query), connection, params={"start": start, "end": end})


def test_extending_gives_the_same_rows_as_one_call_and_repeating_changes_nothing(
    banks: tuple[str, str],
) -> None:
    whole, pieces = banks
    arguments: dict[str, Any] = {"customers": 60, "seed": 5, "recession_from": date(2025, 5, 1)}
    counts = populate(whole, start=START, end=END, **arguments)
    populate(pieces, start=START, end=MIDDLE, **arguments)
    assert populate(pieces, start=MIDDLE, end=END, **arguments) == counts
    expected = content(whole)
    assert content(pieces) == expected
    assert counts == {name: len(rows) for name, rows in expected.items()}

    assert populate(whole, start=START, end=END, **arguments) == counts
    assert content(whole) == expected


def test_a_gap_before_the_next_call_is_filled(banks: tuple[str, str]) -> None:
    whole, pieces = banks
    populate(whole, start=START, end=END, customers=20, seed=5)
    populate(pieces, start=START, end=date(2025, 2, 1), customers=20, seed=5)
    populate(pieces, start=date(2025, 6, 1), end=END, customers=20, seed=5)
    assert content(pieces) == content(whole)


def test_the_declared_queries_read_the_bank(banks: tuple[str, str]) -> None:
    populate(banks[0], start=START, end=END, customers=100, seed=5)
    long_ago, close = datetime(1970, 1, 1), datetime(2025, 6, 21)  # noqa: DTZ001  as the queries take them
    profile, monthly = (read(banks[0], view.source, long_ago, close) for view in USE_CASE.views)
    label = read(banks[0], USE_CASE.label.source, long_ago, close)
    for frame, view in ((profile, USE_CASE.views[0]), (monthly, USE_CASE.views[1])):
        assert list(frame.columns) == ["customer_id", "event_time", *view.feature_names]
        assert not frame.duplicated(["customer_id", "event_time"]).any()
        for feature in view.features:
            if feature.numeric:
                values = frame[feature.name].dropna()
                assert values.between(feature.minimum, feature.maximum).all(), feature.name
            else:
                assert set(frame[feature.name]) <= set(feature.allowed)
            assert frame[feature.name].isna().mean() <= feature.max_null_share
    assert len(monthly) == 600  # six months, also the late rows
    # Outcomes arrive 30 days later: June's are not there yet.
    assert label["event_time"].max() == pd.Timestamp("2025-05-01")
    assert len(label) == 500
    # Every fact finds a profile that was valid before it.
    oldest = profile.groupby("customer_id")["event_time"].min()
    assert (monthly["customer_id"].map(oldest) <= monthly["event_time"]).all()

    # By the time of recording, each row is read once: (start, end] windows neither overlap nor leave gaps.
    cuts = [long_ago, datetime(2025, 1, 1), datetime(2025, 2, 3), datetime(2025, 4, 1), close]  # noqa: DTZ001
    parts = [read(banks[0], USE_CASE.views[1].source, start, end) for start, end in itertools.pairwise(cuts)]
    assert sum(map(len, parts)) == len(monthly)
    assert pd.concat(parts).duplicated(["customer_id", "event_time"]).sum() == 0


def test_nothing_is_recorded_after_the_end(banks: tuple[str, str]) -> None:
    populate(banks[0], start=START, end=date(2025, 3, 1), customers=300, seed=5)
    rows = content(banks[0])
    assert max(row[-1] for table in TABLES for row in rows[table]) < datetime(2025, 3, 2)  # noqa: DTZ001
    # Some of March's facts are late: they belong to the next call.
    march = [row for row in rows["monthly_fact"] if row[1] == datetime(2025, 3, 1)]  # noqa: DTZ001
    assert 270 < len(march) < 300


def test_another_seed_or_scenario_for_the_same_month_is_refused(banks: tuple[str, str]) -> None:
    arguments: dict[str, Any] = {"start": START, "end": MIDDLE, "customers": 10}
    populate(banks[0], seed=5, **arguments)
    before = content(banks[0])
    with pytest.raises(UseCaseError, match="seed 5, not as stable with seed 6"):
        populate(banks[0], seed=6, **arguments)
    with pytest.raises(UseCaseError, match="simulated as stable"):
        populate(banks[0], seed=5, recession_from=date(2025, 2, 1), **arguments)
    assert content(banks[0]) == before


def test_the_recession_can_begin_after_the_history(banks: tuple[str, str]) -> None:
    whole, pieces = banks
    recession = date(2025, 4, 1)
    populate(whole, start=START, end=END, customers=30, seed=5, recession_from=recession)
    populate(pieces, start=START, end=MIDDLE, customers=30, seed=5)
    populate(pieces, start=MIDDLE, end=END, customers=30, seed=5, recession_from=recession)
    assert content(pieces) == content(whole)


def test_it_writes_the_same_rows_where_no_file_may_be_sent(banks: tuple[str, str], mariadb: Database) -> None:
    by_file, by_insert = banks
    populate(by_file, start=START, end=MIDDLE, customers=40, seed=5)
    populate(by_insert.partition("?")[0], start=START, end=date(2025, 2, 1), customers=40, seed=5)
    mariadb.administer("SET GLOBAL local_infile = 0")
    try:
        populate(by_insert, start=START, end=MIDDLE, customers=40, seed=5)
    finally:
        mariadb.administer("SET GLOBAL local_infile = 1")
    assert content(by_insert) == content(by_file)


def test_it_shows_progress_month_by_month(banks: tuple[str, str]) -> None:
    seen: list[tuple[int, int]] = []
    counts = populate(
        banks[0],
        start=date(2025, 1, 1),
        end=date(2026, 6, 30),
        customers=300,
        seed=7,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 18) for done in range(1, 19)]
    assert counts["monthly_fact"] == 18 * 300
    assert counts["score_outcome"] == 17 * 300


def test_a_user_without_the_right_to_create_may_use_an_existing_database(
    settings: Settings, mariadb: Database
) -> None:
    database, user = settings.mariadb_database, f"{settings.mariadb_database}_u"
    password = settings.mariadb_password.get_secret_value()
    mariadb.administer(
        f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY '{password}'",
        f"GRANT SELECT, INSERT, CREATE, INDEX ON `{database}`.* TO '{user}'@'127.0.0.1'",
    )
    try:
        populate(url_of(settings, database, user=user), start=START, end=START, customers=5, seed=1)
        with pytest.raises(SourceUnreachable, match=f"{database}_one"):
            populate(
                url_of(settings, f"{database}_one", user=user), start=START, end=START, customers=5, seed=1
            )
    finally:
        mariadb.administer(f"DROP USER '{user}'@'127.0.0.1'")


def test_an_unreachable_server_is_named(settings: Settings) -> None:
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1:1 ") as caught:
        populate(url_of(settings, "credit_bank", port=1), start=START, end=END, customers=5, seed=1)
    assert caught.value.hint


@pytest.mark.parametrize("wrong", [{"customers": 0}, {"end": START - timedelta(days=1)}])
def test_impossible_arguments_are_refused(settings: Settings, wrong: dict[str, Any]) -> None:
    with pytest.raises(UseCaseError):
        populate(
            url_of(settings, settings.mariadb_database),
            **{"start": START, "end": END, "customers": 5, "seed": 1} | wrong,
        )


def test_the_tables_follow_the_declaration() -> None:
    for table, view in ((bank.CUSTOMER, USE_CASE.views[0]), (bank.MONTHLY_FACT, USE_CASE.views[1])):
        assert [c.name for c in table.columns][2:-1] == list(view.feature_names)
        assert {c.name for c in table.columns if c.nullable} == {f.name for f in view.features if f.nullable}
