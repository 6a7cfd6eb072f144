"""The whole run, stage by stage, on one pair of servers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.common.result import Field
from benchmarks.common.timing import say
from benchmarks.serving.champion import Budget
from benchmarks.serving.outcome import Stage
from benchmarks.serving.rounds import Measured, Size
from benchmarks.serving.stages import STAGES
from benchmarks.serving.stages.power import measure_sync
from benchmarks.serving.world import BATCH_ROWS, BODIES, SEED, USE_CASE, World, prepare_world

_PACKAGES = (
    *("bentoml", "catboost", "fastapi", "httptools", "mlflow", "msgspec", "mysqlclient", "pandas"),
    *("pydantic", "scikit-learn", "starlette", "uvicorn", "uvloop"),
)
# A round may leave at most a second of its traffic on the way to MariaDB.
_LEFT_SECONDS = 1.0


@dataclass(frozen=True)
class Run:
    """What was found: figures, rounds by name, and the facts that they depend on."""

    fields: list[Field]
    runs: Mapping[str, Measured]
    facts: Mapping[str, Any]


def choose_stages(names: Sequence[str]) -> list[Stage]:
    """The stages that give the figures of those names; all stages without names. Raises KeyError."""
    by_name = {name: stage for stage in STAGES for name in stage.gives}
    chosen = {by_name[name].title for name in names}
    return [stage for stage in STAGES if not names or stage.title in chosen]


def measure(folder: Path, cache: Path, size: Size, budget: Budget, stages: Sequence[Stage]) -> Run:
    """Everything. Raises SystemExit when a server does not start."""
    fields: list[Field] = []
    runs: dict[str, Measured] = {}
    with prepare_world(folder, cache, budget) as world:
        for stage in stages:
            say(stage.title)
            outcome = stage.measure(world, size)
            fields += outcome.fields
            runs |= outcome.runs
        facts = collect_facts(world)
    return Run([*fields, *judge_log(runs.values())], runs, facts)


def judge_log(measured: Iterable[Measured]) -> list[Field]:
    """What every round with the log must hold: nothing lost or doubled, little on its way at the end."""
    contenders = list(measured)
    arrivals = [arrival for each in contenders for arrival in each.arrivals]
    if not arrivals:
        return []
    faulty = [each for each in contenders for figures in each.rounds if figures.errors]
    acknowledged = sum(arrival.acknowledged for arrival in arrivals)
    told = f"of {acknowledged:,} acknowledged in {len(arrivals)} rounds"
    return [
        Field(
            "log_lost", sum(arrival.lost for arrival in arrivals), f"{told}, not in MariaDB", 0, at_most=True
        ),
        Field(
            "log_doubled",
            sum(arrival.doubled for arrival in arrivals),
            f"{told}, there twice",
            0,
            at_most=True,
        ),
        Field(
            "spool_left_s",
            max(arrival.left_seconds for arrival in arrivals),
            "seconds of traffic on its way to MariaDB when a round had ended, the most of all rounds",
            _LEFT_SECONDS,
            at_most=True,
        ),
        Field(
            "invalid_rounds",
            len(faulty),
            "rounds with an error, which count for nothing"
            + (f": {faulty[0].name}: {faulty[0].fault[:200]}" if faulty else ""),
            0,
            at_most=True,
        ),
    ]


def collect_facts(world: World) -> dict[str, Any]:
    """What the figures depend on, beside the machine."""
    return {
        "use_case": USE_CASE,
        "features": len(world.use_case.stored_features),
        "trees": world.model.tree_count_,
        "tree_depth": int(world.model.get_all_params()["depth"]),
        "bodies": BODIES,
        "seed": SEED,
        "batch_rows": BATCH_ROWS,
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)),
        "disk_sync_ms": round(measure_sync(world.folder) * 1e3, 4),
        "mariadb": _read_server_version(world),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _read_server_version(world: World) -> str:
    connection = world.bench.connect()
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT VERSION()")
        return str(cursor.fetchone()[0])
    finally:
        connection.close()
