"""The model slot: swaps when the champion changes, keeps serving when the registry or a model fails."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from evergreen.errors import (
    ModelNotLoaded,
    ModelRefused,
    NoChampion,
    RegistryError,
    RegistryUnreachable,
    SignatureMismatch,
    StoreUnreachable,
)
from evergreen.serving.models.slot import ModelSlot, ServedModel

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class Registry:
    """A registry whose answers the test sets; an exception is raised."""

    version: int | Exception | None = None
    load_error: Exception | None = None
    loads: int = 0
    run_id: str = "run"

    def find(self) -> Any:
        if isinstance(self.version, Exception):
            raise self.version
        return None if self.version is None else Named(self.version, self.run_id)

    def load(self, version: int) -> Any:
        self.loads += 1
        if self.load_error:
            raise self.load_error
        return Named(version, self.run_id)


@dataclass(eq=False)
class Named:
    version: int
    run_id: str = "run"
    promoted_at: datetime | None = None


def slot_of(registry: Registry, **options: Any) -> ModelSlot:
    return ModelSlot(registry.find, registry.load, poll_seconds=0.01, clock=lambda: NOW, **options)


def test_without_a_champion_nothing_is_served_and_the_error_says_so() -> None:
    slot = slot_of(Registry(None))
    assert slot.check() is False
    assert slot.current is None
    with pytest.raises(NoChampion, match="no champion"):
        slot.require()


def test_before_the_registry_has_answered_nobody_is_told_to_train() -> None:
    with pytest.raises(ModelNotLoaded):
        slot_of(Registry(1)).require()


def test_a_model_made_anew_under_the_same_version_is_loaded() -> None:
    registry = Registry(1)
    slot = slot_of(registry)
    slot.check()
    registry.run_id = "another run"
    assert slot.check() is True
    assert slot.require().model.run_id == "another run"


def test_a_new_champion_replaces_the_old_and_who_holds_the_old_keeps_it() -> None:
    swaps = []
    registry = Registry(1)
    slot = slot_of(registry, on_swap=swaps.append)
    assert slot.check() is True
    held = slot.require()
    registry.version = 2
    assert slot.check() is True
    assert (held.version, slot.require().version) == (1, 2)
    assert slot.require().loaded_at == NOW
    assert [served.version for served in swaps] == [1, 2]


def test_the_same_champion_is_not_loaded_again() -> None:
    registry = Registry(1)
    slot = slot_of(registry)
    assert [slot.check() for _ in range(5)] == [True, False, False, False, False]
    assert registry.loads == 1


@pytest.mark.parametrize("fault", [RegistryUnreachable("MLflow is away"), None, ValueError("odd answer")])
def test_a_registry_that_fails_leaves_the_model_in_service(fault: Exception | None) -> None:
    registry = Registry(1)
    slot = slot_of(registry)
    slot.check()
    registry.version = fault
    assert slot.check() is False
    assert slot.require().version == 1
    assert slot.trouble
    registry.version = 1
    slot.check()
    assert slot.trouble == ""


def test_a_model_that_cannot_be_loaded_leaves_the_former_and_is_tried_again_with_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("evergreen.serving.models.slot.time", SimpleNamespace(monotonic=lambda: now))
    registry = Registry(1)
    slot = ModelSlot(registry.find, registry.load, poll_seconds=2.0, clock=lambda: NOW)
    slot.check()
    registry.version, registry.load_error = 2, SignatureMismatch("feature `age` is missing")
    tries = []
    while now < 200:
        before = registry.loads
        slot.check()
        if registry.loads > before:
            tries.append(now)
        now += 2.0
    assert slot.require().version == 1
    assert "age" in slot.trouble
    assert tries == [0, 2, 6, 14, 30, 62, 122, 182]  # the pauses double up to a minute
    registry.load_error = None
    now = 241.0
    assert slot.check() is False
    now = 242.0
    assert slot.check() is True
    assert slot.require().version == 2
    assert slot.trouble == ""


def test_each_answer_of_the_registry_is_told_also_of_who_is_refused_and_of_nobody() -> None:
    seen: list[Any] = []
    registry = Registry(1)
    slot = slot_of(registry, on_champion=lambda named: seen.append(named and named.version))
    slot.check()
    registry.version, registry.load_error = 2, SignatureMismatch("feature `age` is missing")
    slot.check()
    slot.check()
    registry.version = RegistryUnreachable("MLflow is away")
    slot.check()
    registry.version = None
    slot.check()
    assert seen == [1, 2, 2, None]


def test_a_rollback_to_the_model_before_needs_no_loading() -> None:
    registry = Registry(1)
    slot = slot_of(registry)
    first = slot.require().model if slot.check() else None
    registry.version = 2
    slot.check()
    registry.load_error = RegistryUnreachable("no artifact")
    for version in (1, 2, 1, 2, 1):
        registry.version = version
        assert slot.check() is True
        assert slot.require().version == version
    assert slot.require().model is first
    assert registry.loads == 2
    assert slot.trouble == ""


@pytest.mark.parametrize(
    "fault", [StoreUnreachable("MariaDB is away"), ModelRefused("another file"), ValueError("odd file")]
)
def test_a_champion_that_cannot_be_loaded_leaves_the_model_before_where_it_is(fault: Exception) -> None:
    registry = Registry(1)
    slot = slot_of(registry)
    first = slot.require().model if slot.check() else None
    registry.version = 2
    slot.check()
    registry.version, registry.load_error = 3, fault
    for _ in range(3):
        assert slot.check() is False
    registry.version = 1
    assert slot.check() is True
    assert slot.require().model is first
    registry.version = 2
    assert slot.check() is True


def test_a_model_that_is_loaded_again_leaves_the_model_before_where_it_is() -> None:
    """A cached model answered at the start; it is verified when it becomes champion again."""
    registry, home = Registry(RegistryUnreachable("MLflow is away")), Home(3)
    slot = slot_of(registry, load_cached_model=home.load)
    slot.check()
    registry.version = 4
    slot.check()
    registry.version = 3
    assert [slot.check() for _ in range(3)] == [True, True, False]
    assert not slot.require().from_cache
    registry.version, registry.load_error = 4, RegistryUnreachable("MLflow is away")
    assert slot.check() is True
    assert slot.require().version == 4


def test_a_version_made_anew_is_not_the_model_before() -> None:
    registry = Registry(1)
    slot = slot_of(registry)
    slot.check()
    registry.version = 2
    slot.check()
    registry.version, registry.run_id = 1, "another run"
    assert slot.check() is True
    assert registry.loads == 3
    assert slot.require().model.run_id == "another run"


@pytest.mark.parametrize("fails", [False, True])
def test_two_models_are_in_memory_and_a_third_only_while_it_is_loaded(fails: bool) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0
    is_spoilt = False
    registry = Registry(1)

    def load(version: int) -> Any:
        nonlocal most
        model = Named(version)
        alive.add(model)
        most = max(most, len(alive))
        if is_spoilt:
            raise ModelRefused("another file")
        return model

    slot = ModelSlot(registry.find, load, poll_seconds=0.01, clock=lambda: NOW)
    for version in (1, 2, 3, 2, 4, 5, 4, 1):
        registry.version = version
        assert slot.check() is True
        assert len(alive) <= 2
        if fails:
            registry.version, is_spoilt = 9, True
            assert slot.check() is False
            assert len(alive) <= 2
            is_spoilt = False
            slot._failures.clear()
    assert most == 3


@dataclass
class Home:
    """What a home served before the start."""

    version: int | Exception | None = 3
    loads: int = 0
    asked: Any = None

    def load(self, champion: Any) -> ServedModel | None:
        self.loads += 1
        self.asked = champion and champion.version
        if isinstance(self.version, Exception):
            raise self.version
        if self.version is None:
            return None
        return ServedModel(Named(self.version), None, NOW, verified_at=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("version", "load_error", "asked"),
    [
        (RegistryUnreachable("MLflow is away"), None, None),
        (RegistryError("MLflow is another server"), None, None),
        (4, StoreUnreachable("MariaDB is away"), 4),
        (4, RegistryUnreachable("MLflow went away"), 4),
        (4, ModelRefused("another file"), None),  # its copy is no better than it
    ],
)
def test_at_the_start_the_last_champion_serves_until_the_champion_can(
    version: int | Exception, load_error: Exception | None, asked: int | None
) -> None:
    registry, home = Registry(version, load_error), Home()
    swaps: list[ServedModel] = []
    slot = slot_of(registry, load_cached_model=home.load, on_swap=swaps.append)
    for _ in range(3):
        slot.check()
    assert slot.require().from_cache
    assert (slot.require().version, home.loads, home.asked, len(swaps)) == (3, 1, asked, 1)
    assert slot.trouble == (load_error or version).message  # type: ignore[union-attr]
    # The same version as the cached one: it is loaded all the same, because now it can be verified.
    registry.version, registry.load_error = 3, None
    assert slot.check() is True
    assert not slot.require().from_cache
    assert slot.trouble == ""
    assert slot.check() is False


def test_the_last_champion_never_replaces_a_model_and_never_stands_in_for_a_removed_one() -> None:
    registry, home = Registry(None), Home()
    slot = slot_of(registry, load_cached_model=home.load)
    slot.check()
    assert slot.current is None
    registry.version = 4
    slot.check()
    registry.version = RegistryUnreachable("MLflow is away")
    slot.check()
    assert slot.require().version == 4
    assert home.loads == 0


@pytest.mark.parametrize("version", [None, ModelRefused("it fits no more"), OSError("no disk")])
def test_a_home_without_a_last_champion_changes_nothing(version: int | Exception | None) -> None:
    registry, home = Registry(RegistryUnreachable("MLflow is away")), Home(version)
    slot = slot_of(registry, load_cached_model=home.load)
    for _ in range(3):
        slot.check()
    assert (slot.current, slot.trouble, home.loads) == (None, "MLflow is away", 1)
    registry.version = 4
    assert slot.check() is True


def test_a_copy_of_the_champion_is_looked_for_once_mlflow_names_it() -> None:
    """MLflow is away at first, and when it answers MariaDB is away; the home has no last champion."""
    registry, home = Registry(RegistryUnreachable("MLflow is away")), Home(None)
    slot = slot_of(registry, load_cached_model=home.load)
    slot.check()
    registry.version, registry.load_error = 4, StoreUnreachable("MariaDB is away")
    home.version = 4
    for _ in range(3):
        slot.check()
    assert (slot.require().version, home.asked, home.loads) == (4, 4, 2)


def test_servers_that_are_away_are_asked_at_each_poll() -> None:
    registry = Registry(2, StoreUnreachable("MariaDB is away"))
    slot = slot_of(registry)
    for _ in range(10):
        slot.check()
    assert registry.loads == 10


def test_the_thread_notices_a_new_champion_and_stops_when_told() -> None:
    registry = Registry(1)
    swapped = threading.Event()
    slot = slot_of(registry, on_swap=lambda served: swapped.set())
    slot.start()
    try:
        assert swapped.wait(60)
        swapped.clear()
        registry.version = 2
        assert swapped.wait(60)
        assert slot.require().version == 2
        (thread,) = [t for t in threading.enumerate() if t.name == "champion-poll"]
    finally:
        slot.stop()
    assert not thread.is_alive()
