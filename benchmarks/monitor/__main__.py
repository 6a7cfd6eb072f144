"""Measure monitoring, print the table, write the JSON. Exits 1 when a target is missed at full size."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import result
from benchmarks.common.timing import say
from benchmarks.monitor.stage import Options, Skipped, build_fields, find_stages

_WHOLE, _PART = result.OUT / "monitor.json", result.OUT / "monitor-partial.json"


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    stages = list(find_stages())
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitor", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small: a look, no judgement")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="STAGE",
        choices=stages,
        help=f"that stage alone; may be given again: {', '.join(stages)}",
    )
    parser.add_argument("--seed", type=int, default=12, help="of all random numbers (12)")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="processes at a time (all)")
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("EVERGREEN_BENCH_DATA"),
        help="folder of the public data (EVERGREEN_BENCH_DATA); stages that need it are skipped without",
    )
    parser.add_argument(
        "--output", type=Path, help=f"where the JSON goes ({_WHOLE.name}; with --only {_PART.name})"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON instead of the table")
    arguments = parser.parse_args(words)
    if arguments.cores < 1:
        parser.error("--cores takes 1 or more")
    arguments.output = arguments.output or (_PART if arguments.only else _WHOLE)
    return arguments


def main() -> int:
    arguments = parse_arguments()
    stages = find_stages()
    names = arguments.only or list(stages)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result.OUT.mkdir(exist_ok=True)
    load = os.getloadavg()[0]
    measured: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    skipped: dict[str, str] = {}
    for name in names:
        say(f"  {name}")
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="monitor-", dir=result.OUT) as folder:
            options = Options(
                quick=arguments.quick,
                seed=arguments.seed,
                cores=arguments.cores,
                folder=Path(folder),
                data=arguments.data,
            )
            try:
                measured |= stages[name].measure(options)
            except Skipped as skip:
                skipped[name] = skip.reason
                say(f"    skipped: {skip.reason}")
        seconds[name] = round(time.monotonic() - started, 1)
    fields = build_fields(measured)
    figures = {field.name for field in fields}
    document = result.as_json(
        fields,
        full_size=not arguments.quick,
        partial=arguments.only,
        seed=arguments.seed,
        cores=arguments.cores,
        load_before=round(load, 2),
        stage_seconds=seconds,
        skipped=skipped,
        details={name: value for name, value in measured.items() if name not in figures},
    )
    result.write(arguments.output, document)
    sys.stdout.write((json.dumps(document) if arguments.json else result.table(fields)) + "\n")
    for name, reason in skipped.items():
        say(f"skipped: {name}: {reason}")
    missed = [field for field in fields if field.met is False]
    if arguments.quick:
        say("a quick run judges nothing")
    return 1 if missed and not arguments.quick else 0


if __name__ == "__main__":
    raise SystemExit(main())
