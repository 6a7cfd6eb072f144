"""The faults, in the order of the table in docs/serving.md."""

from __future__ import annotations

from benchmarks.chaos.fault import Fault
from benchmarks.chaos.faults import (
    challengers,
    database,
    fuzz,
    kills,
    mlflow_down,
    replaced_model,
    replicas,
    spool,
    stops,
    swaps,
)

FAULTS: tuple[Fault, ...] = (
    kills.FAULT,
    database.AWAY,
    database.LOCKED,
    mlflow_down.FAULT,
    swaps.FAULT,
    *challengers.FAULTS,
    replaced_model.FAULT,
    *spool.FAULTS,
    stops.FAULT,
    replicas.FAULT,
    fuzz.FAULT,
)
