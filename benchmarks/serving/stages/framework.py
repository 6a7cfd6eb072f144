"""Beside the no-op of the web framework: requests a second by connections, and the tail of the latencies."""

from __future__ import annotations

from benchmarks.common.result import Field
from benchmarks.serving.comparators.commands import build_environment, run_fastapi_noop
from benchmarks.serving.contender import Command, Contender, run_server
from benchmarks.serving.outcome import Outcome, Stage, compare, skip, tell
from benchmarks.serving.rounds import Measured, Size, take_turns
from benchmarks.serving.variants import PLAIN, run_variant
from benchmarks.serving.world import World

NOOP = "fastapi_noop"
BARE_SERVER = "bare_server"
# Connections: at least, aim.
_TARGETS = {1: (0.8, 1.0), 4: (1.3, None), 64: (2.5, None)}
_P99 = 1.5
# In an open loop a request that finds every connection busy waits: there are enough of them for a stall.
_OPEN_CONNECTIONS = 64


def measure_framework(world: World, size: Size) -> Outcome:
    limit = measure_generator(world, size)
    runs: dict[str, Measured] = {BARE_SERVER: limit}
    with run_fastapi_noop(world) as noop, run_variant(world, PLAIN) as evergreen:
        pair = [evergreen, noop]
        closed = take_turns(world, pair, size)
        runs |= {f"closed_16_{name}": each for name, each in closed.items()}
        ours, theirs = closed[PLAIN.name], closed[NOOP]
        by_connections = []
        for connections, (target, aim) in _TARGETS.items():
            measured = take_turns(world, pair, size, connections=connections)
            runs |= {f"closed_{connections}_{name}": each for name, each in measured.items()}
            by_connections.append(
                compare(
                    f"vs_fastapi_noop_{connections}",
                    measured[PLAIN.name],
                    measured[NOOP],
                    f"the same with {connections} connection{'s' if connections > 1 else ''}",
                    target=target,
                    aim=aim,
                )
            )
        open_field = _measure_open(world, size, pair, theirs, runs)
    return Outcome(
        [
            compare(
                "vs_fastapi_noop",
                ours,
                theirs,
                "requests/s with the durable log / FastAPI's no-op, 16 connections",
                target=2.0,
                aim=2.5,
            ),
            *by_connections,
            compare(
                "p99_vs_noop",
                ours,
                theirs,
                "99th percentile of the latency / the no-op's, 16 connections",
                figure="p99",
                target=_P99,
                at_most=True,
                part="closed",
            ),
            open_field,
            *tell(ours),
            *tell(theirs),
            *_tell_generator(limit, ours, theirs),
        ],
        runs,
    )


def measure_generator(world: World, size: Size) -> Measured:
    """What the generator reaches against a server that does next to nothing."""
    command = Command(("-m", "benchmarks.serving.load.bare_server", "PORT"), build_environment(world), "/")
    with run_server(BARE_SERVER, command, world.folder) as (process, port):
        bare = Contender(BARE_SERVER, process, port, "/predict", world.write_single_bodies())
        return take_turns(world, [bare], size)[BARE_SERVER]


def _measure_open(
    world: World, size: Size, pair: list[Contender], noop: Measured, runs: dict[str, Measured]
) -> Field:
    """The tails at the same absolute rate: half of what the no-op reached in its closed loop."""
    if not noop.valid:
        return skip("p99_vs_noop", f"no valid round of {NOOP}: {noop.fault}", _P99, at_most=True, part="open")
    rate = noop.take_median("rate") / 2
    measured = take_turns(world, pair, size, connections=_OPEN_CONNECTIONS, rate=rate)
    runs |= {f"open_{name}": each for name, each in measured.items()}
    return compare(
        "p99_vs_noop",
        measured[PLAIN.name],
        measured[NOOP],
        f"the same in an open loop of {rate:,.0f} requests/s, half of the no-op's maximum",
        figure="p99",
        target=_P99,
        at_most=True,
        part="open",
    )


def _tell_generator(limit: Measured, ours: Measured, noop: Measured) -> list[Field]:
    rate = limit.take_median("rate")
    return [
        Field(
            "generator_limit", rate, "requests/s of the generator against a server that does next to nothing"
        ),
        Field("generator_vs_noop", rate / noop.take_median("rate"), "that / the no-op's requests/s"),
        Field(
            "generator_share", ours.take_median("generator_share"), "of a processor, under our service's load"
        ),
    ]


STAGE = Stage(
    "beside the no-op of the web framework",
    (
        *("vs_fastapi_noop", *(f"vs_fastapi_noop_{count}" for count in _TARGETS)),
        *("p99_vs_noop", "generator_limit"),
    ),
    measure_framework,
)
