"""Compare with Feast, Evidently and NannyML: a table, and the JSON. Exits 1 when a target is missed."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import result, server
from benchmarks.common.result import Field
from benchmarks.common.timing import say
from benchmarks.monitor.shifted_windows import WINDOWS
from benchmarks.peers import environment
from benchmarks.peers.compare import Compared, compare, write_files
from benchmarks.peers.drift import build_fields, compare_drift
from benchmarks.peers.estimate import build_fields as build_estimate_fields
from benchmarks.peers.estimate import compare_estimates
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
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="rows of history, and of the log (10**6)")
    parser.add_argument("--quick", action="store_true", help=f"the same with {QUICK_ROWS:,} rows")
    parser.add_argument("--rounds", type=int, default=3, help="how often each joins (3)")
    parser.add_argument(
        "--only", choices=PEERS, help="that peer alone; of the JSON that is there the rest is kept"
    )
    parser.add_argument("--output", type=Path, default=result.OUT / "peers.json", help="where the JSON goes")
    parser.add_argument("--json", action="store_true", help="print the JSON instead of the table")
    arguments = parser.parse_args()
    rows = QUICK_ROWS if arguments.quick else arguments.rows
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result.OUT.mkdir(exist_ok=True)
    found: list[Field] = []
    measured: dict[str, Any] = {}
    for peer in [arguments.only] if arguments.only else PEERS:
        with tempfile.TemporaryDirectory(prefix="peers-", dir=result.OUT) as folder:
            fields, figures = PEERS[peer](Path(folder), rows, arguments.rounds)
        found += fields
        measured[peer] = figures
    full = rows >= FULL_ROWS
    told = result.as_json(found, full_size=full, measured=measured)
    if arguments.only and arguments.output.exists():
        told = result.merge(json.loads(arguments.output.read_text("utf-8")), told)
    result.write(arguments.output, told)
    sys.stdout.write((json.dumps(told) if arguments.json else result.table(found)) + "\n")
    if not full:
        say(f"the targets are meant for {FULL_ROWS:,} rows; these were {rows:,}")
    return 1 if full and any(field.met is False for field in found) else 0


def measure_feast(folder: Path, rows: int, rounds: int) -> tuple[list[Field], dict[str, Any]]:
    """The store beside Feast."""
    size = size_of(rows)
    python = environment.make(result.OUT / "feast-environment", environment.FEAST)
    with (
        server.running(folder) as bench,
        # Feast looks at one clock in its files: it gets what was known at the moment that we are asked about.
        join.world(bench, size, too_late=False) as made,
    ):
        write_files(made, folder / "feast")
        with environment.running("feast", python, folder / "feast") as feast:
            compared = compare(bench, made, feast, size, rounds, CALLS)
    return fields(compared), {**asdict(compared), "peer": environment.FEAST[0]}


def measure_evidently(folder: Path, rows: int, rounds: int) -> tuple[list[Field], dict[str, Any]]:
    """The drift check beside Evidently."""
    python = environment.make(result.OUT / "evidently-environment", environment.EVIDENTLY)
    compared = compare_drift(folder, python, rows, rounds)
    return build_fields(compared), {**asdict(compared), "peer": environment.EVIDENTLY[0]}


def measure_nannyml(folder: Path, rows: int, rounds: int) -> tuple[list[Field], dict[str, Any]]:
    """Accuracy without labels beside NannyML; `--quick` takes fewer windows."""
    python = environment.make(result.OUT / "nannyml-environment", environment.NANNYML)
    compared = compare_estimates(folder, python, WINDOWS if rows >= FULL_ROWS else WINDOWS // 6)
    return build_estimate_fields(compared), {**asdict(compared), "peer": environment.NANNYML[0]}


PEERS: Mapping[str, Callable[[Path, int, int], tuple[list[Field], dict[str, Any]]]] = {
    "feast": measure_feast,
    "evidently": measure_evidently,
    "nannyml": measure_nannyml,
}


if __name__ == "__main__":
    raise SystemExit(main())
