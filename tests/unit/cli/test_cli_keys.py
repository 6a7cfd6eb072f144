"""`evergreen keys`: the key is on standard output alone and once, and what is listed never shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evergreen.serving.access.api_keys import compute_key_digest
from support.command_line import CommandLine


@pytest.fixture
def evergreen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_a_key_is_made_listed_and_revoked(evergreen: CommandLine, tmp_path: Path) -> None:
    made = evergreen.run("keys", "new", "shop", home=tmp_path)
    key = made.stdout.strip()
    assert key.startswith("eg_")
    assert " " not in key
    assert "ask every caller" in made.stderr
    again = json.loads(evergreen.run("keys", "new", "shop", "--json", home=tmp_path).stdout)
    assert "ask every caller" not in evergreen.run("keys", "new", "till", home=tmp_path).stderr

    listing = evergreen.run("keys", "list", "--json", home=tmp_path).stdout
    assert key not in listing
    assert [each["name"] for each in json.loads(listing)] == ["shop", "shop", "till"]
    assert json.loads(listing)[0]["fingerprint"] == compute_key_digest(key).hex()[:8]

    evergreen.run("keys", "revoke", again["fingerprint"], home=tmp_path)
    revoked = evergreen.run("keys", "revoke", "shop", home=tmp_path)
    assert compute_key_digest(key).hex()[:8] in revoked.stdout
    assert "None is left" in evergreen.run("keys", "revoke", "till", home=tmp_path).stdout
    assert "keys new" in evergreen.run("keys", "list", home=tmp_path).stdout


def test_what_cannot_be_done_is_said(evergreen: CommandLine, tmp_path: Path) -> None:
    evergreen.run("keys", "new", "shop", home=tmp_path)
    unknown = evergreen.run("keys", "revoke", "till", home=tmp_path)
    assert unknown.returncode != 0
    assert "it has: shop" in unknown.stderr
    assert evergreen.run("keys", "new", "a b", home=tmp_path).returncode != 0
    (tmp_path / "api-keys").write_text("what is this\n")
    assert "line 1" in evergreen.run("keys", "list", home=tmp_path).stderr


def test_the_file_may_be_elsewhere(evergreen: CommandLine, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "keys"
    evergreen.run("keys", "new", "shop", home=tmp_path, EVERGREEN_API_KEYS_FILE=str(place))
    assert place.exists()
    assert not (tmp_path / "api-keys").exists()
