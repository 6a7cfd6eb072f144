"""Make every fault, print what came of it, write the JSON. Exits 1 when a promise is broken.

examples:
  python -m benchmarks.chaos                                  all of them, as large as they are meant to be
  python -m benchmarks.chaos --quick                          the same in small, for a look
  python -m benchmarks.chaos --only disk_full --only hot_swaps
  python -m benchmarks.chaos --only service_killed --kills 100 --seed 7
  python -m benchmarks.chaos --list
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.chaos.fault import FULL, QUICK, Fault, Report
from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.stand import prepare_stand
from benchmarks.common import result
from benchmarks.common.timing import say

# What is tried in part stands beside the last whole run and does not take its place.
_WHOLE, _PART = result.OUT / "chaos.json", result.OUT / "chaos-partial.json"


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    summary, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description=summary,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [fault.name for fault in FAULTS]
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        choices=names,
        help=f"make this fault alone; may be given again: {', '.join(names)}",
    )
    parser.add_argument("--quick", action="store_true", help="few repetitions and short outages")
    parser.add_argument("--seed", type=int, default=FULL.seed, help="of the moments and rows (%(default)s)")
    parser.add_argument("--kills", type=int, help=f"how often the service is killed ({FULL.kills})")
    parser.add_argument("--list", action="store_true", help="print the faults and what is promised, and end")
    parser.add_argument(
        "--output", type=Path, help=f"where the JSON goes ({_WHOLE.name}; with --only {_PART.name})"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON instead of the table")
    parser.add_argument("--keep", action="store_true", help="leave the logs of services and servers")
    arguments = parser.parse_args(words)
    if arguments.kills is not None and arguments.kills < 1:
        parser.error("--kills must be at least 1")
    arguments.output = arguments.output or (_PART if arguments.only else _WHOLE)
    return arguments


def main() -> int:
    arguments = parse_arguments()
    if arguments.list:
        width = max(len(fault.name) for fault in FAULTS)
        sys.stdout.write("".join(f"{fault.name:<{width}}  {fault.promise}\n" for fault in FAULTS))
        return 0
    size = replace(QUICK if arguments.quick else FULL, seed=arguments.seed)
    if arguments.kills:
        size = replace(size, kills=arguments.kills)
    chosen = [fault for fault in FAULTS if not arguments.only or fault.name in arguments.only]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    result.OUT.mkdir(exist_ok=True)
    reports: dict[str, Report] = {}
    told: dict[str, Any] = {}
    with make_folder(keep=arguments.keep) as folder, prepare_stand(folder, size.seed) as stand:
        for fault in chosen:
            if not stand.bench.is_running:  # the fault before was not tried to its end
                stand.bench.start()
            reports[fault.name] = fault.attempt(stand, size)
            told = build_json(chosen, reports) | {
                "full_size": not arguments.quick,
                "partial": arguments.only,
                "size": asdict(size),
                "machine": result.machine(),
                "took_seconds": round(time.monotonic() - began, 1),
            }
            # After each of them, so that a run that is ended early leaves what it has seen.
            result.write(arguments.output, told)
    broken = told["broken"]
    sys.stdout.write((json.dumps(told) if arguments.json else build_table(reports)) + "\n")
    say(f"written to {arguments.output}")
    return 1 if broken else 0


def build_json(chosen: Sequence[Fault], reports: Mapping[str, Report]) -> dict[str, Any]:
    """What was seen of each fault, by its name; `passed` once all that were chosen kept their promises."""
    promises = {fault.name: fault.promise for fault in chosen}
    broken = [name for name, report in reports.items() if report.passed is False]
    return {
        "passed": not broken and len(reports) == len(chosen),
        "broken": broken,
        "missing": [fault.name for fault in chosen if fault.name not in reports],
        "faults": {name: {"promise": promises[name], **report.to_json()} for name, report in reports.items()},
    }


@contextmanager
def make_folder(*, keep: bool) -> Iterator[Path]:
    """A folder for everything that the run writes; gone at the end, unless it is to `keep`."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=result.OUT))
    try:
        yield folder
    finally:
        if keep:
            say(f"logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def build_table(reports: Mapping[str, Report]) -> str:
    """A line for each fault, and below it what was broken."""
    head = ("fault", "answered", "lost", "doubled", "failed", "seconds", "")
    rows = [
        (
            name,
            *(f"{count:,}" for count in (report.acknowledged, report.lost, report.doubled, report.failed)),
            f"{report.seconds:.0f}",
            {True: "kept", False: "BROKEN", None: "skipped"}[report.passed],
        )
        for name, report in reports.items()
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for row in [head, *rows]:
        _, *others = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([f"{row[0]:<{widths[0]}}", *others[:-1], row[-1]]).rstrip())
        report = reports.get(row[0])
        if report is not None:
            lines += [f"    {reason}" for reason in [*report.broken, *filter(None, [report.skipped])]]
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        say("ended early: the JSON has what was tried until then")
        raise SystemExit(130) from None
