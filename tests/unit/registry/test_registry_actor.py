"""Who stands in the ledger for a command line, also where the user has no name."""

from __future__ import annotations

import os
import platform

import pytest

from evergreen.registry.actor import whoever


def test_it_is_the_user_at_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    assert whoever() == f"ann@{platform.node()}"


def test_a_uid_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert whoever() == f"unknown@{platform.node()}"


def test_it_fits_into_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "a" * 300)
    assert len(whoever()) == 255
