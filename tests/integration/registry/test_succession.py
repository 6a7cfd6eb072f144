"""The succession on a real store and a real MLflow: withdrawing a champion, and ending a succession."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from evergreen.errors import NoChampion, NotRegistered
from evergreen.registry import ledger
from evergreen.registry.champion import CHAMPION_ALIAS, read_champion
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession import aliases
from evergreen.registry.succession.erasure import erase_succession
from evergreen.registry.succession.rollback import Withdrawal, roll_back, withdraw_champion
from evergreen.registry.versions import read_version
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from support.champions import promote, read_actions, read_champion_version
from support.serving_world import World, register_models


class Killed(BaseException):
    """A kill: no handler of the code under test catches it."""


def withdraw(made: World, version: int) -> Withdrawal:
    database = get_engine(made.settings)
    with lock_use_case(database, "parcel"):
        return withdraw_champion(
            made.settings, database, made.use_case, version, actor="deploy", reason="bad answers"
        )


def connect(settings: Settings) -> MlflowClient:
    return MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)


@contextmanager
def killed_before_the_alias(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def deadly(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as fault:
        fault.setattr(aliases, "set_champion", deadly)
        with pytest.raises(Killed):
            yield


def test_a_withdrawn_champion_makes_room_for_the_one_before(line_up: World) -> None:
    first, second = line_up.versions
    assert withdraw(line_up, second) == Withdrawal("restored", first, first)
    assert read_champion_version(line_up) == first
    assert read_actions(line_up) == ["promote", "promote", "rollback"]
    line = ledger.read_entries(get_engine(line_up.settings), "parcel")[0]
    assert (line.from_version, line.to_version) == (second, first)
    assert (line.actor, line.reason) == ("deploy", "bad answers")


def test_a_second_withdrawal_changes_nothing(line_up: World) -> None:
    first, second = line_up.versions
    assert withdraw(line_up, second) == withdraw(line_up, second) == Withdrawal("restored", first, first)
    assert read_actions(line_up) == ["promote", "promote", "rollback"]


def test_a_withdrawal_that_was_killed_is_finished_by_the_next(
    line_up: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = line_up.versions
    with killed_before_the_alias(monkeypatch):
        withdraw(line_up, second)
    assert read_champion_version(line_up) == second
    assert withdraw(line_up, second) == Withdrawal("restored", first, first)
    assert read_champion_version(line_up) == first
    assert read_actions(line_up) == ["promote", "promote", "rollback"]


def test_a_first_champion_is_kept(line_up: World) -> None:
    first, second = line_up.versions
    withdraw(line_up, second)
    assert withdraw(line_up, first) == Withdrawal("kept", first)
    assert read_champion_version(line_up) == first


def test_a_champion_is_kept_if_the_one_before_cannot_take_over(line_up: World, tmp_path: Path) -> None:
    second = line_up.versions[1]
    [lost] = register_models(line_up.settings, line_up.use_case, tmp_path / "lost", [1], classes=())
    promote(line_up, lost, second)
    promote(line_up, second, lost)
    for file in (tmp_path / "lost").rglob("model.cb"):
        file.write_bytes(b"no model")
    withdrawal = withdraw(line_up, second)
    assert (withdrawal.outcome, withdrawal.champion_version, withdrawal.former_version) == (
        "kept",
        second,
        lost,
    )
    assert "is not a CatBoost model" in withdrawal.obstacle
    assert read_champion_version(line_up) == second
    assert read_actions(line_up) == ["promote"] * 4


def test_who_is_not_champion_any_more_is_not_withdrawn(line_up: World, tmp_path: Path) -> None:
    first, second = line_up.versions
    [third] = register_models(line_up.settings, line_up.use_case, tmp_path / "third", [1])
    promote(line_up, third, second)
    promote(line_up, first, third)
    promote(line_up, third, first)
    assert withdraw(line_up, second) == Withdrawal("overtaken", third)
    assert read_actions(line_up) == ["promote"] * 5
    connect(line_up.settings).delete_registered_model_alias("parcel", CHAMPION_ALIAS)
    assert withdraw(line_up, third) == Withdrawal("overtaken", None)
    assert read_actions(line_up) == [*["promote"] * 5, "external"]


def test_a_champion_that_was_set_by_hand_is_withdrawn_too(line_up: World, tmp_path: Path) -> None:
    second = line_up.versions[1]
    [by_hand] = register_models(line_up.settings, line_up.use_case, tmp_path / "by-hand", [1])
    connect(line_up.settings).set_registered_model_alias("parcel", CHAMPION_ALIAS, str(by_hand))
    assert withdraw(line_up, by_hand) == Withdrawal("restored", second, second)
    assert read_actions(line_up) == ["promote", "promote", "external", "rollback"]


def test_a_killed_rollback_does_not_hide_who_is_champion(
    line_up: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another target than that of the rollback that was cut short is still possible."""
    first, second = line_up.versions
    database = get_engine(line_up.settings)
    with killed_before_the_alias(monkeypatch), lock_use_case(database, "parcel"):
        roll_back(line_up.settings, database, line_up.use_case, first, actor="ann", reason="")
    with lock_use_case(database, "parcel"):
        restoration = roll_back(line_up.settings, database, line_up.use_case, second, actor="bob", reason="")
    assert (restoration.entry.from_version, restoration.entry.to_version) == (first, second)
    assert restoration.entry.reason == f"rolled back to v{second} by hand"
    assert read_champion_version(line_up) == second


def test_an_erased_succession_leaves_its_lines_alone(made: World, tmp_path: Path) -> None:
    other = replace(made.use_case, name="other")
    database = get_engine(made.settings)
    [version] = register_models(made.settings, other, tmp_path / "other", [1])
    line = ledger.append_entry(
        database,
        use_case_name="other",
        action="promote",
        from_version=None,
        to_version=version,
        training_run_id=None,
        actor="gate",
        reason="good",
    )
    aliases.set_champion(made.settings, "other", version, line.at)
    for _ in range(2):
        with lock_use_case(database, "other"):
            erase_succession(made.settings, database, "other", actor="ann", reason="anew")
    erased, before = ledger.read_entries(database, "other")
    assert before == line
    assert (erased.action, erased.from_version, erased.to_version) == ("erase", version, None)
    assert (erased.actor, erased.reason) == ("ann", "anew")
    assert read_champion(made.settings, "other") is None
    with pytest.raises(NotRegistered):
        read_version(made.settings, "other", version)
    with lock_use_case(database, "other"), pytest.raises(NoChampion, match="no former champion"):
        roll_back(made.settings, database, other, None, actor="ann", reason="")
