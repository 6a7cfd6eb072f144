"""The shipper: what it finds in other folders ends neither it nor the delivery of its own."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from uuid_utils import uuid7

from evergreen.errors import StoreError, StoreUnreachable
from evergreen.serving.predictions import delivery as delivery_module
from evergreen.serving.predictions import shipper as shipper_module
from evergreen.serving.predictions.delivery import Delivery, Inserts, read_counts
from evergreen.serving.predictions.record import PredictionRecord, SegmentSchema, encode_record
from evergreen.serving.predictions.segments import TAKEN_SUFFIX, list_segments
from evergreen.serving.predictions.shipper import Shipper, is_row_at_fault
from evergreen.serving.predictions.spool import Spool
from evergreen.store.predictions.prediction_row import PredictionRow

SCHEMA = SegmentSchema(1, "parcel", ("parcel_id",), (), ())


class World:
    """A worker's spool with its shipper, and the rows that reached the database."""

    def __init__(self, home: Path) -> None:
        self.spool = Spool(home, SCHEMA)
        self.parcels: list[object] = []
        self.is_away = False
        inserts = Inserts(self.insert, lambda _: None, lambda _: None)
        delivery = Delivery(self.spool.folder, inserts, is_row_at_fault, lambda *_: None)
        self.shipper = Shipper("parcel", self.spool.folder, os.dup(self.spool.lock), delivery)

    def insert(self, rows: Sequence[PredictionRow]) -> None:
        if self.is_away:
            raise StoreUnreachable("MariaDB is away", hint="")
        self.parcels += [row.inputs["parcel_id"] for row in rows]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def append(spool: Spool, number: int) -> None:
    spool.append([encode_record(PredictionRecord("online", 1, [str(uuid7())], [[number]], [], [1.5], []))], 1)


def leave_folder(home: Path, number: int) -> Path:
    """The folder of a process that has ended, with one row."""
    spool = Spool(home, SCHEMA)
    append(spool, number)
    spool.close()
    return spool.folder


def test_folders_of_ended_processes_are_delivered_and_removed(world: World, tmp_path: Path) -> None:
    former = leave_folder(tmp_path, 1)
    (former / "0000000009.dropped").touch()
    (former / ".shipped.json.12-12.part").touch()
    world.shipper.adopt_folders()
    assert not world.shipper.deliver(is_ended=False)
    assert world.parcels == [1]
    assert not former.exists()


def test_at_the_end_of_the_worker_everything_is_delivered_and_nothing_is_left(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave_folder(tmp_path, 1)
    append(world.spool, 2)
    world.spool.close()
    world.shipper.adopt_folders()
    assert world.shipper.deliver(is_ended=True)
    assert sorted(map(str, world.parcels)) == ["1", "2"]
    assert list(tmp_path.iterdir()) == []
    assert caplog.records == []


def test_foreign_files_keep_their_folder_and_are_named_once(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    former = leave_folder(tmp_path, 1)
    (former / "notes.txt").touch()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            world.shipper.adopt_folders()
            world.shipper.deliver(is_ended=False)
    assert [path.name for path in former.iterdir() if path.suffix == ".txt"] == ["notes.txt"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{former} holds files that are no segments; it stays"
    ]


def test_a_folder_that_cannot_be_locked_or_read_is_left_and_all_others_are_delivered(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    closed, broken, good = (leave_folder(tmp_path, number) for number in (1, 2, 3))
    lock_folder, read_segment = shipper_module.lock_folder, delivery_module.read_segment

    def refuse_lock(folder: Path) -> int | None:
        if folder == closed:
            raise PermissionError(errno.EACCES, "Permission denied")
        return lock_folder(folder)

    def refuse_to_read(path: Path) -> object:
        if path.parent == broken:
            raise OSError(errno.EIO, "Input/output error")
        return read_segment(path)

    monkeypatch.setattr(shipper_module, "lock_folder", refuse_lock)
    monkeypatch.setattr(delivery_module, "read_segment", refuse_to_read)
    append(world.spool, 4)
    world.spool.finish_segment()
    for _ in range(2):
        world.shipper.adopt_folders()
        world.shipper.deliver(is_ended=False)
    assert sorted(map(str, world.parcels)) == ["3", "4"]
    assert not good.exists()
    assert read_counts(world.spool.folder).trouble == ""
    assert len(caplog.records) == 2
    monkeypatch.undo()
    world.shipper.adopt_folders()
    world.shipper.deliver(is_ended=False)
    assert sorted(map(str, world.parcels)) == ["1", "2", "3", "4"]


def test_a_folder_that_is_gone_is_no_trouble(world: World, tmp_path: Path) -> None:
    former = leave_folder(tmp_path, 1)
    world.shipper.adopt_folders()
    former.rename(tmp_path / "elsewhere")
    assert not world.shipper.deliver(is_ended=False)
    assert read_counts(world.spool.folder).trouble == ""


def test_a_disk_that_takes_no_word_of_the_trouble_does_not_end_the_shipper(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(world.spool, 1)
    world.spool.finish_segment()
    world.is_away = True

    def be_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(delivery_module, "write_private_file", be_full)
    assert not world.shipper.deliver(is_ended=False)
    monkeypatch.undo()
    assert not world.shipper.deliver(is_ended=False)
    assert "away" in read_counts(world.spool.folder).trouble
    world.is_away = False
    world.spool.close()
    assert world.shipper.deliver(is_ended=True)
    assert world.parcels == [1]
    assert not world.spool.folder.exists()


@pytest.mark.parametrize("is_ended", [False, True])
def test_refused_rows_that_had_no_room_are_kept_when_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_ended: bool
) -> None:
    """Without another row to deliver, and at the latest when the worker ends."""
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 13)
    spool.finish_segment()
    kept: list[object] = []
    is_full = True
    write = delivery_module.write_private_file

    def refuse(row: object, _: Exception) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        kept.append(row)

    def write_where_there_is_room(path: Path, content: str | bytes) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    def reject(_: object) -> None:
        raise StoreError("no parcel has the number 13", hint="")

    monkeypatch.setattr(delivery_module, "write_private_file", write_where_there_is_room)
    delivery = Delivery(spool.folder, Inserts(reject, reject, reject), is_row_at_fault, refuse)
    shipper = Shipper("parcel", spool.folder, os.dup(spool.lock), delivery)
    assert not shipper.deliver(is_ended=False)
    assert list_segments(spool.folder, TAKEN_SUFFIX) == []
    if is_ended:
        spool.close()
        assert not shipper.deliver(is_ended=True)  # it tries again: the row is in its memory alone
        is_full = False
        assert shipper.deliver(is_ended=True)
        assert not spool.folder.exists()
    else:
        is_full = False
        assert not shipper.deliver(is_ended=False)
        assert read_counts(spool.folder).refused == 1
    assert len(kept) == 1
