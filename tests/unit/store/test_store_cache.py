"""The files of what was last read: when they count, how they are bounded, and what a broken one does."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from evergreen.private import DRAFT_SUFFIX
from evergreen.store.history import cache as cache_module
from evergreen.store.history.cache import Cache, Draft, finish_drafts, wait_for_files
from evergreen.store.history.query import TableSelection
from evergreen.store.tables.table_state import TableState

SECOND = timedelta(seconds=1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PART = TableSelection("toy__facts", (("client_id", "int"),), (("age", "int"), ("mood", "category")))
STATE = TableState("toy__facts", 3, NOON - 60 * SECOND, NOON - 10 * SECOND, None, 2)


def rows(first: int, count: int = 2) -> pa.Table:
    numbers = list(range(first, first + count))
    columns = [numbers, [NOON] * count, [NOON] * count, [None, *numbers[1:]][:count], ["ü"] * count]
    return pa.table(
        [pa.array(c, field.type) for c, field in zip(columns, PART.schema, strict=True)], schema=PART.schema
    )


def keep(
    cache: Cache,
    *parts: pa.Table,
    part: TableSelection = PART,
    state: TableState = STATE,
    after: dict[str, TableState] | None = None,
) -> None:
    """Read the table in those parts; `after` says how it was found then, if not the same."""
    draft = cache.draft(part, state)
    for found in parts:
        draft.add(found)
    finish_drafts([draft], {state.name: state} if after is None else after)
    wait_for_files()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    made = Cache(tmp_path / "cache", 1, "localhost/db")
    yield made
    wait_for_files()
    left = [path.name for path in made.folder.iterdir()] if made.folder.exists() else []
    assert not [name for name in left if name.endswith((DRAFT_SUFFIX, ".draft"))], "a draft was left behind"


def test_what_was_kept_is_found_part_by_part_and_mapped(cache: Cache) -> None:
    assert cache.find(PART, STATE, NOON) is None
    keep(cache, rows(1), rows(3), rows(5, 0))
    before = pa.total_allocated_bytes()
    found = cache.find(PART, STATE, NOON)
    assert found is not None
    assert pa.total_allocated_bytes() - before < 1000
    assert [part.num_rows for part in found] == [2, 2, 0]
    assert pa.concat_tables(found).equals(pa.concat_tables([rows(1), rows(3)]))


def test_it_counts_only_for_the_very_same_state(cache: Cache) -> None:
    keep(cache, rows(1))
    assert STATE.updated is not None
    for other in (
        replace(STATE, changes=4),
        replace(STATE, updated=STATE.updated - SECOND),
        replace(STATE, updated=None),
        replace(STATE, created=STATE.created - SECOND),
    ):
        assert cache.find(PART, other, NOON) is None
    assert cache.find(replace(PART, columns=PART.columns[:1]), STATE, NOON) is None
    assert cache.find(replace(PART, stored=(("age", "_retired_1_age"),)), STATE, NOON) is None
    assert Cache(cache.folder, 1, "localhost/other").find(PART, STATE, NOON) is None
    assert cache.find(PART, replace(STATE, rows=7), NOON) is not None


def test_a_moment_too_near_to_the_last_change_does_not_count(cache: Cache) -> None:
    keep(cache, rows(1))
    assert STATE.updated is not None
    assert not STATE.settled(STATE.updated + 1.9 * SECOND)
    assert cache.find(PART, STATE, STATE.updated + 1.9 * SECOND) is None
    assert cache.find(PART, STATE, STATE.updated + 2 * SECOND) is not None
    assert not replace(STATE, updated=None).settled(NOON)
    assert not replace(STATE, created=NOON).settled(NOON)


def test_a_table_that_changed_or_could_not_be_read_to_its_end_is_not_kept(cache: Cache) -> None:
    keep(cache, rows(1), after={STATE.name: replace(STATE, changes=4)})
    assert cache.find(PART, STATE, NOON) is None
    keep(cache, rows(1), after={})
    assert cache.find(PART, STATE, NOON) is None
    assert list(cache.folder.iterdir()) == []


def test_whoever_looks_waits_for_what_is_being_written(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draft, "_write", lambda *args, real=Draft._write: (time.sleep(0.05), real(*args)))
    draft = cache.draft(PART, STATE)
    for number in range(12):
        draft.add(rows(number))
    finish_drafts([draft], {STATE.name: STATE})
    found = cache.find(PART, STATE, NOON)
    assert found is not None
    assert len(found) == 12


def test_a_fork_does_not_wait_for_its_parents_threads(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    never: Future[None] = Future()
    monkeypatch.setitem(cache_module._unfinished, cache._path(PART), (os.getpid() + 1, never))
    assert cache.find(PART, STATE, NOON) is None


def test_a_later_read_replaces_the_file_and_open_ones_stay_readable(cache: Cache) -> None:
    keep(cache, rows(1))
    old = cache.find(PART, STATE, NOON)
    newer = replace(STATE, changes=4)
    keep(cache, rows(7), state=newer)
    assert len(list(cache.folder.iterdir())) == 1
    assert cache.find(PART, STATE, NOON) is None
    found = cache.find(PART, newer, NOON)
    assert old is not None
    assert found is not None
    assert (old[0]["client_id"][0].as_py(), found[0]["client_id"][0].as_py()) == (1, 7)


def test_the_folder_is_bounded_and_the_longest_unused_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 2, "here")
    parts = [replace(PART, table=f"t{n}") for n in range(4)]
    big = rows(0, 15_000)
    for number, part in enumerate(parts):
        keep(cache, big, part=part)
        path = cache._path(part)
        if path.exists():
            os.utime(path, (number, number))
        if number == 1:
            cache.find(parts[0], STATE, NOON)  # used just now: the second is the oldest
    assert [cache.find(part, STATE, NOON) is not None for part in parts] == [True, False, True, True]
    keep(cache, rows(0, 60_000), part=replace(PART, table="too_big"))
    assert cache.find(replace(PART, table="too_big"), STATE, NOON) is None
    assert cache.find(parts[0], STATE, NOON) is not None
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * 1024 * 1024


@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
def test_a_broken_file_is_as_none(cache: Cache, damage: str) -> None:
    keep(cache, rows(1))
    path = cache._path(PART)
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "text": b"x" * len(data)}[damage])
    assert cache.find(PART, STATE, NOON) is None
    keep(cache, rows(1))
    assert cache.find(PART, STATE, NOON) is not None


def test_a_folder_that_cannot_be_written_keeps_nothing_and_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache", 1, "here")
    keep(cache, rows(1))
    assert cache.find(PART, STATE, NOON) is None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_reads_or_plants_a_file_whatever_the_umask(cache: Cache, umask: int) -> None:
    before = os.umask(umask)
    try:
        keep(cache, rows(1))
        assert cache.find(PART, STATE, NOON) is not None  # waits for the file
    finally:
        os.umask(before)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in cache.folder.iterdir()] == [0o600]


def test_drafts_of_killed_processes_go_in_the_end(cache: Cache) -> None:
    cache.folder.mkdir()
    old, new = cache.folder / ".old.part", cache.folder / ".new.part"
    older = cache.folder / "a.old.draft"  # as earlier versions named them
    for path in (old, new, older):
        path.write_text("")
    os.utime(old, (0, 0))
    os.utime(older, (0, 0))
    # By the clock that the cache reads, which need not be the file system's (scripts/at-date.sh).
    os.utime(new, (time.time(), time.time()))
    keep(cache, rows(1))
    assert not old.exists()
    assert not older.exists()
    assert new.exists()
    new.unlink()


def test_a_file_of_another_format_is_ignored_and_replaced(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token begins with the number of the format: what another version wrote is not taken for ours."""
    real = Cache._token
    monkeypatch.setattr(Cache, "_token", lambda self, state: b"0" + real(self, state)[1:])
    keep(cache, rows(1))
    monkeypatch.undo()
    assert cache.find(PART, STATE, NOON) is None
    keep(cache, rows(1))
    assert cache.find(PART, STATE, NOON) is not None
    assert len(list(cache.folder.iterdir())) == 1


def test_a_file_of_the_version_before_is_read(cache: Cache) -> None:
    """Its name and its token are what that version gave them."""
    keep(cache, rows(1))
    [path] = cache.folder.iterdir()
    name = repr(("localhost/db", PART.table, PART.keys, PART.columns, PART.stored))
    assert path.name == f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.arrow"
    with pa.memory_map(str(path)) as mapped:
        token = pa.ipc.open_file(mapped).schema.metadata[b"evergreen.token"]
    assert token == f"1|{cache._boot}|{STATE.token}".encode()
