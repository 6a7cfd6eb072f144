"""A demo erases what a demo made, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from evergreen.demo.fresh import TourMarker, reset_demo
from evergreen.demo.upstream import DeclaredUpstream
from evergreen.errors import NotTheDemosData
from evergreen.loop import ingest, train
from evergreen.registry import champion_history, ledger
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.records.training_run import start_training_run
from evergreen.store.tables.forget import is_empty
from evergreen.usecase import UseCase

DEMOS = datetime(2026, 6, 1, tzinfo=UTC)
NEXT_DAY = DEMOS + timedelta(days=1)


@pytest.fixture
def source(toy_settings: Settings, toy_use_case: UseCase) -> DeclaredUpstream:
    toy_settings.home.mkdir(exist_ok=True)
    apply_migrations(get_engine(toy_settings))
    return DeclaredUpstream(toy_settings, toy_use_case, "")


@pytest.fixture
def filled(
    toy_settings: Settings, toy_use_case: UseCase, toy_source: Callable[..., pd.DataFrame]
) -> Settings:
    """The toy's rows, ingested as of the demo's moment."""
    toy_source().to_csv(toy_settings.sources["toy"], index=False)
    ingest.run_ingest(toy_settings, toy_use_case.name, DEMOS)
    return toy_settings


def test_nothing_there_is_a_clean_start(
    toy_settings: Settings, toy_use_case: UseCase, source: DeclaredUpstream
) -> None:
    assert reset_demo(toy_settings, toy_use_case, source, list) == "nothing there yet"


@pytest.mark.parametrize(
    ("began", "erase", "erased"), [(False, False, 0), (True, False, 1), (False, True, 1)]
)
def test_the_source_of_a_demo_that_was_killed_early_is_erased_and_no_other(
    toy_settings: Settings,
    toy_use_case: UseCase,
    source: DeclaredUpstream,
    monkeypatch: pytest.MonkeyPatch,
    began: bool,
    erase: bool,
    erased: int,
) -> None:
    """Its books begin at its own moment: the next demo could not continue them."""
    calls: list[str] = []
    monkeypatch.setattr(source, "erase", lambda: calls.append("erase"))
    if began:
        TourMarker.of(toy_settings, toy_use_case).note(DEMOS)
    assert reset_demo(toy_settings, toy_use_case, source, list, erase=erase) == "nothing there yet"
    assert len(calls) == erased


def test_what_an_earlier_demo_made_is_forgotten(
    filled: Settings, toy_use_case: UseCase, source: DeclaredUpstream
) -> None:
    TourMarker.of(filled, toy_use_case).note(DEMOS)
    assert reset_demo(filled, toy_use_case, source, list) == "forgot what the previous demo left"
    assert is_empty(get_engine(filled), toy_use_case)
    assert TourMarker.of(filled, toy_use_case).moments() == set()


def test_the_next_demo_searches_anew(
    toy_store: Settings, toy_use_case: UseCase, toy_settings: Settings
) -> None:
    as_of = datetime(2026, 7, 1, tzinfo=UTC)
    train.tune_model(toy_store, train.prepare_training_set(toy_store, "toy", as_of)["training_run"])

    def searches() -> int:
        with get_engine(toy_store).connect() as connection:
            return int(connection.exec_driver_sql("SELECT COUNT(*) FROM studies").scalar_one())

    assert searches() == 1
    source = DeclaredUpstream(toy_settings, toy_use_case, "")
    reset_demo(toy_store, toy_use_case, source, list, erase=True)
    assert searches() == 0


def test_rows_that_no_demo_made_are_never_erased_unasked(
    filled: Settings, toy_use_case: UseCase, source: DeclaredUpstream
) -> None:
    with pytest.raises(NotTheDemosData, match="--erase"):
        reset_demo(filled, toy_use_case, source, list)
    assert not is_empty(get_engine(filled), toy_use_case)
    reset_demo(filled, toy_use_case, source, list, erase=True)
    assert is_empty(get_engine(filled), toy_use_case)


def test_work_done_by_hand_after_a_demo_is_somebodys(
    filled: Settings, toy_use_case: UseCase, source: DeclaredUpstream
) -> None:
    TourMarker.of(filled, toy_use_case).note(DEMOS)
    ingest.run_ingest(filled, toy_use_case.name, NEXT_DAY + timedelta(hours=9))
    with pytest.raises(NotTheDemosData, match="the ingest as of 2026-06-02 09:00:00"):
        reset_demo(filled, toy_use_case, source, lambda: {NEXT_DAY})
    assert not is_empty(get_engine(filled), toy_use_case)


def test_what_the_schedule_did_on_a_stack_that_was_left_up_is_erased(
    filled: Settings, toy_use_case: UseCase, source: DeclaredUpstream
) -> None:
    TourMarker.of(filled, toy_use_case).note(DEMOS)
    ingest.run_ingest(filled, toy_use_case.name, NEXT_DAY)
    start_training_run(get_engine(filled), "toy", NEXT_DAY, "drift", trigger="drift")
    said = reset_demo(filled, toy_use_case, source, lambda: {NEXT_DAY})
    assert (
        said
        == "forgot what the previous demo left and what the platform did by itself (ingests and trainings: 2)"
    )
    assert is_empty(get_engine(filled), toy_use_case)


def test_what_a_demo_left_without_a_record_of_a_run_is_erased(
    filled: Settings, toy_use_case: UseCase, source: DeclaredUpstream
) -> None:
    """A clean start that was killed half-way leaves such things."""
    TourMarker.of(filled, toy_use_case).note(DEMOS)
    with get_engine(filled).begin() as connection:
        connection.exec_driver_sql("DELETE FROM ingest_run")
    assert reset_demo(filled, toy_use_case, source, list) == "forgot what the previous demo left"
    assert is_empty(get_engine(filled), toy_use_case)


def test_what_the_schedule_did_where_no_demo_was_is_never_erased_unasked(
    filled: Settings, toy_use_case: UseCase, source: DeclaredUpstream
) -> None:
    with pytest.raises(NotTheDemosData, match="the ingest as of 2026-06-01"):
        reset_demo(filled, toy_use_case, source, lambda: {DEMOS})


def test_a_schedule_that_found_nothing_before_the_first_demo_does_not_matter(
    toy_settings: Settings,
    toy_use_case: UseCase,
    source: DeclaredUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stack that is up over midnight tries an ingest before anybody has worked with it."""
    start_ingest(get_engine(toy_settings), toy_use_case, NEXT_DAY)
    with pytest.raises(NotTheDemosData, match="the ingest as of 2026-06-02"):
        reset_demo(toy_settings, toy_use_case, source, list)
    erased: list[str] = []
    monkeypatch.setattr(source, "erase", lambda: erased.append("source"))
    said = reset_demo(toy_settings, toy_use_case, source, lambda: {NEXT_DAY})
    assert said == "forgot what the platform did by itself (ingests and trainings: 1)"
    assert erased == []
    assert is_empty(get_engine(toy_settings), toy_use_case)


