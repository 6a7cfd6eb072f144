"""The simulated bank's operational database, on a real MariaDB."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from evergreen.drivers.choice import choose_fast_driver
from evergreen.errors import SourceUnreachable, UseCaseError
from evergreen.settings import Settings
from evergreen.stack.servers.mariadb import HOSTS
from evergreen.store.tables.sql_files import build_full_grants
from evergreen.usecase import SqlSource
from evergreen.usecases.credit_score import USE_CASE, bank
from evergreen.usecases.credit_score.periods import PERIOD
from evergreen.usecases.credit_score.simulator import erase, populate, simulate_recorded_rows
from support.own_servers import Database

START = datetime(2025, 1, 31, 18, 30, tzinfo=UTC)
MIDDLE, END = START + timedelta(days=75), START + timedelta(days=170)
TABLES = ("customer", "monthly_fact", "score_outcome")
NO_SHRINK = (Phase.explicit, Phase.generate)


def url_of(
    settings: Settings, database: str, *, port: int | None = None, user: str | None = None, files: bool = True
) -> str:
    return sa.URL.create(
        choose_fast_driver(),
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
    mariadb.administer(*(grant for name in names for grant in build_full_grants(name, user, HOSTS)))
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
    arguments: dict[str, Any] = {"customers": 60, "seed": 5, "recession_from": START + 4 * PERIOD}
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
    populate(pieces, start=START, end=START + PERIOD, customers=20, seed=5)
    populate(pieces, start=START + 5 * PERIOD, end=END, customers=20, seed=5)
    assert content(pieces) == content(whole)


@given(cuts=st.lists(st.integers(1, 169 * 24), max_size=3, unique=True))
@example(cuts=[30 * 24, 60 * 24, 120 * 24])
@settings(
    max_examples=6,
    deadline=None,
    phases=NO_SHRINK,
)
def test_however_the_time_is_cut_into_calls_the_rows_are_the_same(
    banks: tuple[str, str], cuts: list[int]
) -> None:
    """Also those of `simulate_recorded_rows`, which needs no database. Cuts in hours, some where a period
    begins.
    """
    url, _ = banks
    erase(url)
    arguments: dict[str, Any] = {"customers": 12, "seed": 5, "recession_from": START + 4 * PERIOD}
    for end in (*(START + timedelta(hours=hours) for hours in sorted(cuts)), END):
        populate(url, start=START, end=end, **arguments)
    frames = simulate_recorded_rows(start=START, end=END, **arguments)
    found = content(url)
    for name, frame in frames.items():
        assert len(frame) == len(found[name])
        plain = frame.astype(object).where(frame.notna(), None).sort_values(list(frame.columns[:2]))
        expected = [
            tuple(v.to_pydatetime() if isinstance(v, pd.Timestamp) else v for v in row)
            for row in plain.itertuples(index=False)
        ]
        assert found[name] == expected


def test_the_declared_queries_read_the_bank(banks: tuple[str, str]) -> None:
    populate(banks[0], start=START, end=END, customers=100, seed=5)
    begins = START.replace(tzinfo=None)
    long_ago, close = datetime(1970, 1, 1), END.replace(tzinfo=None)  # noqa: DTZ001  as the queries take them
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
    assert len(monthly) == 600  # six periods, also the late rows
    # Outcomes arrive 30 days later: the last period's are not there yet.
    assert label["event_time"].max() == begins + 4 * PERIOD
    assert len(label) == 500
    # Every fact finds a profile that was valid before it.
    oldest = profile.groupby("customer_id")["event_time"].min()
    assert (monthly["customer_id"].map(oldest) <= monthly["event_time"]).all()

    # By the time of recording, each row is read once: (start, end] windows neither overlap nor leave gaps.
    cuts = [long_ago, begins, begins + timedelta(days=33), begins + 3 * PERIOD, close]
    parts = [read(banks[0], USE_CASE.views[1].source, start, end) for start, end in itertools.pairwise(cuts)]
    assert sum(map(len, parts)) == len(monthly)
    assert pd.concat(parts).duplicated(["customer_id", "event_time"]).sum() == 0


def test_nothing_is_recorded_after_the_end(banks: tuple[str, str]) -> None:
    third = START + 2 * PERIOD
    populate(banks[0], start=START, end=third + timedelta(days=1), customers=300, seed=5)
    rows = content(banks[0])
    last = max(row[-1] for table in TABLES for row in rows[table])
    assert last <= (third + timedelta(days=1)).replace(tzinfo=None)
    # Some of the third period's facts are late: they belong to the next call.
    facts = [row for row in rows["monthly_fact"] if row[1] == third.replace(tzinfo=None)]
    assert 270 < len(facts) < 300


def test_the_books_of_a_bank_begin_once(banks: tuple[str, str]) -> None:
    populate(banks[0], start=START, end=MIDDLE, customers=10, seed=5)
    with pytest.raises(UseCaseError, match="books begin on 2025-01-31 18:30 UTC, later than") as caught:
        populate(banks[0], start=START - timedelta(days=1), end=END, customers=10, seed=5)
    assert "--erase" in caught.value.hint


def test_a_bank_of_calendar_months_is_not_continued_but_can_be_erased(banks: tuple[str, str]) -> None:
    """A former version noted calendar months in a table of its own; its rows would not fit these."""
    url = banks[0]
    erase(url)
    database = sa.create_engine(url, poolclass=sa.NullPool)
    with database.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE simulated_month"
            " (month DATE PRIMARY KEY, scenario VARCHAR(20), seed BIGINT, customers INT)"
        )
        connection.exec_driver_sql("INSERT INTO simulated_month VALUES ('2026-07-01', 'stable', 2026, 1500)")
    with pytest.raises(UseCaseError, match="in calendar months") as caught:
        populate(url, start=START, end=END, customers=10, seed=5)
    assert "evergreen simulate credit_score --erase" in caught.value.hint
    erase(url)
    assert not sa.inspect(database).has_table("simulated_month")
    assert populate(url, start=START, end=END, customers=10, seed=5)["monthly_fact"] == 60


def test_another_seed_or_scenario_for_the_same_month_is_refused(banks: tuple[str, str]) -> None:
    arguments: dict[str, Any] = {"start": START, "end": MIDDLE, "customers": 10}
    populate(banks[0], seed=5, **arguments)
    before = content(banks[0])
    with pytest.raises(UseCaseError, match="seed 5, not as stable with seed 6"):
        populate(banks[0], seed=6, **arguments)
    with pytest.raises(UseCaseError, match="simulated as stable"):
        populate(banks[0], seed=5, recession_from=START + PERIOD, **arguments)
    assert content(banks[0]) == before


def test_the_recession_can_begin_after_the_history(banks: tuple[str, str]) -> None:
    whole, pieces = banks
    recession = START + 3 * PERIOD
    populate(whole, start=START, end=END, customers=30, seed=5, recession_from=recession)
    populate(pieces, start=START, end=MIDDLE, customers=30, seed=5)
    populate(pieces, start=MIDDLE, end=END, customers=30, seed=5, recession_from=recession)
    assert content(pieces) == content(whole)


def test_it_writes_the_same_rows_where_no_file_may_be_sent(banks: tuple[str, str], mariadb: Database) -> None:
    by_file, by_insert = banks
    populate(by_file, start=START, end=MIDDLE, customers=40, seed=5)
    populate(by_insert.partition("?")[0], start=START, end=START + PERIOD, customers=40, seed=5)
    mariadb.administer("SET GLOBAL local_infile = 0")
    try:
        populate(by_insert, start=START, end=MIDDLE, customers=40, seed=5)
    finally:
        mariadb.administer("SET GLOBAL local_infile = 1")
    assert content(by_insert) == content(by_file)


def test_it_shows_progress_period_by_period(banks: tuple[str, str]) -> None:
    seen: list[tuple[int, int]] = []
    counts = populate(
        banks[0],
        start=START,
        end=START + 18 * PERIOD,
        customers=300,
        seed=7,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 18) for done in range(1, 19)]
    assert counts["monthly_fact"] == 18 * 300
    assert counts["score_outcome"] == 18 * 300


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
        populate(url_of(settings, database, user=user), start=START, end=MIDDLE, customers=5, seed=1)
        with pytest.raises(SourceUnreachable, match=f"{database}_one"):
            populate(
                url_of(settings, f"{database}_one", user=user), start=START, end=MIDDLE, customers=5, seed=1
            )
    finally:
        mariadb.administer(f"DROP USER '{user}'@'127.0.0.1'")


def test_an_unreachable_server_is_named(settings: Settings) -> None:
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1:1 ") as caught:
        populate(url_of(settings, "credit_bank", port=1), start=START, end=END, customers=5, seed=1)
    assert caught.value.hint


@pytest.mark.parametrize("wrong", [{"customers": 0}, {"end": START - timedelta(days=1)}, {"end": START}])
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
