"""Run everything, print the table, write the JSON. Exits 1 when a target is missed at full size."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.common import result
from benchmarks.common.timing import say
from benchmarks.training import demo
from benchmarks.training.fields import fields
from benchmarks.training.measure import Size, measure

FULL = Size(rows=60_000)
QUICK = Size(
    rows=6_000,
    trainings=1,
    searches=1,
    repeats=1,
    nested=0,
    points=3,
    tours=demo.Amount(dates=4, groups=1, seeds=1, customers=1_000, trials=2, iterations=80),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--rows", type=int, help=f"labelled rows of credit_score ({FULL.rows:,})")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK.rows:,} rows, each part once, a grid of {QUICK.points} points, two tours of the demo",
    )
    parser.add_argument(
        "--only",
        choices=("demo",),
        help="measure the demo's dates and seeds alone; of the JSON that is there the rest is kept",
    )
    parser.add_argument("--csv", type=Path, help="titanic's train.csv, where it is not in its usual place")
    parser.add_argument("--output", type=Path, default=result.OUT / "train.json", help="where the JSON goes")
    parser.add_argument("--json", action="store_true", help="print the JSON instead of the table")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    if arguments.rows:
        size = replace(size, rows=arguments.rows)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    result.OUT.mkdir(exist_ok=True)
    if arguments.only == "demo":
        return _only_the_demo(size, arguments.output, as_json=arguments.json)
    with tempfile.TemporaryDirectory(prefix="train-", dir=result.OUT) as folder:
        measured = measure(Path(folder), size, arguments.csv)
    found = fields(measured)
    rows = measured.pipelines[0].rows
    full = rows >= FULL.rows
    told = result.as_json(
        found,
        full_size=full,
        runs={**asdict(measured), "demo": measured.demo.to_json()},
        took_seconds=round(time.monotonic() - started, 1),
    )
    result.write(arguments.output, told)
    sys.stdout.write((json.dumps(told) if arguments.json else result.table(found)) + "\n")
    missed = [field for field in found if field.met is False]
    if not full:
        say(f"the targets are meant for {FULL.rows:,} rows; these were {rows:,}")
    return 1 if missed and full else 0


def _only_the_demo(size: Size, output: Path, *, as_json: bool) -> int:
    """Measure the demo alone. What another run left in the JSON stays; without one the JSON says so."""
    measured = demo.measure(size.tours)
    found = demo.fields(measured)
    told = result.as_json(found, runs={"demo": measured.to_json()})
    before: dict[str, Any] = {"partial": "the demo alone"}
    if output.exists():
        before = json.loads(output.read_text("utf-8"))
    parts = {name: {**before.get(name, {}), **told[name]} for name in ("targets", "met", "meanings", "runs")}
    result.write(output, {**before, **told, **parts})
    sys.stdout.write((json.dumps(told) if as_json else result.table(found)) + "\n")
    missed = [field for field in found if field.met is False]
    return 1 if missed and size.tours == FULL.tours else 0


if __name__ == "__main__":
    raise SystemExit(main())