def test_a_mark_of_another_database_permits_nothing(
    filled: Settings, toy_use_case: UseCase, source: DeclaredUpstream
) -> None:
    elsewhere = filled.model_copy(update={"mariadb_database": "elsewhere"})
    TourMarker.of(elsewhere, toy_use_case).note(DEMOS)
    with pytest.raises(NotTheDemosData):
        reset_demo(filled, toy_use_case, source, list)


def test_the_ledger_is_not_erased_but_told_of_it(
    filled: Settings, toy_use_case: UseCase, source: DeclaredUpstream
) -> None:
    database = get_engine(filled)
    for version in (1, 2):
        ledger.append_entry(
            database,
            use_case="toy",
            action="promote",
            from_version=version - 1 or None,
            to_version=version,
            training_run_id=None,
            actor="gate",
            reason="good",
        )
    for _ in range(2):
        TourMarker.of(filled, toy_use_case).note(DEMOS)
        ingest.run_ingest(filled, toy_use_case.name, DEMOS)
        reset_demo(filled, toy_use_case, source, list)
    erased, *before = ledger.read_entries(database, "toy")
    assert (erased.action, erased.to_version) == ("erase", None)
    assert "@" in erased.actor
    assert [line.to_version for line in before if line.action == "promote"] == [2, 1]
    assert [line.action for line in before].count("erase") == 0
    assert champion_history.read_champions_at(database, erased.at) == {}
    assert is_empty(database, toy_use_case)
    assert reset_demo(filled, toy_use_case, source, list) == "nothing there yet"
