"""A demo erases what a demo made and the platform since, and refuses where a person has worked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from evergreen.demo.fresh import TourMarker, reset_demo
from evergreen.demo.upstream import DeclaredUpstream
from evergreen.errors import NotTheDemosData
from evergreen.loop import ingest, train
from evergreen.registry import champion_history, ledger
from evergreen.registry.champion import CHAMPION_ALIAS, read_champion
from evergreen.registry.connection import create_mlflow_client
from evergreen.registry.models import TRAINING_RUN
from evergreen.registry.succession.aliases import set_champion
from evergreen.registry.versions import list_versions
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
def source(toy_settings: Settings, toy_use_case: UseCase, empty_mlflow: Path) -> DeclaredUpstream:
    shutil.copy(empty_mlflow, toy_settings.mlflow_tracking_uri.removeprefix("sqlite:///"))
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
            use_case_name="toy",
            action="promote",
            from_version=version - 1 or None,
            to_version=version,
            training_run_id=None,
            actor="gate",
            reason="good",
        )
    # Their models are not there: somebody has deleted them.
    for erase in (True, False):
        TourMarker.of(filled, toy_use_case).note(DEMOS)
        ingest.run_ingest(filled, toy_use_case.name, DEMOS)
        reset_demo(filled, toy_use_case, source, list, erase=erase)
    erased, *before = ledger.read_entries(database, "toy")
    assert (erased.action, erased.to_version) == ("erase", None)
    assert "@" in erased.actor
    assert [line.to_version for line in before if line.action == "promote"] == [2, 1]
    assert [line.action for line in before].count("erase") == 0
    assert champion_history.read_champions_at(database, erased.at) == {}
    assert is_empty(database, toy_use_case)
    assert reset_demo(filled, toy_use_case, source, list) == "nothing there yet"


@pytest.fixture
def toured(filled: Settings, toy_use_case: UseCase, source: DeclaredUpstream) -> Settings:
    """The toy after a tour: its rows, and version 1, which a training made, as champion."""
    TourMarker.of(filled, toy_use_case).note(DEMOS)
    client = create_mlflow_client(filled)
    client.create_registered_model("toy")
    client.create_model_version("toy", "file:///nowhere", tags={TRAINING_RUN: "1"})
    line = decide(filled, "promote", "gate")
    set_champion(filled, "toy", 1, line.at)
    return filled


def decide(settings: Settings, action: ledger.Action, actor: str) -> ledger.Entry:
    return ledger.append_entry(
        get_engine(settings),
        use_case_name="toy",
        action=action,
        from_version=None,
        to_version=1,
        training_run_id=None,
        actor=actor,
        reason="for a reason",
    )


@pytest.mark.parametrize(
    ("action", "actor"),
    [("deny", "airflow: nobody"), ("rollback", "deploy"), ("reject", "gate"), ("refuse", "service")],
)
def test_what_the_platform_decided_since_a_demo_is_erased(
    toured: Settings, toy_use_case: UseCase, source: DeclaredUpstream, action: ledger.Action, actor: str
) -> None:
    line = decide(toured, action, actor)
    set_champion(toured, "toy", 1, line.at)
    assert reset_demo(toured, toy_use_case, source, list) == "forgot what the previous demo left"
    assert list_versions(toured, "toy") == []


@pytest.mark.parametrize("action", ["rollback", "approve", "deny"])
def test_what_a_person_decided_since_a_demo_is_never_erased_unasked(
    toured: Settings, toy_use_case: UseCase, source: DeclaredUpstream, action: ledger.Action
) -> None:
    line = decide(toured, action, "ann@host")
    set_champion(toured, "toy", 1, line.at)
    with pytest.raises(NotTheDemosData, match=f": line {line.id} of the ledger, {action} by ann@host"):
        reset_demo(toured, toy_use_case, source, list)
    assert [each.version for each in list_versions(toured, "toy")] == [1]
    assert not is_empty(get_engine(toured), toy_use_case)
    assert reset_demo(toured, toy_use_case, source, list, erase=True) == "forgot all that there was"
    # The next tour is again one command.
    TourMarker.of(toured, toy_use_case).note(DEMOS)
    ingest.run_ingest(toured, "toy", DEMOS)
    assert reset_demo(toured, toy_use_case, source, list) == "forgot what the previous demo left"


def test_a_model_of_somebodys_own_is_never_erased_unasked(
    toured: Settings, toy_use_case: UseCase, source: DeclaredUpstream
) -> None:
    client = create_mlflow_client(toured)
    client.create_model_version("toy", "file:///elsewhere")
    with pytest.raises(NotTheDemosData, match="version 2 of the model, which was registered by hand"):
        reset_demo(toured, toy_use_case, source, list)
    client.set_registered_model_alias("toy", CHAMPION_ALIAS, "2")
    with pytest.raises(NotTheDemosData, match="external by unknown, by hand in MLflow"):
        reset_demo(toured, toy_use_case, source, list)
    champion = read_champion(toured, "toy")
    assert champion is not None
    assert champion.version == 2


def test_an_answer_of_a_person_to_the_first_candidate_is_told_once(
    toured: Settings, toy_use_case: UseCase, source: DeclaredUpstream
) -> None:
    """There was no champion yet; what is erased on demand does not stop the next tour."""
    reset_demo(toured, toy_use_case, source, list)
    decide(toured, "deny", "ann@host")
    for erase in (True, False):
        TourMarker.of(toured, toy_use_case).note(DEMOS)
        ingest.run_ingest(toured, "toy", DEMOS)
        reset_demo(toured, toy_use_case, source, list, erase=erase)
    assert [line.action for line in ledger.read_entries(get_engine(toured), "toy")][:2] == ["erase", "deny"]
