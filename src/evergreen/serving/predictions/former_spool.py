"""The spool of earlier versions: JSON lines, which become segments of the present form."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from evergreen.private import write_private_file
from evergreen.serving.predictions.record import (
    FORMAT,
    PredictionRecord,
    SegmentSchema,
    encode_record,
)
from evergreen.serving.predictions.segments import (
    FINISHED_SUFFIX,
    format_segment_name,
    frame_records,
)
from evergreen.store.predictions.prediction_row import PredictionRow

logger = logging.getLogger(__name__)


def convert_former_segments(use_case: str, folder: Path) -> None:
    """Turn the segments that an earlier version left in a locked folder into those of this version.

    Safe to run again. Raises OSError.
    """
    for path in sorted(folder.glob("*.jsonl")):
        rows = _read_rows(path)
        # An earlier version counted from 0.
        target = folder / format_segment_name(int(path.stem) + 1, FINISHED_SUFFIX)
        write_private_file(target, _build_segment(use_case, rows))
        path.unlink()


def _build_segment(use_case: str, rows: Sequence[PredictionRow]) -> bytes:
    names = tuple(dict.fromkeys(name for row in rows for name in row.inputs))
    classes = tuple(dict.fromkeys(name for row in rows for name in row.probabilities or ()))
    records = [
        PredictionRecord(
            row.channel,
            row.model_version,
            [row.prediction_id],
            [[row.inputs.get(name) for name in names]],
            [],
            [row.prediction],
            [[(row.probabilities or {}).get(name, 0.0) for name in classes]],
        )
        for row in rows
    ]
    schema = SegmentSchema(FORMAT, use_case, names, (), classes)
    return frame_records([encode_record(schema), *map(encode_record, records)])


def _read_rows(path: Path) -> list[PredictionRow]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(PredictionRow.from_json(json.loads(line)))
        except json.JSONDecodeError:
            # Only the last line can be torn, by a kill in the middle of an append.
            logger.warning("%s, line %d is incomplete and skipped", path, number)
    return rows
