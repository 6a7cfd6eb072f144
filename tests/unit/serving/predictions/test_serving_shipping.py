"""The worker's side of shipping: the shipper runs, runs again, and runs the worker's own code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import evergreen
from evergreen.serving.child_environment import build_child_environment
from evergreen.serving.predictions import shipping as shipping_module
from evergreen.serving.predictions import spool as spool_module
from evergreen.serving.predictions.delivery import Delivery, Inserts
from evergreen.serving.predictions.log_counts import COUNTS_NAME, LogCounts
from evergreen.serving.predictions.record import (
    OutcomeRecord,
    SegmentSchema,
    encode_record,
)
from evergreen.serving.predictions.segments import OPEN_SUFFIX, TAKEN_SUFFIX, list_segments
from evergreen.serving.predictions.shipping import Shipping
from evergreen.serving.predictions.spool import Spool
from support.waiting import eventually

SCHEMA = SegmentSchema(1, "parcel", ("parcel_id",), (), ("no", "yes"))

# Stand-ins for the shipper: told of segments by lines, they leave what they did in the folder.
DELETES = """
import pathlib, sys, os
folder = pathlib.Path(sys.argv[1])
(folder / "starts").open("a").write("x")
while os.read(0, 100):
    for path in folder.glob("*.segment"):
        path.unlink()
for path in folder.iterdir():
    path.unlink()
