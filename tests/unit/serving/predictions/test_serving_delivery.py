"""Delivery: each row reaches the database exactly once, whatever ended in between."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from uuid_utils import uuid7

from evergreen.errors import StoreError, StoreUnreachable
from evergreen.serving.predictions import delivery as delivery_module
from evergreen.serving.predictions.delivery import (
    Delivery,
    Inserts,
    append_refused_row,
)
from evergreen.serving.predictions.log_counts import COUNTS_NAME, read_counts
from evergreen.serving.predictions.record import (
    OutcomeRecord,
    PredictionRecord,
    RefusedRecord,
    SegmentSchema,
    encode_record,
)
from evergreen.serving.predictions.segments import TAKEN_SUFFIX, list_segments
from evergreen.serving.predictions.shipper import is_row_at_fault
from evergreen.serving.predictions.spool import Spool
from evergreen.store.predictions.outcomes import Outcome
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.predictions.refused import RefusedCount

SCHEMA = SegmentSchema(1, "parcel", ("parcel_id",), (), ("no", "yes"))
AT = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)


class FakeStore:
    """Takes rows by their ids, unless it is away; refuses the parcel 13."""

    def __init__(self) -> None:
        self.parcels: dict[str, object] = {}
        self.outcomes: dict[str, object] = {}
        self.refused: dict[str, RefusedCount] = {}
        self.is_away = self.is_away_for_outcomes = False
        self.after_insert: Callable[[], None] = lambda: None

    def insert_predictions(self, rows: Sequence[PredictionRow]) -> None:
        if self.is_away:
            raise StoreUnreachable("MariaDB is away", hint="")
        if any(row.inputs["parcel_id"] == 13 for row in rows):
            raise StoreError("no parcel has the number 13", hint="")
        self.parcels |= {row.prediction_id: row.inputs["parcel_id"] for row in rows}
        self.after_insert()

    def insert_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        if self.is_away_for_outcomes:
            raise StoreUnreachable("MariaDB is away", hint="")
        self.outcomes |= {outcome.outcome_id: outcome.actual for outcome in outcomes}

    def insert_refused(self, counts: Sequence[RefusedCount]) -> None:
        self.refused |= {count.count_id: count for count in counts}


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


def build(spool: Spool, store: FakeStore) -> Delivery:
    return Delivery(
        spool.folder,
        Inserts(store.insert_predictions, store.insert_outcomes, store.insert_refused),
        is_row_at_fault,
        partial(append_refused_row, spool.folder.parent / "refused.jsonl"),
    )


def append(spool: Spool, *numbers: int) -> None:
    ids = [str(uuid7()) for _ in numbers]
    record = PredictionRecord(
        "online", 1, ids, [[n] for n in numbers], [], ["no"] * len(ids), [[0.75, 0.25]] * len(ids)
    )
    spool.append([encode_record(record)], len(ids))


def deliver_all(delivery: Delivery, folder: Path, *, is_ended: bool = False) -> None:
    while delivery.deliver_folder(folder, is_ended=is_ended):
        pass


def test_finished_segments_are_delivered_and_deleted(tmp_path: Path, store: FakeStore) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1, 2)
    spool.finish_segment()
    append(spool, 3)
    delivery = build(spool, store)
    deliver_all(delivery, spool.folder)
    assert sorted(map(str, store.parcels.values())) == ["1", "2"]
    assert list_segments(spool.folder) == []
    assert delivery.counts.written == 2
    assert read_counts(spool.folder) == delivery.counts
    deliver_all(delivery, spool.folder, is_ended=True)
    assert len(store.parcels) == delivery.counts.written == 3


def test_outcomes_and_refused_counts_are_delivered_too(tmp_path: Path, store: FakeStore) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1)
    spool.append([encode_record(OutcomeRecord(AT, ["o1", "o2"], ["a", "b"], ["yes", "no"]))], 2)
    count = RefusedCount("c", "weight", "less_than", 3, AT, AT, "service-1")
    spool.append([encode_record(RefusedRecord([count]))], 1)
    spool.finish_segment()
    delivery = build(spool, store)
    deliver_all(delivery, spool.folder)
    assert store.outcomes == {"o1": "yes", "o2": "no"}
    assert store.refused == {"c": count}
    assert delivery.counts.written == spool.accepted == 4


def test_a_database_that_is_away_takes_them_later(tmp_path: Path, store: FakeStore) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1)
    spool.finish_segment()
    store.is_away = True
    delivery = build(spool, store)
    for _ in range(2):
        with pytest.raises(StoreUnreachable):
            delivery.deliver_folder(spool.folder, is_ended=False)
    delivery.show_trouble("MariaDB is away")
    assert read_counts(spool.folder).trouble == "MariaDB is away"
    store.is_away = False
    deliver_all(delivery, spool.folder)
    delivery.show_trouble("")
    assert len(store.parcels) == delivery.counts.written == 1
    assert read_counts(spool.folder).trouble == ""


def test_a_row_at_fault_is_kept_in_a_file_and_no_other(tmp_path: Path, store: FakeStore) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, *range(10, 17))
    spool.finish_segment()
    delivery = build(spool, store)
    deliver_all(delivery, spool.folder)
    assert len(store.parcels) == 6
    assert (delivery.counts.written, delivery.counts.refused) == (6, 1)
    (line,) = (tmp_path / "refused.jsonl").read_text().splitlines()
    assert json.loads(line)["row"]["parcel_id"] == 13
    assert "number 13" in json.loads(line)["reason"]


def test_a_full_disk_is_emptied_and_every_row_counted(
    tmp_path: Path, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file can be written while the segment is there: neither a trouble nor what was delivered."""
    spool = Spool(tmp_path, SCHEMA)
    delivery = build(spool, store)
    write = delivery_module.write_private_file

    def write_if_there_is_room(path: Path, content: str | bytes) -> None:
        if list(spool.folder.glob("*.shipping")):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(delivery_module, "write_private_file", write_if_there_is_room)
    append(spool, 1, 2)
    spool.finish_segment()
    store.is_away = True
    with pytest.raises(StoreUnreachable):
        delivery.deliver_folder(spool.folder, is_ended=False)
    delivery.show_trouble("MariaDB is away")
    store.is_away = False
    deliver_all(delivery, spool.folder)
    assert sorted(store.parcels.values()) == [1, 2]  # type: ignore[type-var]
    assert list_segments(spool.folder, ".shipping") == []
    counts = read_counts(spool.folder)
    assert (counts.written, counts.segment, counts.trouble) == (2, 1, "")


