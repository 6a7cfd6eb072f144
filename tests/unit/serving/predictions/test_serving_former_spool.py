"""What an earlier version left on disk becomes segments of the present form."""

from __future__ import annotations

import json
from pathlib import Path

from uuid_utils import uuid7

from evergreen.serving.predictions.former_spool import convert_former_segments
from evergreen.serving.predictions.record import PredictionRecord, list_prediction_rows
from evergreen.serving.predictions.segments import list_segments, read_segment
from evergreen.store.predictions.prediction_row import PredictionRow


def rows(count: int) -> list[PredictionRow]:
    shares = {"no": 0.75, "yes": 0.25}
    return [
        PredictionRow(str(uuid7()), 3, "online", {"parcel_id": n, "note": None}, "no", 0.75, shares)
        for n in range(count)
    ]


def read(folder: Path) -> list[PredictionRow]:
    found: list[PredictionRow] = []
    for path in list_segments(folder):
        segment = read_segment(path)
        assert segment.schema is not None
        assert not segment.spoilt
        for record in segment.records:
            assert isinstance(record, PredictionRecord)
            found.extend(list_prediction_rows(segment.schema, record))
    return found


def test_every_row_is_kept_in_order_and_a_torn_line_is_not_one(tmp_path: Path) -> None:
    logged = rows(5)
    lines = [json.dumps(row.to_json()) for row in logged]
    (tmp_path / "00000000.jsonl").write_text("\n".join(lines[:2]) + "\n")
    (tmp_path / "00000001.jsonl").write_text("\n".join([*lines[2:], lines[0][:40]]))
    convert_former_segments("parcel", tmp_path)
    assert read(tmp_path) == logged
    assert list(tmp_path.glob("*.jsonl")) == []
    convert_former_segments("parcel", tmp_path)
    assert read(tmp_path) == logged


def test_numbers_have_no_probabilities(tmp_path: Path) -> None:
    row = PredictionRow(str(uuid7()), 3, "online", {"parcel_id": 1}, 12.5)
    (tmp_path / "00000000.jsonl").write_text(json.dumps(row.to_json()) + "\n")
    convert_former_segments("parcel", tmp_path)
    assert read(tmp_path) == [row]


def test_a_line_that_is_no_row_costs_only_itself_and_its_file_is_kept(tmp_path: Path) -> None:
    logged = rows(2)
    lines = [json.dumps(row.to_json()).encode() for row in logged]
    (tmp_path / "00000000.jsonl").write_bytes(b"\n".join([lines[0], b"[1]", b'{"x": 1}', b"\xff", lines[1]]))
    (tmp_path / "notes.jsonl").write_text("not ours")
    convert_former_segments("parcel", tmp_path)
    assert read(tmp_path) == logged
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".segment") == [
        "00000000.jsonl.spoilt",
        "notes.jsonl",
    ]
