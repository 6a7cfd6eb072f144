"""Who may call: how keys, hosts and origins are declared, and what is refused at the start."""

from __future__ import annotations

import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import SettingsError, UntrustedFolder
from evergreen.serving.access.access import load_access
from evergreen.serving.access.api_keys import compute_key_digest, find_key, generate_key, parse_keys
from evergreen.serving.access.hosts import AllowedHosts, parse_hosts
from evergreen.serving.access.key_file import add_key, read_key_file, remove_keys
from evergreen.serving.access.key_ring import KeyRing
from evergreen.serving.access.listening import find_listening_hosts, is_exposed
from evergreen.settings import Settings

KEY = "a-key-that-is-long-enough"


def test_keys_are_plain_or_digests_with_or_without_names() -> None:
    digest = compute_key_digest(KEY).hex()
    keys = parse_keys(f"shop:{KEY}, sha256:{digest},till:sha256:{digest} , {KEY}", "here")
    assert [key.name for key in keys] == ["shop", "key-2", "till", "key-4"]
    assert {key.digest.hex() for key in keys} == {digest}
    assert parse_keys(" , ", "here") == []


@pytest.mark.parametrize(
    "text", ["shop:short", "sha256:abc", "shop:sha256:abc", "a b", f"shop:{KEY} more", "naïve-key-naïve-key"]
)
def test_a_bad_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_keys(text, "EVERGREEN_API_KEYS")
    assert "EVERGREEN_API_KEYS" in str(caught.value)
    assert text not in str(caught.value)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6, unique=True), st.data())
def test_only_a_key_that_is_kept_is_found(secrets: list[bytes], data: st.DataObject) -> None:
    kept, other = secrets[:-1], secrets[-1]
    keys = [key for each in kept for key in parse_keys(f"sha256:{compute_key_digest(each).hex()}", "here")]
    assert find_key(keys, other) is None
    if kept:
        chosen = data.draw(st.sampled_from(kept))
        match = find_key(keys, chosen)
        assert match is not None
        assert match.digest == compute_key_digest(chosen)


def test_a_file_keeps_digests_only_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "home" / "api-keys"
    first, second, other = add_key(path, "shop"), add_key(path, "shop"), add_key(path, "till")
    text = path.read_text()
    assert not any(secret in text for secret in (first, second, other))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = [each.key for each in read_key_file(path)]
    assert [key.name for key in kept] == ["shop", "shop", "till"]
    match = find_key(kept, second.encode())
    assert match is kept[1]
    assert [each.key for each in remove_keys(path, match.fingerprint)] == [kept[1]]
    assert len(remove_keys(path, "shop")) == 1
    with pytest.raises(SettingsError, match="it has: till"):
        remove_keys(path, "shop")


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 41, "shop:1", "shop,till"])
def test_a_name_that_would_break_the_list_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError):
        add_key(tmp_path / "api-keys", name)
    assert not (tmp_path / "api-keys").exists()


def test_a_line_that_is_no_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "api-keys"
    path.write_text(f"# a comment\n\nshop:sha256:{'0' * 64}\ntill:{KEY}\n")
    with pytest.raises(SettingsError, match="line 4") as caught:
        read_key_file(path)
    assert KEY not in str(caught.value)


def test_generated_keys_differ_and_are_long() -> None:
    assert len({generate_key() for _ in range(50)}) == 50
    assert len(generate_key()) > 40


def build_settings(home: Path, **options: Any) -> Settings:
    return Settings(home=home, **options)


@pytest.mark.parametrize("hosts", [["0.0.0.0"], ["::"], ["10.0.0.5"], ["127.0.0.1", "192.168.1.5"], []])
def test_a_service_that_others_reach_does_not_start_without_a_key(tmp_path: Path, hosts: list[str]) -> None:
    with pytest.raises(SettingsError, match="no API key") as caught:
        load_access(build_settings(tmp_path), hosts)
    assert "evergreen keys new" in caught.value.hint
    assert load_access(build_settings(tmp_path, api_keys=KEY), hosts).keys_required
    assert load_access(build_settings(tmp_path, api_key=KEY), hosts).keys_required
    add_key(tmp_path / "api-keys", "shop")
    assert load_access(build_settings(tmp_path), hosts).keys_required