@pytest.mark.parametrize("place", ["after the insert", "before the deletion"])
def test_a_shipper_that_was_killed_is_followed_by_one_that_counts_right(
    tmp_path: Path, store: FakeStore, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1, 2)
    spool.finish_segment()

    def be_killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if place == "after the insert":
        store.after_insert = lambda: be_killed()
    else:
        monkeypatch.setattr(Path, "unlink", be_killed)
    with pytest.raises(KeyboardInterrupt):
        build(spool, store).deliver_folder(spool.folder, is_ended=False)
    monkeypatch.undo()
    store.after_insert = lambda: None
    append(spool, 3)
    spool.finish_segment()
    delivery = build(spool, store)
    deliver_all(delivery, spool.folder)
    assert sorted(map(str, store.parcels.values())) == ["1", "2", "3"]
    assert delivery.counts.written == 3
    assert {path.name for path in spool.folder.iterdir()} == {"lock", COUNTS_NAME}


def test_the_folder_of_another_process_is_delivered_to_its_end(tmp_path: Path, store: FakeStore) -> None:
    spool, former = Spool(tmp_path, SCHEMA), Spool(tmp_path, SCHEMA)
    append(former, 1, 2)
    append(spool, 3)
    spool.finish_segment()
    delivery = build(spool, store)
    deliver_all(delivery, spool.folder)
    deliver_all(delivery, former.folder, is_ended=True)
    assert len(store.parcels) == 3
    assert (delivery.counts.written, delivery.counts.adopted) == (3, 2)


