"""Compare with Feast, print the table, write the JSON. Exits 1 when a target is missed at full size."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.common import result, server
from benchmarks.common.result import Field
from benchmarks.common.timing import say
from benchmarks.peers import environment
from benchmarks.peers.compare import Compared, compare, write_files
from benchmarks.store import join
from benchmarks.store.measure import size_of
from benchmarks.store.online import percentile

FULL_ROWS = 1_000_000
QUICK_ROWS = 100_000
CALLS = 200


def fields(compared: Compared) -> list[Field]:
    """Every figure of the run; those without a target are told for comparison."""
    joined = {name: median(values) for name, values in compared.joined.items()}
    online = {name: percentile(values, 50) for name, values in compared.online.items()}
    size = compared.size
    what = f"{size.labels:,} labels x {size.rows:,} rows x 20 features to Arrow"
    again = "the same, when nothing changed since the last read"
    return [
        Field("pit_vs_feast", joined["Feast"] / joined["cold"], f"{what} / Feast's join", 4, part="cold"),
        Field("pit_vs_feast", joined["Feast"] / joined["warm"], again, 10, part="warm"),
        Field(
            "online_100_vs_feast",
            online["Feast, 100"] / online["ours, 100"],
            f"100 of {size.customers:,} keys in one call / Feast's online store (SQLite)",
            10,
        ),
        Field("online_1_vs_feast", online["Feast, 1"] / online["ours, 1"], "one key / the same"),
        Field("pit_s", joined["cold"], "seconds, from MariaDB to Arrow", part="cold"),
        Field("pit_s", joined["warm"], "seconds, nothing changed since the last read", part="warm"),
        Field("pit_s", joined["Feast"], "seconds, from Parquet to Arrow (offline store dask)", part="feast"),
        Field("online_100_p50_ms", online["ours, 100"], "milliseconds", part="ours"),
        Field("online_100_p50_ms", online["Feast, 100"], "milliseconds", part="feast"),
        Field("online_1_p50_ms", online["ours, 1"], "milliseconds", part="ours"),
        Field("online_1_p50_ms", online["Feast, 1"], "milliseconds", part="feast"),
        Field("feast_materialize_s", compared.materialized, "seconds to fill Feast's online store"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="rows of history (1,000,000)")
    parser.add_argument("--quick", action="store_true", help=f"the same with {QUICK_ROWS:,} rows")
    parser.add_argument("--rounds", type=int, default=3, help="how often each joins (3)")
    parser.add_argument("--output", type=Path, default=result.OUT / "peers.json", help="where the JSON goes")
    parser.add_argument("--json", action="store_true", help="print the JSON instead of the table")
    arguments = parser.parse_args()
    size = size_of(QUICK_ROWS if arguments.quick else arguments.rows)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result.OUT.mkdir(exist_ok=True)
    python = environment.make(result.OUT / "feast-environment")
    with (
        tempfile.TemporaryDirectory(prefix="peers-", dir=result.OUT) as folder,
        server.running(Path(folder)) as bench,
        # Feast looks at one clock in its files: it gets what was known at the moment that we are asked about.
        join.world(bench, size, too_late=False) as made,
    ):
        write_files(made, Path(folder) / "feast")
        with environment.running(python, Path(folder) / "feast") as feast:
            compared = compare(bench, made, feast, size, arguments.rounds, CALLS)
    found = fields(compared)
    full = size.rows >= FULL_ROWS
    told = result.as_json(found, full_size=full, measured=asdict(compared), peer=environment.REQUIREMENTS[0])
    result.write(arguments.output, told)
    sys.stdout.write((json.dumps(told) if arguments.json else result.table(found)) + "\n")
    if not full:
        say(f"the targets are meant for {FULL_ROWS:,} rows; these were {size.rows:,}")
    return 1 if full and any(field.met is False for field in found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
