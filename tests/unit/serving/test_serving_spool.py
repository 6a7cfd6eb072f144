"""Rows on disk: private, in order, whole lines only."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from evergreen.serving.predictions.spool import PredictionSpool, Row


def rows(*numbers: int) -> list[Row]:
    return [{"prediction_id": f"id-{n}", "predicted_at": datetime(2026, 1, 1, tzinfo=UTC)} for n in numbers]


def test_rows_come_back_in_order_and_in_segments(tmp_path: Path) -> None:
    spill = PredictionSpool(tmp_path, "parcel", segment_rows=2)
    spill.append(rows(1, 2))
    spill.append(rows(3))
    assert spill.rows == 3
    assert spill.oldest() == rows(1, 2)
    spill.drop_oldest()
    assert spill.oldest() == rows(3)
    spill.drop_oldest()
    assert (spill.oldest(), spill.rows) == ([], 0)


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
    assert after.oldest() == rows(1)
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
    assert spill.oldest() == rows(1, 3)
    assert spill.rows == 2


def test_values_that_json_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object"):
        PredictionSpool(tmp_path, "parcel").append([{"x": object()}])
