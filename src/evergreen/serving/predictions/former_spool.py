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


def convert_former_segments(use_case_name: str, folder: Path) -> None:
    """Turn the segments that an earlier version left in a locked folder into those of this version.

    One with a line that cannot be read stays beside as `NUMBER.jsonl.spoilt`. Safe to run again. Raises
    OSError.
    """
    for path in sorted(path for path in folder.glob("*.jsonl") if path.stem.isdigit()):
        rows, is_whole = _read_rows(path)
        # An earlier version counted from 0.
        target = folder / format_segment_name(int(path.stem) + 1, FINISHED_SUFFIX)
        write_private_file(target, _build_segment(use_case_name, rows))
        if is_whole:
            path.unlink()
        else:
            path.rename(path.with_name(f"{path.name}.spoilt"))


def _build_segment(use_case_name: str, rows: Sequence[PredictionRow]) -> bytes:
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
    schema = SegmentSchema(FORMAT, use_case_name, names, (), classes)
    return frame_records([encode_record(schema), *map(encode_record, records)])


def _read_rows(path: Path) -> tuple[list[PredictionRow], bool]:
    """The rows of a file, and whether it has no others that cannot be read."""
    rows: list[PredictionRow] = []
    is_whole = True
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(PredictionRow.from_json(json.loads(line)))
        except (ValueError, LookupError, TypeError, AttributeError):
            logger.warning("%s, line %d is incomplete and skipped", path, number)
            # The last line may be torn, by a kill in the middle of an append: nobody got its answer.
            is_whole = is_whole and number == len(lines)
    return rows, is_whole
