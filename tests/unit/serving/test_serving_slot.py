"""The model slot: swaps when the champion changes, keeps serving when the registry or a model fails."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from evergreen.errors import NoChampion, RegistryUnreachable, SignatureMismatch
from evergreen.serving.slot import ModelSlot

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class Registry:
    """A registry whose answers the test sets; an exception is raised."""

    version: int | Exception | None = None
    load_error: Exception | None = None
    loads: int = 0

    def find(self) -> Any:
        if isinstance(self.version, Exception):
            raise self.version
        return None if self.version is None else Named(self.version)

    def load(self, version: int) -> Any:
        self.loads += 1
        if self.load_error:
            raise self.load_error
        return Named(version)


@dataclass
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


def test_a_new_champion_replaces_the_old_and_who_holds_the_old_keeps_it() -> None:
    swaps = []
    registry = Registry(1)
    slot = slot_of(registry, swapped=swaps.append)
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


def test_a_model_that_cannot_be_loaded_leaves_the_former_and_is_tried_again_with_patience() -> None:
    registry = Registry(1)
    slot = slot_of(registry)
    slot.check()
    registry.version, registry.load_error = 2, SignatureMismatch("feature `age` is missing")
    for _ in range(50):
        slot.check()
    assert slot.require().version == 1
    assert "age" in slot.trouble
    assert registry.loads < 5  # once for version 1, then with growing pauses
    registry.load_error = None
    deadline = time.monotonic() + 5
    while slot.require().version != 2 and time.monotonic() < deadline:
        slot.check()
        time.sleep(0.01)
    assert slot.require().version == 2


def test_the_thread_notices_a_new_champion_and_stops_when_told() -> None:
    registry = Registry(1)
    swapped = threading.Event()
    slot = slot_of(registry, swapped=lambda served: swapped.set())
    slot.start()
    assert swapped.wait(5)
    swapped.clear()
    registry.version = 2
    assert swapped.wait(5)
    slot.stop()
    registry.version = 3
    time.sleep(0.05)
    assert slot.require().version == 2
