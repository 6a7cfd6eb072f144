"""The seams at which a benchmark switches parts of the service off are those that the service has."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.serving import switches
from benchmarks.serving.switches import Seam, apply_switches, list_missing, set_durability
from benchmarks.serving.variants import BARE, FULL, PLAIN, POWER, TWO_WORKERS, WITHOUT_LOG, Variant

from evergreen.settings import Settings
from evergreen.usecases import load_use_case


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("switched_module")
    exec("class Log:\n    def put(self, row): raise RuntimeError\ndef identify(): return b'1'", made.__dict__)
    monkeypatch.setitem(sys.modules, "switched_module", made)
    monkeypatch.setitem(
        switches.SWITCHES,
        "log",
        (
            Seam("switched_module", "Log.put"),
            Seam("no_such_module", "x"),
            Seam("switched_module", "Gone.put"),
        ),
    )
    monkeypatch.setitem(switches.SWITCHES, "gone", (Seam("switched_module", "Log.take"),))
    return made


def test_what_is_switched_off_does_nothing(module: ModuleType) -> None:
    apply_switches(["log"])
    assert module.Log().put("a row") is None
    assert module.identify() == b"1"


def test_a_switch_without_a_seam_is_missing(module: ModuleType) -> None:
    assert list_missing(["log", "gone"]) == ["gone"]
    assert Variant("x", without=("gone",)).missing == "the service has no gone that could be switched off"


def test_an_unknown_switch_is_an_error(module: ModuleType) -> None:
    with pytest.raises(KeyError):
        apply_switches(["no_such_switch"])


def test_the_installed_service_has_every_seam() -> None:
    assert [seam for seams in switches.SWITCHES.values() for seam in seams if seam.find() is None] == []
    assert list_missing(list(switches.SWITCHES)) == []


def test_without_its_log_a_variant_has_no_predictions_to_look_for() -> None:
    assert not WITHOUT_LOG.logs
    assert all(variant.logs for variant in (PLAIN, FULL, BARE, POWER, TWO_WORKERS))
    assert PLAIN.missing == TWO_WORKERS.missing == ""


def test_settings_that_are_not_there_are_told() -> None:
    assert Variant("x", {"EVERGREEN_THREADS": "1", "OTHER": "x"}).missing == ""
    missing = Variant("x", {"EVERGREEN_THREADS": "1", "EVERGREEN_NO_SUCH": "off"}).missing
    assert missing == "the service has no setting EVERGREEN_NO_SUCH"


def test_a_level_changes_the_declaration_alone() -> None:
    use_case = load_use_case("credit_score", Settings())
    assert set_durability(use_case, "") is use_case
    if switches.has_durability():
        changed = set_durability(use_case, "power")
        assert changed.serving.durability == "power"
        assert replace(changed, serving=use_case.serving) == use_case
    else:
        assert POWER.missing == "a declaration cannot choose how durable its log is"