def test_segments_that_an_earlier_version_did_not_see_are_delivered(tmp_path: Path, store: FakeStore) -> None:
    """It saw no names with rows, so its record is of the last segment only, which a kill had left open."""
    spool, former = Spool(tmp_path, SCHEMA), Spool(tmp_path, SCHEMA)
    for number in (1, 2, 3):
        append(former, number)
        former.finish_segment()
    record = {"segment": 4, "written": 1, "refused": 0, "adopted": 0, "spoilt": 0, "trouble": ""}
    (former.folder / COUNTS_NAME).write_text(json.dumps(record))
    delivery = build(spool, store)
    deliver_all(delivery, former.folder, is_ended=True)
    assert sorted(map(str, store.parcels.values())) == ["1", "2", "3"]
    assert delivery.counts.written == delivery.counts.adopted == 3
    # The record is now this version's, and its segments count as delivered.
    assert read_counts(former.folder).segment == 3


def test_spoilt_bytes_are_set_aside_and_the_rest_is_delivered(tmp_path: Path, store: FakeStore) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1)
    append(spool, 2)
    append(spool, 3)
    spool.finish_segment()
    (path,) = list_segments(spool.folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    delivery = build(spool, store)
    deliver_all(delivery, spool.folder)
    assert len(store.parcels) == 2
    assert (delivery.counts.written, delivery.counts.spoilt) == (2, 1)
    (kept,) = (tmp_path / "spoilt").iterdir()
    assert kept.read_bytes() in bytes(content)
    assert kept.stat().st_mode & 0o077 == 0


def test_a_segment_that_is_no_segment_is_set_aside_whole(tmp_path: Path, store: FakeStore) -> None:
    spool = Spool(tmp_path, SCHEMA)
    (spool.folder / "0000000001.segment").write_bytes(b"nonsense" * 100)
    delivery = build(spool, store)
    deliver_all(delivery, spool.folder)
    assert delivery.counts.spoilt == 1
    (kept,) = (tmp_path / "spoilt").iterdir()
    assert kept.read_bytes() == b"nonsense" * 100


def test_predictions_behind_a_spoilt_schema_are_set_aside_with_it(tmp_path: Path, store: FakeStore) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1)
    spool.append([encode_record(OutcomeRecord(AT, ["o"], ["p"], ["yes"]))], 1)
    spool.finish_segment()
    (path,) = list_segments(spool.folder)
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    delivery = build(spool, store)
    deliver_all(delivery, spool.folder)
    assert (store.parcels, store.outcomes, delivery.counts.spoilt) == ({}, {"o": "yes"}, 1)
    (kept,) = (tmp_path / "spoilt").iterdir()
    assert kept.read_bytes() == bytes(content)


def test_a_record_that_does_not_fit_its_schema_keeps_no_other_from_the_database(
    tmp_path: Path, store: FakeStore
) -> None:
    spool = Spool(tmp_path, SCHEMA)
    spool.append(
        [encode_record(PredictionRecord("online", 1, ["id"], [[1, 2]], [], ["no"], [[1.0, 0.0]]))], 1
    )
    append(spool, 2)
    spool.finish_segment()
    delivery = build(spool, store)
    deliver_all(delivery, spool.folder)
    assert (list(store.parcels.values()), delivery.counts.spoilt) == ([2], 1)


def test_a_row_at_fault_is_kept_once_however_often_its_group_is_inserted(
    tmp_path: Path, store: FakeStore
) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 12, 13)
    spool.append([encode_record(OutcomeRecord(AT, ["o"], ["p"], ["yes"]))], 1)
    spool.finish_segment()
    delivery = build(spool, store)
    store.is_away_for_outcomes = True
    for _ in range(3):
        with pytest.raises(StoreUnreachable):
            delivery.deliver_folder(spool.folder, is_ended=False)
    store.is_away_for_outcomes = False
    deliver_all(delivery, spool.folder)
    assert len((tmp_path / "refused.jsonl").read_text().splitlines()) == delivery.counts.refused == 1


