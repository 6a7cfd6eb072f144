"""The spool: what it holds is private, whole, bounded, and of one process."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from evergreen.errors import PredictionLogFull
from evergreen.serving.predictions import segments as segments_module
from evergreen.serving.predictions import spool as spool_module
from evergreen.serving.predictions import spool_folders
from evergreen.serving.predictions.record import PredictionRecord, SegmentSchema, encode_record
from evergreen.serving.predictions.segments import OPEN_SUFFIX, list_segments, read_segment
from evergreen.serving.predictions.spool import Spool
from evergreen.serving.predictions.spool_folders import ENDED_NAME, lock_folder

SCHEMA = SegmentSchema(1, "parcel", ("parcel_id", "weight"), ("density",), ("no", "yes"))


def record(number: int) -> PredictionRecord:
    return PredictionRecord("online", 1, [f"id-{number}"], [[number, 2.5]], [[0.25]], ["no"], [[0.75, 0.25]])


def append(spool: Spool, *numbers: int) -> None:
    spool.append([encode_record(record(number)) for number in numbers], len(numbers))


def fill(spool: Spool) -> None:
    """Append the records 1, 2, ... until the spool takes no more."""
    for number in range(1, 100):
        append(spool, number)


def read_numbers(folder: Path) -> list[object]:
    """The parcels of all finished segments, in their order."""
    return [
        entry.inputs[0][0]
        for path in list_segments(folder)
        for entry in read_segment(path).records
        if isinstance(entry, PredictionRecord)
    ]


def test_records_stand_in_finished_segments_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1, 2)
    assert read_numbers(spool.folder) == []  # a reader sees no segment that still grows
    assert spool.finish_segment()
    append(spool, 3)
    spool.close()
    assert read_numbers(spool.folder) == [1, 2, 3]
    assert not spool.finish_segment()
    assert spool.accepted == 3
    assert read_segment(list_segments(spool.folder)[0]).schema == SCHEMA


def test_what_is_appended_is_in_the_file_before_append_returns(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1)
    (path,) = list_segments(spool.folder, OPEN_SUFFIX)
    assert read_segment(path).records == [record(1)]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1)
    assert spool.folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in spool.folder.iterdir())


def test_its_folder_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA)
    assert lock_folder(spool.folder) is None
    spool.close()
    lock = lock_folder(spool.folder)
    assert lock is not None
    os.close(lock)


def test_two_spools_have_folders_of_their_own(tmp_path: Path) -> None:
    assert Spool(tmp_path, SCHEMA).folder != Spool(tmp_path, SCHEMA).folder


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA, limit_bytes=1000)
    with pytest.raises(PredictionLogFull, match="greatest size"):
        append(spool, *range(100))
    with pytest.raises(PredictionLogFull):
        fill(spool)
    accepted = spool.accepted
    spool.close()
    assert read_numbers(spool.folder) == list(range(1, accepted + 1))
    assert 0 < accepted < 100


def test_room_that_the_shipper_made_is_used_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA, limit_bytes=1000)
    with pytest.raises(PredictionLogFull):
        fill(spool)
    spool.finish_segment()
    for path in list_segments(spool.folder):
        path.unlink()
    assert spool.measure() == 0
    append(spool, 7)


def test_the_oldest_are_dropped_where_the_policy_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA, limit_bytes=2000, full_policy="drop_oldest")
    for number in range(100):
        append(spool, number)
        spool.finish_segment()
    left = read_numbers(spool.folder)
    assert left == list(range(100))[-len(left) :]
    assert spool.dropped == 100 - len(left) > 0
    assert spool.measure() <= 2000


def test_a_segment_that_is_being_shipped_is_not_dropped(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA, limit_bytes=600, full_policy="drop_oldest")
    append(spool, 1)
    spool.finish_segment()
    (path,) = list_segments(spool.folder)
    path.rename(path.with_suffix(".shipping"))
    with pytest.raises(PredictionLogFull):
        fill(spool)
    assert spool.dropped == 0


def test_a_full_disk_leaves_no_half_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1)
    write = os.write

    def fill_disk(handle: int, data: bytes) -> int:
        if len(data) > 30:
            return write(handle, data[:30])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool_module.os, "write", fill_disk)
    with pytest.raises(PredictionLogFull, match="No space left on device") as caught:
        append(spool, 2)
    monkeypatch.undo()
    # The caller reads of no folder of the server; its operator does.
    assert str(tmp_path) not in f"{caught.value.message}{caught.value.hint}"
    assert str(spool.folder) in caplog.text
    append(spool, 3)
    spool.close()
    assert read_numbers(spool.folder) == [1, 3]
    assert spool.accepted == 2


def test_a_disk_that_is_full_when_a_segment_begins_spoils_no_later_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, SCHEMA)

    def be_full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool_module.os, "write", be_full)
    with pytest.raises(PredictionLogFull):
        append(spool, 1)
    monkeypatch.undo()
    assert list_segments(spool.folder, OPEN_SUFFIX) == []
    append(spool, 2)
    assert spool.wait_for_rows(0)
    spool.close()
    assert read_numbers(spool.folder) == [2]


def test_a_segment_that_cannot_be_finished_stays_open_and_takes_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "rename", fail)
    monkeypatch.setattr(spool_module, "_SEGMENT_BYTES", 1)
    with pytest.raises(OSError, match="Input/output error"):
        spool.finish_segment()
    append(spool, 2)  # durable and answered, though its segment should be finished by its size
    monkeypatch.undo()
    spool.close()
    assert read_numbers(spool.folder) == [1, 2]


def test_a_closed_spool_takes_nothing_because_nobody_would_deliver_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA)
    spool.close()
    with pytest.raises(PredictionLogFull, match="ending"):
        append(spool, 1)
    assert {path.name for path in spool.folder.iterdir()} == {"lock"}


def test_nobody_sees_its_folder_before_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = spool_folders.lock_folder

    def look_first(folder: Path) -> int | None:
        assert list(tmp_path.glob("parcel-*")) == []
        return lock(folder)

    monkeypatch.setattr(spool_folders, "lock_folder", look_first)
    spool = Spool(tmp_path, SCHEMA)
    assert list(tmp_path.iterdir()) == [spool.folder]


def test_a_folder_that_was_just_removed_is_not_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, SCHEMA)
    flock = fcntl.flock

    def lock_late(handle: int, operation: int) -> None:
        # Between the opening of the file and its lock, the holder removes the folder.
        shutil.rmtree(spool.folder)
        spool.close()
        flock(handle, operation)

    monkeypatch.setattr(spool_folders.fcntl, "flock", lock_late)
    with pytest.raises(FileNotFoundError):
        lock_folder(spool.folder)


def test_the_level_power_syncs_each_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(spool_module.os, "fdatasync", synced.append)
    append(Spool(tmp_path, SCHEMA, durability="process"), 1)
    assert synced == []
    spool = Spool(tmp_path, SCHEMA, durability="power")
    append(spool, 1)
    before = len(synced)
    append(spool, 2)
    assert len(synced) == before + 1


def test_the_level_power_syncs_the_names_of_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        spool_module.os,
        "fsync",
        lambda handle: synced.append(str(Path(f"/proc/self/fd/{handle}").readlink())),
    )
    append(Spool(tmp_path, SCHEMA, durability="process"), 1)
    assert synced == []
    spool = Spool(tmp_path, SCHEMA, durability="power")
    append(spool, 1)
    assert synced == [str(tmp_path), str(spool.folder)]
    append(spool, 2)
    assert len(synced) == 2


def test_a_disk_that_is_full_when_a_segment_begins_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next record begins a segment again, with the schema without which nobody could read it."""
    spool = Spool(tmp_path, SCHEMA)

    def take_half(handle: int, data: bytes) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os_write(handle, data[: len(data) // 2])

    os_write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(spool_module.os, "write", take_half)
        with pytest.raises(PredictionLogFull, match="No space left"):
            append(spool, 1)
    assert list_segments(spool.folder, OPEN_SUFFIX) == []
    assert not spool.finish_segment()
    append(spool, 2)
    spool.close()
    assert read_numbers(spool.folder) == [2]
    assert spool.accepted == 1


def leave_folder(home: Path, count: int) -> Path:
    """The folder of a process that has ended, with so many segments; a shipper has taken it over."""
    spool = Spool(home, SCHEMA)
    for number in range(count):
        append(spool, number)
        spool.finish_segment()
    spool.close()
    (spool.folder / ENDED_NAME).touch()
    return spool.folder


def test_the_limit_holds_for_what_ended_processes_have_left_too(tmp_path: Path) -> None:
    """A service in a crash loop, while MariaDB is away."""
    for _ in range(20):
        spool = Spool(tmp_path, SCHEMA, limit_bytes=2000)
        with suppress(PredictionLogFull):
            for number in range(5):
                append(spool, number)
        spool.close()
    sizes = [path.stat().st_size for path in tmp_path.glob("*/*")]
    assert 1500 < sum(sizes) <= 2000


def test_room_that_others_made_is_seen_by_the_next_measure(tmp_path: Path) -> None:
    folder = leave_folder(tmp_path, 10)
    spool = Spool(tmp_path, SCHEMA, limit_bytes=2000)
    with pytest.raises(PredictionLogFull):
        append(spool, 1)
    shutil.rmtree(folder)
    spool.measure()
    append(spool, 2)


def test_what_ended_processes_have_left_is_dropped_first(tmp_path: Path) -> None:
    folder = leave_folder(tmp_path, 20)
    numbers = len(list_segments(folder))
    spool = Spool(tmp_path, SCHEMA, limit_bytes=4000, full_policy="drop_oldest")
    for number in range(5):
        append(spool, number)
        spool.finish_segment()
    left = len(list_segments(folder))
    assert 0 < left < numbers
    assert read_numbers(spool.folder) == [0, 1, 2, 3, 4]
    rows = spool.count_rows()
    assert (rows.dropped, rows.adopted) == (numbers - left, numbers - left)
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 4000


def test_processes_that_live_share_the_limit_when_the_oldest_are_dropped(tmp_path: Path) -> None:
    first = Spool(tmp_path, SCHEMA, limit_bytes=4000, full_policy="drop_oldest")
    for number in range(40):
        append(first, number)
        first.finish_segment()
    second = Spool(tmp_path, SCHEMA, limit_bytes=4000, full_policy="drop_oldest")
    for number in range(5):
        append(second, number)
        second.finish_segment()
    # The second one has less than its share: the first one makes room.
    assert second.dropped == 0
    before = first.dropped
    first._others_at = 0.0
    first.measure()
    assert first.dropped > before
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 4000


def test_several_processes_drop_together_what_is_too_much(tmp_path: Path) -> None:
    """Each of them knows the folder from before the others have dropped anything of it."""
    folder = leave_folder(tmp_path, 40)
    limit = sum(path.stat().st_size for path in list_segments(folder)[4:])
    spools = [Spool(tmp_path, SCHEMA, limit_bytes=limit, full_policy="drop_oldest") for _ in range(4)]
    for spool in spools:
        spool.measure()
    assert sum(spool.dropped for spool in spools) == 40 - len(list_segments(folder)) == 4


def test_the_folder_of_an_ended_process_is_listed_once_for_all_that_is_dropped_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_folder(tmp_path, 40)
    spool = Spool(tmp_path, SCHEMA, limit_bytes=1000, full_policy="drop_oldest")
    scandir = os.scandir
    listed: list[object] = []

    def list_and_count(path: object) -> object:
        listed.append(path)
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", list_and_count)
    spool.measure()
    assert spool.dropped > 30
    assert len(listed) < 10


def test_own_segments_are_listed_once_for_all_that_is_dropped_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, SCHEMA, full_policy="drop_oldest")
    for number in range(40):
        append(spool, number)
        spool.finish_segment()
    spool._limit_bytes = 1000
    scandir = os.scandir
    listed: list[object] = []

    def list_and_count(path: object) -> object:
        listed.append(path)
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", list_and_count)
    assert spool.measure() <= 1000
    assert spool.dropped > 30
    assert len(listed) < 10


def test_predictions_are_taken_while_segments_of_others_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment whose name does not tell its rows is read for that as a whole."""
    spool = Spool(tmp_path, SCHEMA, limit_bytes=2000, full_policy="drop_oldest")
    folder = leave_folder(tmp_path, 20)
    for path in list_segments(folder):
        path.rename(path.with_name(f"{path.name[:10]}.segment"))
    read = segments_module.read_segment

    def append_meanwhile(path: Path) -> object:
        assert not spool._mutex.locked()
        append(spool, 7)
        return read(path)

    monkeypatch.setattr(segments_module, "read_segment", append_meanwhile)
    spool._others_at = 0.0
    spool.measure()
    assert spool.dropped == spool.accepted == 20 - len(list_segments(folder)) > 0
    assert spool.adopted == spool.dropped


def test_a_folder_that_is_removed_while_a_segment_of_it_is_dropped_keeps_no_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shipper that has taken the folder over sees only what a killed process leaves, and removes it."""
    folder = leave_folder(tmp_path, 3)
    size = sum(path.stat().st_size for path in folder.iterdir())
    spool = Spool(tmp_path, SCHEMA, limit_bytes=size + 50, full_policy="drop_oldest")
    rename = Path.rename

    def rename_and_remove(path: Path, target: Path) -> Path:
        renamed = rename(path, target)
        if path.parent == folder:
            shutil.rmtree(folder)
        return renamed

    monkeypatch.setattr(Path, "rename", rename_and_remove)
    append(spool, 7)
    assert (spool.accepted, spool.dropped, spool.adopted) == (1, 1, 1)


def test_a_segment_that_cannot_be_dropped_refuses_what_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, SCHEMA, limit_bytes=600, full_policy="drop_oldest")
    append(spool, 1)
    spool.finish_segment()

    def fail(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(spool_module, "delete_segment", fail)
    with pytest.raises(PredictionLogFull, match="Permission denied"):
        fill(spool)
