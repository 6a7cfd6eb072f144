"""Rows on disk: private, in order, whole lines only."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evergreen.loop.score import compute_prediction_id
from evergreen.serving.predictions.spool import PredictionSpool
from evergreen.store.predictions.prediction_row import PredictionRow

AT = datetime(2026, 1, 1, 12, 30, 0, 125000, tzinfo=UTC)


def rows(*numbers: int) -> list[PredictionRow]:
    ids = [str(compute_prediction_id("parcel", AT, (n,))) for n in numbers]
    return [PredictionRow(each, 1, "online", {"weight": 1.5, "carrier": None}, "no") for each in ids]


def test_rows_come_back_in_order_and_in_segments(tmp_path: Path) -> None:
    spill = PredictionSpool(tmp_path, "parcel", segment_rows=2)
    spill.append(rows(1, 2))
    spill.append(rows(3))
    assert spill.rows == 3
    assert spill.read_oldest() == rows(1, 2)
    spill.drop_oldest()
    assert spill.read_oldest() == rows(3)
    spill.drop_oldest()
    assert (spill.read_oldest(), spill.rows) == ([], 0)


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    spill = PredictionSpool(tmp_path, "parcel")
    spill.append(rows(1))
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o077 == 0


def test_another_use_case_with_a_longer_name_is_left_alone(tmp_path: Path) -> None:
    other = PredictionSpool(tmp_path, "parcel_big")
    other.append(rows(1))
    other.close()
    assert PredictionSpool(tmp_path, "parcel").adopt() == 0
    assert PredictionSpool(tmp_path, "parcel_big").adopt() == 1


def test_a_torn_last_line_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spill = PredictionSpool(tmp_path, "parcel")
    spill.append(rows(1, 2))
    spill.close()
    (segment,) = tmp_path.glob("*/*.jsonl")
    segment.write_text(segment.read_text()[:-20])
    after = PredictionSpool(tmp_path, "parcel")
    assert after.adopt() == 1
    assert after.read_oldest() == rows(1)
    assert "incomplete" in caplog.text


def test_a_failed_append_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    spill = PredictionSpool(tmp_path, "parcel")
    spill.append(rows(1))
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            spill.append(rows(2))
    spill.append(rows(3))
    assert spill.read_oldest() == rows(1, 3)
    assert spill.rows == 2


def test_values_that_json_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object"):
        PredictionSpool(tmp_path, "parcel").append([replace(rows(1)[0], inputs={"x": object()})])  # type: ignore[dict-item]


def test_rows_that_earlier_versions_left_on_disk_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "parcel-0a1b"
    folder.mkdir()
    (row,) = rows(1)
    former = {
        "prediction_id": row.prediction_id,
        "model_version": 4,
        "parcel_id": 7,
        "predicted_at": AT.isoformat(),
        "channel": "canary",
        "weight": 2.5,
        "carrier": None,
        "prediction": "yes",
        "probability": 0.75,
        "probabilities": {"no": 0.25, "yes": 0.75},
    }
    number = {**former, "prediction": 2.5, "probability": None, "probabilities": None}
    (folder / "00000000.jsonl").write_text(f"{json.dumps(former)}\n{json.dumps(number)}\n")
    spool = PredictionSpool(tmp_path, "parcel")
    assert spool.adopt() == 2
    first, second = spool.read_oldest()
    assert first == PredictionRow(
        row.prediction_id,
        4,
        "canary",
        {"parcel_id": 7, "weight": 2.5, "carrier": None},
        "yes",
        0.75,
        {"no": 0.25, "yes": 0.75},
    )
    assert first.predicted_at == AT
    assert (second.prediction, second.probability, second.probabilities) == (2.5, None, None)
    # What this version writes has the same fields, so that an earlier one can read it.
    assert first.to_json() == former
    spool.close()
