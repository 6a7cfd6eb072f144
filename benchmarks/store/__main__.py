"""Run everything, print the table, write the JSON. Exits 1 when a target is missed at full size."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.common import result
from benchmarks.common.server import running
from benchmarks.common.timing import say
from benchmarks.store.fields import fields
from benchmarks.store.measure import measure

FULL_ROWS = 1_000_000
QUICK_ROWS = 100_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="rows of history (1,000,000)")
    parser.add_argument("--quick", action="store_true", help=f"the same with {QUICK_ROWS:,} rows")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender runs (3)")
    parser.add_argument("--output", type=Path, default=result.OUT / "store.json", help="where the JSON goes")
    parser.add_argument("--json", action="store_true", help="print the JSON instead of the table")
    arguments = parser.parse_args()
    rows = QUICK_ROWS if arguments.quick else arguments.rows
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    result.OUT.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="store-", dir=result.OUT) as folder,
        running(Path(folder)) as bench,
    ):
        measured = measure(bench, rows, arguments.rounds)
    found = fields(measured)
    full = measured.size.rows >= FULL_ROWS
    runs = asdict(measured)
    told = result.as_json(
        found,
        full_size=full,
        size=runs.pop("size"),
        runs=runs,
        took_seconds=round(time.monotonic() - started, 1),
    )
    result.write(arguments.output, told)
    sys.stdout.write((json.dumps(told) if arguments.json else result.table(found)) + "\n")
    missed = [field for field in found if field.met is False]
    if not full:
        say(f"the targets are meant for {FULL_ROWS:,} rows; these were {measured.size.rows:,}")
    return 1 if missed and full else 0


if __name__ == "__main__":
    raise SystemExit(main())