@pytest.mark.parametrize("hosts", [["127.0.0.1"], ["::1"], ["127.0.0.2", "::1"]])
def test_on_loopback_none_is_needed(tmp_path: Path, hosts: list[str]) -> None:
    access = load_access(build_settings(tmp_path), hosts)
    assert not access.keys_required
    assert access.metrics_open


def test_keys_that_others_may_write_are_not_trusted(tmp_path: Path) -> None:
    add_key(tmp_path / "api-keys", "shop")
    (tmp_path / "api-keys").chmod(0o666)
    with pytest.raises(UntrustedFolder, match="API keys"):
        load_access(build_settings(tmp_path), ["127.0.0.1"])


def test_every_origin_is_opened_only_where_a_key_is_needed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="every web page"):
        load_access(build_settings(tmp_path, cors_origins="*"), ["127.0.0.1"])
    access = load_access(build_settings(tmp_path, cors_origins="*", api_keys=KEY), ["127.0.0.1"])
    assert access.origins.allows(b"https://a.example")


@pytest.mark.parametrize(
    "origins", ["shop.example", "https://shop.example/", "https://a.example/path", "null"]
)
def test_what_is_no_origin_is_refused(tmp_path: Path, origins: str) -> None:
    with pytest.raises(SettingsError, match="no origin"):
        load_access(build_settings(tmp_path, cors_origins=origins), ["127.0.0.1"])


def test_hosts_by_name_by_domain_and_by_the_address_of_the_connection() -> None:
    hosts = AllowedHosts(parse_hosts("service-credit-score, *.shop.example"))
    for header in (
        b"service-credit-score:3000",
        b"a.shop.example",
        b"A.B.SHOP.example.:80",
        b"10.0.0.5:3000",
    ):
        assert hosts.allows(header, "10.0.0.5"), header
        assert hosts.allows(header, "10.0.0.5"), header
    for header in (b"shop.example", b"ashop.example", b"10.0.0.6", b"service-credit-score.evil.example"):
        assert not hosts.allows(header, "10.0.0.5"), header
    assert not hosts.allows(b"10.0.0.5", "10.0.0.7")
    assert AllowedHosts(parse_hosts("*")).allows(b"anything.example", "")


@pytest.mark.parametrize("text", ["http://a.example", "a.example:80", "a/b", "*.", "a b"])
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="ALLOWED_HOSTS"):
        parse_hosts(text)


@given(st.binary(max_size=300))
def test_any_header_is_judged_without_an_error(header: bytes) -> None:
    AllowedHosts(frozenset({"a.example"})).allows(header, "127.0.0.1")


def test_what_this_process_listens_on_is_known() -> None:
    before = find_listening_hosts()
    with socket.create_server(("127.0.0.1", 0)), socket.socket() as idle, socket.socket(socket.AF_UNIX):
        idle.bind(("127.0.0.1", 0))
        assert sorted(find_listening_hosts()) == sorted([*before, "127.0.0.1"])
    with socket.create_server(("0.0.0.0", 0)):
        assert is_exposed(find_listening_hosts())


def test_a_file_of_keys_counts_as_soon_as_its_permissions_are_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "api-keys"
    add_key(path, "shop")
    times = iter(range(0, 100, 2))
    ring = KeyRing([], path, Settings(home=tmp_path).trust, lambda: next(times))
    assert [key.name for key in ring.keys] == ["shop"]
    add_key(path, "till")
    path.chmod(0o666)
    for _ in range(2):
        assert [key.name for key in ring.keys] == ["shop"]
    assert len(caplog.records) == 1
    path.chmod(0o600)
    assert [key.name for key in ring.keys] == ["shop", "till"]
