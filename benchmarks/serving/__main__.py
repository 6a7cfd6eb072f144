"""Run everything, print the table, write the JSON. Exits 1 when a target is missed at full size."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.common import result
from benchmarks.common.timing import say
from benchmarks.serving.champion import Budget
from benchmarks.serving.measure import choose_stages, measure
from benchmarks.serving.rounds import Size
from benchmarks.serving.stages import STAGES

FULL = Size()
QUICK = Size(rounds=3, seconds=2.0, warm_seconds=0.5)
SOAK_SECONDS = 900.0
SMALL = Budget(customers=300, trials=2, iterations=60)
# What is measured in part stands beside the last whole run and does not take its place.
_WHOLE, _PART = result.OUT / "serving.json", result.OUT / "serving-partial.json"


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    names = [name for stage in STAGES for name in stage.gives]
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK.rounds} rounds of {QUICK.seconds:g} s: a look, no judgement",
    )
    parser.add_argument("--rounds", type=int, help=f"rounds of each contender ({FULL.rounds})")
    parser.add_argument("--seconds", type=float, help=f"seconds that each round counts ({FULL.seconds:g})")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="FIELD",
        choices=names,
        help=f"measure that figure and those of the same stage; may be given again: {', '.join(names)}",
    )
    parser.add_argument(
        "--soak",
        nargs="?",
        type=float,
        const=SOAK_SECONDS,
        default=0.0,
        metavar="SECONDS",
        help=f"with the soak ({SOAK_SECONDS:g} s)",
    )
    parser.add_argument(
        "--small-model",
        action="store_true",
        help="a champion of few rows, trials and trees, to try the benchmark itself",
    )
    parser.add_argument(
        "--output", type=Path, help=f"where the JSON goes ({_WHOLE.name}; with --only {_PART.name})"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON instead of the table")
    arguments = parser.parse_args(words)
    for name in ("rounds", "seconds"):
        value = getattr(arguments, name)
        if value is not None and value <= 0:
            parser.error(f"--{name} must be more than 0")
    arguments.output = arguments.output or (_PART if arguments.only else _WHOLE)
    if arguments.soak < 0:
        parser.error("--soak takes seconds, more than 0")
    return arguments


def main() -> int:
    arguments = parse_arguments()
    size = QUICK if arguments.quick else FULL
    size = replace(
        size,
        rounds=arguments.rounds or size.rounds,
        seconds=arguments.seconds or size.seconds,
        soak_seconds=arguments.soak,
    )
    full = size.rounds >= FULL.rounds and size.seconds >= FULL.seconds and not arguments.small_model
    stages = choose_stages(arguments.only)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started, load = time.monotonic(), os.getloadavg()[0]
    if load > 0.5:
        say(f"the machine is busy (load {load:.1f}): the figures are of no use unless it is left alone")
    result.OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="serving-", dir=result.OUT) as folder:
        run = measure(
            Path(folder),
            result.OUT / "champions",
            size,
            SMALL if arguments.small_model else Budget(),
            stages,
        )
    told = result.as_json(
        run.fields,
        full_size=full,
        partial=arguments.only,
        size=asdict(size),
        facts={**run.facts, "load_before": round(load, 2)},
        runs={name: measured.to_json() for name, measured in run.runs.items()},
        took_seconds=round(time.monotonic() - started, 1),
    )
    result.write(arguments.output, told)
    sys.stdout.write((json.dumps(told) if arguments.json else _build_text(run.facts, run.fields)) + "\n")
    missed = [field for field in run.fields if field.met is False]
    if not full:
        say(f"the targets are meant for {FULL.rounds} rounds of {FULL.seconds:g} s with the demo's champion")
    return 1 if missed and full else 0


def _build_text(facts: Mapping[str, object], fields: list[result.Field]) -> str:
    head = (
        f"{facts['use_case']}: {facts['features']} features, {facts['trees']} trees of depth"
        f" {facts['tree_depth']}; {facts['cores_usable']} cores, disk sync {facts['disk_sync_ms']} ms\n"
    )
    return head + result.table(fields)


if __name__ == "__main__":
    raise SystemExit(main())