def test_a_disk_without_room_for_the_counts_gets_it_by_what_is_delivered(
    tmp_path: Path, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 1, 2)
    spool.finish_segment()
    write = delivery_module.write_private_file

    def write_where_there_is_room(path: Path, content: str | bytes) -> None:
        if list_segments(spool.folder, TAKEN_SUFFIX):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(delivery_module, "write_private_file", write_where_there_is_room)
    delivery = build(spool, store)
    deliver_all(delivery, spool.folder)
    assert len(store.parcels) == delivery.counts.written == read_counts(spool.folder).written == 2


@pytest.mark.parametrize("spoilt", [False, True])
def test_a_disk_without_room_for_a_refused_row_drains(
    tmp_path: Path, store: FakeStore, monkeypatch: pytest.MonkeyPatch, spoilt: bool
) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 12, 13)
    spool.append([encode_record(OutcomeRecord(AT, ["o"], ["p"], ["yes"]))], 1)
    spool.finish_segment()
    append(spool, 14)
    spool.finish_segment()
    if spoilt:
        path = list_segments(spool.folder)[0]
        path.write_bytes(path.read_bytes()[:-1])
    segments = 2

    def is_full() -> bool:
        waiting = [*list_segments(spool.folder), *list_segments(spool.folder, TAKEN_SUFFIX)]
        return len(waiting) == segments

    for module, name in ((delivery_module, "write_private_file"), (delivery_module, "append_refused_row")):
        original = getattr(module, name)

        def write(*arguments: Any, original: Any = original) -> None:
            if is_full():
                raise OSError(errno.ENOSPC, "No space left on device")
            original(*arguments)

        monkeypatch.setattr(module, name, write)

    def refuse(row: Any, error: Exception) -> None:
        delivery_module.append_refused_row(tmp_path / "refused.jsonl", row, error)

    inserts = Inserts(store.insert_predictions, store.insert_outcomes, store.insert_refused)
    delivery = Delivery(spool.folder, inserts, is_row_at_fault, refuse)
    deliver_all(delivery, spool.folder)
    assert sorted(map(str, store.parcels.values())) == ["12", "14"]
    (line,) = (tmp_path / "refused.jsonl").read_text().splitlines()
    assert json.loads(line)["row"]["parcel_id"] == 13
    counts = read_counts(spool.folder)
    assert (counts.written, counts.refused) == (2 if spoilt else 3, 1)
    assert (counts.spoilt, counts.spoilt_rows) == ((1, 1) if spoilt else (0, 0))


def test_a_refused_row_for_which_there_is_no_room_at_all_is_kept_later(
    tmp_path: Path, store: FakeStore
) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool, 13)
    spool.finish_segment()
    kept: list[object] = []
    full = True

    def refuse(row: object, _: Exception) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        kept.append(row)

    inserts = Inserts(store.insert_predictions, store.insert_outcomes, store.insert_refused)
    delivery = Delivery(spool.folder, inserts, is_row_at_fault, refuse)
    deliver_all(delivery, spool.folder)
    full = False
    append(spool, 13, 14)
    spool.finish_segment()
    deliver_all(delivery, spool.folder)
    assert (len(kept), delivery.counts.refused, delivery.counts.written) == (2, 2, 1)


