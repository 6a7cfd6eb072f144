"""How many workers BentoML starts, by the setting and by what somebody has told BentoML itself."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from evergreen.errors import SettingsError
from evergreen.serving import launch

OVERRIDES = "BENTOML_CONFIG_OVERRIDES"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home without settings, two workers, and a BentoML that is not run. What a test sets is taken back."""
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    monkeypatch.setenv("EVERGREEN_SERVICE_WORKERS", "2")
    monkeypatch.setenv(OVERRIDES, "")
    monkeypatch.setattr(runpy, "run_module", lambda *_, **__: None)
    monkeypatch.setattr(launch, "close_control_socket", lambda: None)
    monkeypatch.setattr(launch, "refuse_connections_at_the_end", lambda: None)
    monkeypatch.setattr(sys, "argv", ["launch"])


def launch_with(monkeypatch: pytest.MonkeyPatch, overrides: Any) -> Any:
    """What BentoML reads after the launcher, which began with these overrides; None: without the variable."""
    if overrides is None:
        monkeypatch.delenv(OVERRIDES)
    else:
        monkeypatch.setenv(OVERRIDES, overrides if isinstance(overrides, str) else json.dumps(overrides))
    assert launch.main([]) == 0
    return json.loads(os.environ[OVERRIDES])


@pytest.mark.parametrize("overrides", [None, "", {}, {"services": {}}, {"services": {"evergreen": {}}}])
def test_the_setting_says_how_many_workers_there_are(monkeypatch: pytest.MonkeyPatch, overrides: Any) -> None:
    assert launch_with(monkeypatch, overrides) == {"services": {"evergreen": {"workers": 2}}}


def test_what_else_bentoml_was_told_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = {
        "version": 2,
        "services": {"other": {"workers": 7}, "evergreen": {"traffic": {"timeout": 90}}},
    }
    assert launch_with(monkeypatch, overrides) == {
        "version": 2,
        "services": {"other": {"workers": 7}, "evergreen": {"traffic": {"timeout": 90}, "workers": 2}},
    }


@pytest.mark.parametrize(
    "services",
    [
        {"evergreen": {"workers": 5}},
        {"workers": 5},
        {"workers": 5, "evergreen": {"traffic": {"timeout": 90}}},
    ],
)
def test_workers_that_bentoml_was_told_go_before_the_setting(
    monkeypatch: pytest.MonkeyPatch, services: dict[str, Any]
) -> None:
    assert launch_with(monkeypatch, {"services": services}) == {"services": services}


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ('{"services": ', "is not JSON"),
        ("services.evergreen.workers=4", "is not JSON"),
        ("[1]", "is not a JSON object"),
        ("null", "is not a JSON object"),
        ('{"services": 4}', '"services" of BENTOML_CONFIG_OVERRIDES is not a JSON object'),
        ('{"services": {"evergreen": [4]}}', '"evergreen" of BENTOML_CONFIG_OVERRIDES is not a JSON object'),
    ],
)
def test_overrides_that_cannot_be_read_are_an_error_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], overrides: str, reason: str
) -> None:
    monkeypatch.setenv(OVERRIDES, overrides)
    assert launch.main([]) == SettingsError.exit_code
    told = capsys.readouterr().err
    assert OVERRIDES in told
    assert reason in told
    assert '{"services": {"evergreen": {"traffic": {"timeout": 90}}}}' in told  # how it is done
    assert os.environ[OVERRIDES] == overrides
