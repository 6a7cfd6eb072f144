"""The account that stands in the ledger does not depend on $USER, $LOGNAME or a forged $SUDO_UID."""

from __future__ import annotations

import os
import platform
import pwd

import pytest

from evergreen.registry.actor import identify_actor


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process belongs to bob, 1002; ann is 1001, and nobody else has a name."""
    names = {0: "root", 1001: "ann", 1002: "bob"}

    def find(user: int) -> pwd.struct_passwd:
        return pwd.struct_passwd((names[user], "x", user, user, "", "/", "/bin/sh"))

    monkeypatch.setattr(pwd, "getpwuid", find)
    monkeypatch.setattr(os, "getuid", lambda: 1002)
    monkeypatch.delenv("SUDO_UID", raising=False)


@pytest.mark.parametrize("name", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_the_environment_makes_nobody_another(
    account: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "ann")
    assert identify_actor() == f"bob@{platform.node()}"


def test_behind_root_stands_who_used_sudo(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert identify_actor() == f"root@{platform.node()}"
    monkeypatch.setenv("SUDO_UID", "1001")
    assert identify_actor() == f"root@{platform.node()} (sudo by ann)"
    monkeypatch.setenv("SUDO_UID", "9999")
    assert identify_actor() == f"root@{platform.node()} (sudo by uid-9999)"


@pytest.mark.parametrize(("user", "sudo_uid"), [(1002, "1001"), (0, "0"), (0, ""), (0, "ann"), (0, "-1")])
def test_nobody_but_root_is_believed_who_used_sudo(
    account: None, monkeypatch: pytest.MonkeyPatch, user: int, sudo_uid: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: user)
    monkeypatch.setenv("SUDO_UID", sudo_uid)
    assert identify_actor() == f"{'root' if user == 0 else 'bob'}@{platform.node()}"


def test_a_container_s_user_without_a_name_is_told_by_number(
    account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 10001)
    assert identify_actor() == f"uid-10001@{platform.node()}"


def test_a_name_fits_the_ledger(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "n" * 300)
    assert len(identify_actor()) == 255