def test_a_full_disk_is_emptied_by_one_segment_after_another(
    tmp_path: Path, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first one has no rows, and another is set aside whole."""
    former = Spool(tmp_path, SCHEMA)
    former.append([], 0)
    former.finish_segment()
    append(former, 1)
    former.append([b"no record"], 1)
    former.finish_segment()
    append(former, 2)
    former.close()
    spool = Spool(tmp_path, SCHEMA)
    write = delivery_module.write_private_file

    def be_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(delivery_module, "write_private_file", be_full)
    delivery = build(spool, store)
    deliver_all(delivery, former.folder, is_ended=True)
    assert sorted(map(str, store.parcels.values())) == ["1", "2"]
    assert (delivery.counts.written, delivery.counts.adopted) == (2, 3)
    assert (delivery.counts.spoilt, delivery.counts.spoilt_rows) == (1, 1)
    (kept,) = (tmp_path / "spoilt").iterdir()
    assert b"no record" in kept.read_bytes()
    monkeypatch.setattr(delivery_module, "write_private_file", write)
    delivery.settle(is_ended=False)
    assert read_counts(spool.folder) == delivery.counts


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_rows_that_are_on_the_record_of_another_folder_alone_are_counted_once(
    tmp_path: Path, store: FakeStore, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    spool, former = Spool(tmp_path, SCHEMA), Spool(tmp_path, SCHEMA)
    append(former, 1, 2)
    append(spool, 3)
    spool.finish_segment()
    write = delivery_module.write_private_file

    def write_to_the_other(path: Path, content: str | bytes) -> None:
        if path.parent == spool.folder:
            raise OSError(error, os.strerror(error))
        write(path, content)

    monkeypatch.setattr(delivery_module, "write_private_file", write_to_the_other)
    delivery = build(spool, store)
    with suppress(OSError):
        delivery.deliver_folder(former.folder, is_ended=True)
    monkeypatch.undo()
    deliver_all(delivery, former.folder, is_ended=True)
    deliver_all(delivery, spool.folder)
    delivery.settle(is_ended=False)
    assert (delivery.counts.written, delivery.counts.adopted) == (3, 2)
    assert read_counts(spool.folder) == delivery.counts


def test_refused_rows_of_two_kinds_may_have_one_id(tmp_path: Path) -> None:
    """A caller may send a prediction and an outcome under the same key."""
    spool = Spool(tmp_path, SCHEMA)
    row_id = str(uuid7())
    prediction = PredictionRecord("online", 1, [row_id], [[13]], [], ["no"], [[0.75, 0.25]])
    spool.append([encode_record(prediction)], 1)
    spool.append([encode_record(OutcomeRecord(AT, [row_id], ["p"], ["yes"]))], 1)
    spool.finish_segment()

    def reject(_: object) -> None:
        raise StoreError("no such parcel", hint="")

    kept: list[object] = []
    delivery = Delivery(
        spool.folder,
        Inserts(reject, reject, reject),
        is_row_at_fault,
        lambda row, _: kept.append(type(row)),
    )
    deliver_all(delivery, spool.folder)
    assert kept == [PredictionRow, Outcome]
    assert delivery.counts.refused == 2


def test_a_line_of_a_refused_row_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "refused.jsonl"
    row = RefusedCount("c", "weight", "less_than", 3, AT, AT, "service-1")
    append_refused_row(path, row, ValueError("first"))
    before = path.read_bytes()
    write = os.write

    def fill_disk(handle: int, data: bytes) -> int:
        if len(data) > 30:
            return write(handle, data[:30])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(delivery_module.os, "write", fill_disk)
        with pytest.raises(OSError, match="No space"):
            append_refused_row(path, row, ValueError("second"))
    assert path.read_bytes() == before


def test_no_other_shipper_writes_to_the_refused_rows_until_a_line_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk a half line is cut off again, with all that comes after it."""
    path = tmp_path / "refused.jsonl"
    row = RefusedCount("c", "weight", "less_than", 3, AT, AT, "service-1")
    write = os.write
    states: list[bool] = []

    def note_lock(handle: int, data: bytes) -> int:
        with path.open("ab") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                states.append(False)
            except BlockingIOError:
                states.append(True)
        return write(handle, data[:100])

    with monkeypatch.context() as patch:
        patch.setattr(delivery_module.os, "write", note_lock)
        append_refused_row(path, row, ValueError("first"))
    assert len(states) > 1
    assert all(states)
    append_refused_row(path, row, ValueError("second"))
    assert len(path.read_text().splitlines()) == 2
