"""Many rows in a request, beside the model's own speed on rows that are ready for it."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

from benchmarks.common.result import Field
from benchmarks.serving.outcome import Outcome, Stage
from benchmarks.serving.rounds import Size, take_turns
from benchmarks.serving.variants import PLAIN, run_variant
from benchmarks.serving.world import BATCH_ROWS, World

from evergreen.model.matrix import build_pool
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows

_TARGET = 20_000
_CONNECTIONS = 2
_PREDICTS = 20


def measure_batches(world: World, size: Size) -> Outcome:
    with run_variant(world, PLAIN) as evergreen:
        batches = replace(evergreen, path="/predict_batch", bodies=world.write_batch_bodies())
        (measured,) = take_turns(world, [batches], size, connections=_CONNECTIONS).values()
    rows = measured.take_median("rate") * BATCH_ROWS if measured.valid else 0.0
    fault = "" if measured.valid else f"; NO VALID ROUND: {measured.fault}"
    return Outcome(
        [
            Field(
                "batch_rows_per_s",
                rows,
                f"rows/s through /predict_batch with the log, {BATCH_ROWS:,} rows a request,"
                f" {_CONNECTIONS} connections{fault}",
                _TARGET,
            ),
            Field(
                "batch_delivered_rows_per_s",
                measured.measure_delivered_rate(),
                "the same until MariaDB had every row, over the round and what it left on its way",
            ),
            Field(
                "batch_predict_rows_per_s",
                measure_model(world),
                "rows/s of the same model's bare predict on a ready Pool of as many rows, one thread",
            ),
        ],
        {"batch": measured},
    )


def measure_model(world: World) -> float:
    """Rows a second of the model alone, in this process."""
    rows = (list(world.rows) * (BATCH_ROWS // len(world.rows) + 1))[:BATCH_ROWS]
    columns = add_on_demand_columns(world.use_case, build_columns_from_rows(world.use_case, rows))
    pool = build_pool(world.use_case, columns)
    taken = []
    for _ in range(_PREDICTS):
        started = time.perf_counter()
        world.model.predict(pool, prediction_type="Probability", thread_count=1)
        taken.append(time.perf_counter() - started)
    return BATCH_ROWS / median(taken)


STAGE = Stage("batches", ("batch_rows_per_s",), measure_batches)
