"""What counting costs the shipper: the same segments of a spool delivered to MariaDB, with and without."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from benchmarks.monitor.log_world import (
    CLASSES,
    MILLISECOND,
    START,
    VERSION,
    LogWorld,
    declare_use_case,
    draw_columns,
    make_ids,
    open_log_world,
)
from benchmarks.monitor.stage import Options

from evergreen.model.prediction_counter import PredictionCounter
from evergreen.serving.predictions.delivery import Delivery, Inserts
from evergreen.serving.predictions.record import PredictionRecord, build_segment_schema, encode_record
from evergreen.serving.predictions.segments import FINISHED_SUFFIX, format_segment_name, frame_records
from evergreen.serving.predictions.shipper import is_row_at_fault
from evergreen.store.predictions import load
from evergreen.store.predictions.channels import ONLINE

NUMBERS, CATEGORIES = 18, 4
# As a busy service writes them: some requests become a record, and some thousand rows a segment.
RECORD_ROWS, SEGMENT_ROWS = 10, 5_000
FULL = (60_000, 7)
QUICK = (10_000, 2)


def measure(options: Options) -> Mapping[str, Any]:
    """shipping_cost, and the rows in a second of each round."""
    rows, rounds = QUICK if options.quick else FULL
    use_case = declare_use_case(NUMBERS, CATEGORIES)
    rates: dict[str, list[float]] = {"with": [], "without": []}
    with open_log_world(options.folder, use_case, options.seed) as world:
        draw = np.random.default_rng(options.seed)
        for number in range(-1, rounds):
            # Each is the first in every other round.
            for name in sorted(rates, reverse=bool(number % 2)):
                first = 2 * (number + 1) * rows + (rows if name == "with" else 0)
                folder = options.folder / f"spool-{number}-{name}"
                write_segments(world, folder, first, rows, draw)
                with counting(counts=name == "with"):
                    seconds = deliver(world, folder)
                if number >= 0:  # the first round warms up
                    rates[name].append(rows / seconds)
    pairs = zip(rates["with"], rates["without"], strict=True)
    return {
        "shipping_cost": statistics.median(a / b for a, b in pairs),
        "shipping_rows_per_s": statistics.median(rates["with"]),
        "shipping_rounds": {name: [round(rate) for rate in some] for name, some in rates.items()},
    }


def write_segments(world: LogWorld, folder: Path, first: int, rows: int, draw: np.random.Generator) -> None:
    """Finished segments of that many rows, ten in a millisecond from the number `first` on."""
    folder.mkdir()
    schema = encode_record(build_segment_schema(world.use_case))
    for number, start in enumerate(range(0, rows, SEGMENT_ROWS), 1):
        some = min(SEGMENT_ROWS, rows - start)
        columns = draw_columns(world.use_case, some, draw)
        cells = [
            [None if cell is None or cell != cell else cell for cell in column.tolist()]
            for column in columns.values()
        ]
        inputs = [(key, *values) for key, values in enumerate(zip(*cells, strict=True))]
        ids = make_ids(START, MILLISECOND / 10, first + start, some)
        shares = draw.random(some).round(6).tolist()
        records = [
            PredictionRecord(
                ONLINE,
                VERSION,
                ids[place : place + RECORD_ROWS],
                inputs[place : place + RECORD_ROWS],
                (),
                [CLASSES[share > 0.5] for share in shares[place : place + RECORD_ROWS]],
                [(1 - share, share) for share in shares[place : place + RECORD_ROWS]],
            )
            for place in range(0, some, RECORD_ROWS)
        ]
        path = folder / format_segment_name(number, FINISHED_SUFFIX)
        path.write_bytes(frame_records([schema, *map(encode_record, records)]))


def deliver(world: LogWorld, folder: Path) -> float:
    """Deliver a folder as the shipper does; seconds."""
    counter = PredictionCounter(world.engine, world.use_case)
    insert = partial(load.load_predictions, world.engine, world.use_case, counter=counter)
    delivery = Delivery(folder, Inserts(insert, len, len), is_row_at_fault, _fail)
    started = time.perf_counter()
    while delivery.deliver_folder(folder, is_ended=True):
        pass
    return time.perf_counter() - started


@contextmanager
def counting(*, counts: bool) -> Iterator[None]:
    """Meanwhile loads count their rows, or do what they did before there were counts."""
    if counts:
        yield
    else:
        with patch.object(load, "count_new_rows", lambda *_: None):
            yield


def _fail(row: object, error: Exception) -> None:
    raise SystemExit(f"a row was refused: {error}: {row}")