folder.rmdir()
"""
DIES = 'import pathlib, sys; (pathlib.Path(sys.argv[1]) / "starts").open("a").write("x")'


def ship(
    monkeypatch: pytest.MonkeyPatch, folder: Path, program: str
) -> tuple[Spool, Shipping, list[LogCounts]]:
    monkeypatch.setattr(shipping_module, "_COMMAND", (sys.executable, "-c", program))
    monkeypatch.setattr(shipping_module, "_MEASURE_SECONDS", 0.05)
    observed: list[LogCounts] = []
    spool = Spool(folder, SCHEMA)
    shipping = Shipping(spool, observed.append)
    shipping.start()
    return spool, shipping, observed


def append(spool: Spool) -> None:
    from datetime import UTC, datetime

    record = OutcomeRecord(datetime.now(UTC), ["o"], ["p"], ["yes"])
    spool.append([encode_record(record)], 1)


def balances(counts: LogCounts) -> bool:
    """Whether every row that came is somewhere, as health compares it too."""
    places = (counts[n] for n in ("spooled", "written", "refused", "dropped", "spoilt_rows"))  # type: ignore[literal-required]
    return counts["accepted"] + counts["adopted"] == sum(places)


def test_segments_are_finished_and_the_shipper_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, shipping, observed = ship(monkeypatch, tmp_path, DELETES)
    append(spool)
    eventually(lambda: (spool.folder / "starts").exists())
    append(spool)
    # This shipper deletes what it does not deliver: the rows are missing in the sum.
    eventually(lambda: bool(observed) and (observed[-1]["accepted"], observed[-1]["spooled"]) == (2, 0))
    assert not balances(observed[-1])
    assert shipping.stop(20)
    assert not spool.folder.exists()


def test_a_shipper_that_ends_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, shipping, _ = ship(monkeypatch, tmp_path, DIES)
    eventually(lambda: (spool.folder / "starts").exists() and len((spool.folder / "starts").read_text()) >= 2)
    append(spool)
    assert not shipping.stop(5)
    # What nobody has delivered stays for the next start.
    assert list_segments(spool.folder)


def test_counts_of_the_shipper_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, shipping, _ = ship(monkeypatch, tmp_path, DELETES)
    append(spool)
    (spool.folder / COUNTS_NAME).write_text(
        '{"segment": 0, "written": 3, "refused": 1, "adopted": 4, "spoilt": 0, "trouble": "away"}'
    )
    counts = shipping.count_rows()
    assert {name: counts[name] for name in ("accepted", "adopted", "written", "refused", "spooled")} == {
        "accepted": 1,
        "adopted": 4,
        "written": 3,
        "refused": 1,
        "spooled": 1,
    }
    assert counts["trouble"] == "away"
    shipping.stop(20)


def test_what_the_observer_raises_does_not_end_the_shipping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping_module, "_COMMAND", (sys.executable, "-c", DELETES))
    monkeypatch.setattr(shipping_module, "_MEASURE_SECONDS", 0.05)
    spool = Spool(tmp_path, SCHEMA)
    calls: list[LogCounts] = []

    def fail_once(counts: LogCounts) -> None:
        calls.append(counts)
        if len(calls) == 1:
            raise ValueError

    shipping = Shipping(spool, fail_once)
    shipping.start()
    eventually(lambda: len(calls) >= 2)
    append(spool)
    assert shipping.stop(20)


def test_what_is_observed_at_the_end_is_shipped_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping_module, "_COMMAND", (sys.executable, "-c", DELETES))
    monkeypatch.setattr(shipping_module, "_MEASURE_SECONDS", 3600.0)
    spool = Spool(tmp_path, SCHEMA)
    observed: list[LogCounts] = []
    shipping = Shipping(spool, observed.append)
    shipping.start()
    eventually(lambda: bool(observed))
    append(spool)
    shipping.stop(20)
    assert [counts["accepted"] for counts in observed] == [0, 1]


def test_a_shipping_that_never_started_stops(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool)
    assert not Shipping(spool).stop(20)
    assert list_segments(spool.folder)


def test_the_shipper_has_the_code_of_the_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = build_child_environment()
    assert environment["PYTHONPATH"].split(os.pathsep)[1:] == ["/somewhere"]
    code = "import evergreen; print(evergreen.__file__)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(told.stdout.strip()) == Path(evergreen.__file__)


def test_a_row_that_was_spoilt_is_not_spooled_for_ever(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA)
    for _ in range(3):
        append(spool)
    spool.finish_segment()
    append(spool)
    (path,) = list_segments(spool.folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    take = Inserts(*[lambda _: None] * 3)
    delivery = Delivery(spool.folder, take, lambda _: False, lambda *_: None)
    assert delivery.deliver_folder(spool.folder, is_ended=False)
    counts = Shipping(spool).count_rows()
    assert (counts["written"], counts["spoilt_rows"], counts["spoilt"], counts["spooled"]) == (2, 1, 1, 1)
    assert balances(counts)


def test_rows_on_disk_are_counted_while_segments_are_taken_and_until_they_are_on_record(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool)
    spool.finish_segment()
    append(spool)
    shipping = Shipping(spool)
    (path,) = list_segments(spool.folder)
    taken = path.rename(path.with_suffix(TAKEN_SUFFIX))
    assert shipping.count_rows()["spooled"] == 2
    (spool.folder / COUNTS_NAME).write_text('{"segment": 1, "written": 1, "spoilt_rows": 0}')
    for _ in range(2):  # on record and not deleted yet, and then deleted
        counts = shipping.count_rows()
        assert (counts["spooled"], counts["written"]) == (1, 1)
        assert balances(counts)
        taken.unlink(missing_ok=True)


def test_a_segment_that_is_deleted_by_anyone_is_missing_in_the_sum(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCHEMA)
    append(spool)
    spool.finish_segment()
    append(spool)
    for path in list_segments(spool.folder):
        path.unlink()
    for _ in range(2):
        counts = Shipping(spool).count_rows()
        assert (counts["accepted"], counts["spooled"]) == (2, 1)
        assert not balances(counts)
        spool.measure()


def test_the_age_is_that_of_the_oldest_rows_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 1_900_000_000.0
    monkeypatch.setattr(spool_module.time, "time", lambda: moment)
    spool = Spool(tmp_path, SCHEMA)
    shipping = Shipping(spool)
    assert shipping.count_rows()["spool_age_seconds"] == 0
    append(spool)
    spool.finish_segment()
    moment += 5
    append(spool)
    moment += 2
    assert shipping.count_rows()["spool_age_seconds"] == 7
    for path in list_segments(spool.folder):
        path.unlink()
    spool.measure()
    assert shipping.count_rows()["spool_age_seconds"] == 2
    # What an ended process has left counts too.
    (path,) = list_segments(spool.folder, OPEN_SUFFIX)
    os.utime(path, (moment - 60, moment - 60))
    assert Shipping(Spool(tmp_path, SCHEMA)).count_rows()["spool_age_seconds"] == 60
