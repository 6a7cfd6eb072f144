"""A champion set or removed by hand in MLflow gets one line in the ledger; Evergreen's changes get none."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient

from evergreen.errors import StoreError
from evergreen.registry import champion_history, ledger, reconcile
from evergreen.registry.champion import CHAMPION_ALIAS, read_champion
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.aliases import set_champion
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations


@pytest.fixture
def registry(settings: Settings, empty_mlflow: Path) -> MlflowClient:
    """Versions 1 to 3 of `toy`, none of them champion."""
    uri = settings.mlflow_tracking_uri
    shutil.copy(empty_mlflow, uri.removeprefix("sqlite:///"))
    apply_migrations(get_engine(settings))
    client = MlflowClient(uri, uri)
    client.create_registered_model("toy")
    for _ in range(3):
        client.create_model_version("toy", "file:///nowhere")
    return client


@pytest.fixture
def database(settings: Settings, registry: MlflowClient) -> sa.Engine:
    return get_engine(settings)


def write(database: sa.Engine, version: int | None, former: int | None, action: str = "promote") -> Any:
    return ledger.append_entry(
        database,
        use_case_name="toy",
        action=action,  # type: ignore[arg-type]
        from_version=former,
        to_version=version,
        training_run_id=None,
        actor="gate",
        reason="good",
    )


def promote(settings: Settings, version: int, former: int | None) -> ledger.Entry:
    """A promotion as Evergreen does it: line, alias and tag."""
    line = write(get_engine(settings), version, former)
    set_champion(settings, "toy", version, line.at)
    return line


def noticed(settings: Settings) -> tuple[int | None, int | None] | None:
    line = reconcile.reconcile_ledger(settings, get_engine(settings), "toy")
    return (line.from_version, line.to_version) if line else None


def test_own_promotions_are_no_news(settings: Settings, database: sa.Engine) -> None:
    assert noticed(settings) is None
    promote(settings, 1, None)
    promote(settings, 2, 1)
    assert noticed(settings) is None
    assert len(ledger.read_entries(database, "toy")) == 2


def test_an_alias_moved_by_hand_is_written_down_once(
    settings: Settings, database: sa.Engine, registry: MlflowClient
) -> None:
    promote(settings, 1, None)
    promote(settings, 2, 1)
    registry.set_registered_model_alias("toy", CHAMPION_ALIAS, "1")
    assert noticed(settings) == (2, 1)
    assert noticed(settings) is None
    line = ledger.read_entries(database, "toy")[0]
    assert (line.action, line.actor) == ("external", "unknown, by hand in MLflow")
    assert "set to v1 in MLflow" in line.reason
    assert f"noticed at {line.at:%Y-%m-%d %H:%M:%S}" in line.reason
    assert champion_history.find_promotion_time(database, "toy", 1) == line.at
    registry.set_registered_model_alias("toy", CHAMPION_ALIAS, "3")
    assert noticed(settings) == (1, 3)


def test_a_removed_alias_is_written_down_and_so_is_its_return(
    settings: Settings, database: sa.Engine, registry: MlflowClient
) -> None:
    first = promote(settings, 1, None)
    registry.delete_registered_model_alias("toy", CHAMPION_ALIAS)
    assert noticed(settings) == (1, None)
    assert noticed(settings) is None
    removal = ledger.read_entries(database, "toy")[0]
    assert champion_history.read_champions_at(database, first.at)["toy"] == first
    assert champion_history.read_champions_at(database, removal.at) == {}
    assert champion_history.find_former_champion(database, "toy") == 1
    registry.set_registered_model_alias("toy", CHAMPION_ALIAS, "1")
    assert noticed(settings) == (None, 1)


def test_a_first_champion_set_by_hand_is_written_down(settings: Settings, registry: MlflowClient) -> None:
    registry.set_registered_model_alias("toy", CHAMPION_ALIAS, "2")
    assert noticed(settings) == (None, 2)


@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_a_change_of_ours_that_was_cut_short_is_not_by_hand(
    settings: Settings, database: sa.Engine, registry: MlflowClient, action: str
) -> None:
    promote(settings, 2, None)
    line = write(database, 1, 2, action)
    assert noticed(settings) is None  # killed before the alias
    registry.set_registered_model_alias("toy", CHAMPION_ALIAS, "1")
    assert noticed(settings) is None  # killed before the tag
    set_champion(settings, "toy", 1, line.at)
    assert noticed(settings) is None
    registry.set_registered_model_alias("toy", CHAMPION_ALIAS, "2")
    assert noticed(settings) == (1, 2)  # it was finished: this is somebody else


def test_a_third_version_meanwhile_is_by_hand_all_the_same(
    settings: Settings, database: sa.Engine, registry: MlflowClient
) -> None:
    promote(settings, 1, None)
    write(database, 2, 1)
    registry.set_registered_model_alias("toy", CHAMPION_ALIAS, "3")
    assert noticed(settings) == (1, 3)
    assert champion_history.find_former_champion(database, "toy") == 1


def test_a_version_that_was_deleted_will_never_be_promoted(
    settings: Settings, database: sa.Engine, registry: MlflowClient
) -> None:
    promote(settings, 1, None)
    write(database, 2, 1)
    registry.delete_model_version("toy", "2")
    assert noticed(settings) == (2, 1)


def test_an_erasure_in_progress_is_not_by_hand(
    settings: Settings, database: sa.Engine, registry: MlflowClient
) -> None:
    promote(settings, 1, None)
    write(database, None, 1, "erase")
    assert noticed(settings) is None
    registry.delete_registered_model("toy")
    assert noticed(settings) is None
    registry.create_registered_model("toy")
    registry.create_model_version("toy", "file:///nowhere")
    registry.set_registered_model_alias("toy", CHAMPION_ALIAS, "1")
    assert noticed(settings) == (None, 1)


def test_many_at_once_write_one_line(settings: Settings, database: sa.Engine, registry: MlflowClient) -> None:
    promote(settings, 1, None)
    registry.set_registered_model_alias("toy", CHAMPION_ALIAS, "3")
    with ThreadPoolExecutor(6) as pool:
        lines = list(pool.map(lambda _: noticed(settings), range(6)))
    assert sorted(map(str, lines)) == ["(1, 3)", *["None"] * 5]
    assert [line.action for line in ledger.read_entries(database, "toy")] == ["external", "promote"]


def test_it_waits_for_a_promotion_in_progress(
    settings: Settings, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reconciler reads between the ledger's line and the alias; when it gets the lock they agree."""
    promote(settings, 1, None)
    entries: list[object] = []
    with lock_use_case(database, "toy"):
        line = write(database, 2, 1)
        waiting = threading.Thread(target=lambda: entries.append(noticed(settings)))
        waiting.start()
        waiting.join(0.5)
        assert not entries
        set_champion(settings, "toy", 2, line.at)
    waiting.join(10)
    assert entries == [None]
    champion = read_champion(settings, "toy")
    assert champion is not None
    assert champion.version == 2
    assert len(ledger.read_entries(database, "toy")) == 2


def test_what_has_another_purpose_does_not_wait_for_a_promotion(database: sa.Engine) -> None:
    with lock_use_case(database, "toy"), lock_use_case(database, "toy", 0, purpose="mirror"):
        for purpose in ("training", "mirror"):
            busy = pytest.raises(StoreError, match=rf"working on {purpose}\.toy")
            with busy, lock_use_case(database, "toy", 0, purpose=purpose):
                pass
