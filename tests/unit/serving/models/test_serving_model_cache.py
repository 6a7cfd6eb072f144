"""The cache of verified models: whole or absent, private, few, and shared by several processes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evergreen.registry.versions import ModelVersion
from evergreen.serving.models.model_cache import KEPT_VERSIONS, CachedModel, ModelCache

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def store(cache: ModelCache, tmp_path: Path, version: int, content: bytes = b"", minute: int = 0) -> str:
    content = content or f"trees of {version}".encode()
    path = tmp_path / f"downloaded-{os.getpid()}"
    path.write_bytes(content)
    registered = ModelVersion(version, f"run-{version}", {"colour": "red"})
    verified_at = NOW + timedelta(minutes=minute)
    cache.store(path, registered, digest_of(content), on_record=True, verified_at=verified_at)
    return digest_of(content)


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "home" / "models" / "parcel")


def folders(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "home" / "models" / "parcel").iterdir() if path.is_dir())


def test_a_copy_is_what_was_stored_and_readable_by_its_owner_only(cache: ModelCache, tmp_path: Path) -> None:
    assert cache.find(3, "run-3") is None
    digest = store(cache, tmp_path, 3)
    found = cache.find(3, "run-3")
    assert found == CachedModel(
        tmp_path / "home" / "models" / "parcel" / f"3-{digest[:16]}" / "model.cb",
        ModelVersion(3, "run-3", {"colour": "red"}),
        digest,
        True,
        NOW,
    )
    assert found.path.read_bytes() == b"trees of 3"
    for path in (tmp_path / "home").rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    # Another run's version of that number is another model.
    assert cache.find(3, "another run") is None
    assert cache.find(3, "run-3", "another digest") is None


@pytest.mark.parametrize("damage", ["other bytes", "no file", "no description", "half a description"])
def test_a_damaged_copy_does_not_count_and_is_replaced(
    cache: ModelCache, tmp_path: Path, damage: str
) -> None:
    store(cache, tmp_path, 3)
    found = cache.find(3, "run-3")
    assert found is not None
    if damage == "other bytes":
        found.path.write_bytes(b"trees of 4")
    elif damage == "no file":
        found.path.unlink()
    elif damage == "no description":
        (found.path.parent / "model.json").unlink()
    else:
        (found.path.parent / "model.json").write_text('{"version": 3')
    assert cache.find(3, "run-3") is None
    store(cache, tmp_path, 3)
    assert cache.find(3, "run-3") == found


def test_few_versions_are_kept_those_verified_last_and_the_champion(
    cache: ModelCache, tmp_path: Path
) -> None:
    first = store(cache, tmp_path, 1)
    cache.note_champion(1, "run-1", first, None)
    (tmp_path / "home" / "models" / "parcel" / ".draft-of-a-killed-process").mkdir()
    for version in range(2, 7):
        store(cache, tmp_path, version, minute=version)
    kept = [name.partition("-")[0] for name in folders(tmp_path)]
    assert kept == ["1", "5", "6"]
    assert len(kept) == KEPT_VERSIONS
    # Verified again, an older version is a young one.
    store(cache, tmp_path, 5, minute=8)
    store(cache, tmp_path, 7, minute=9)
    assert [name.partition("-")[0] for name in folders(tmp_path)] == ["1", "5", "7"]


def test_of_two_files_of_a_version_the_one_asked_for_or_the_newest(cache: ModelCache, tmp_path: Path) -> None:
    old = store(cache, tmp_path, 1, b"old trees")
    new = store(cache, tmp_path, 1, b"new trees", minute=1)
    by_digest = cache.find(1, "run-1", old)
    newest = cache.find(1, "run-1")
    assert by_digest is not None
    assert newest is not None
    assert (by_digest.digest, newest.digest) == (old, new)


def test_the_last_champion_is_remembered_with_its_moments(cache: ModelCache, tmp_path: Path) -> None:
    assert cache.find_last_champion() is None
    digest = store(cache, tmp_path, 2)
    cache.note_champion(2, "run-2", digest, NOW)
    last = cache.find_last_champion()
    assert last is not None
    assert (last.cached.registered.version, last.promoted_at) == (2, NOW)
    last.cached.path.write_bytes(b"other trees")
    assert cache.find_last_champion() is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "run_id": "run-2", "promoted_at": 7}', "\0"]
)
def test_a_spoilt_note_of_the_champion_is_none(cache: ModelCache, tmp_path: Path, text: str) -> None:
    store(cache, tmp_path, 2)
    (tmp_path / "home" / "models" / "parcel" / "last_champion.json").write_text(text)
    assert cache.find_last_champion() is None


def store_and_read(folder: Path, scratch: Path, seed: int) -> None:
    """One of several replicas: stores versions in an order of its own, and what it finds must be whole."""
    cache = ModelCache(folder)
    scratch.mkdir()
    for turn in range(40):
        version = 1 + (turn * (seed + 1)) % 5
        content = f"trees of {version}".encode() * 5000
        store(cache, scratch, version, content, minute=turn)
        with cache.hold_for_reading():
            found = cache.find(1 + turn % 5, f"run-{1 + turn % 5}")
            if found is not None:
                assert digest_of(found.path.read_bytes()) == found.digest
                assert json.loads((found.path.parent / "model.json").read_text())["digest"] == found.digest


def test_several_processes_share_a_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    folder = tmp_path / "home" / "models" / "parcel"
    workers = [
        context.Process(target=store_and_read, args=(folder, tmp_path / f"scratch-{seed}", seed))
        for seed in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(folders(tmp_path)) <= KEPT_VERSIONS
    assert not list(folder.glob(".draft-*"))
