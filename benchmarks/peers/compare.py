"""The same join and the same online reads, by the store and by Feast in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from benchmarks.common.server import Bench
from benchmarks.common.timing import alternate, say
from benchmarks.peers.environment import Peer
from benchmarks.store import data, join
from benchmarks.store.data import JOIN, KEY, START, TIME, Size
from benchmarks.store.join import World
from benchmarks.store.online import MANY

from evergreen.store.online.vectors import read_online_features
from evergreen.usecases import load_use_case

_WARM_UP = 5


@dataclass(frozen=True)
class Compared:
    """Seconds of each join, of Feast's materialize and of ours; milliseconds of each online read."""

    size: Size
    joined: dict[str, list[float]]
    materialized: float
    online: dict[str, list[float]]


def write_files(made: World, folder: Path) -> None:
    """What the store holds, as the Parquet files that Feast reads.

    Of each event time the last version only: given all of them with a created_timestamp_column, Feast's dask
    store joins old versions too, because its second sort is not stable.
    """
    folder.mkdir()
    memory = join.in_duckdb(made)
    for name, columns in (
        ("facts", f"FROM last_facts SELECT * EXCLUDE (ingested_at) ORDER BY {TIME}, {KEY}"),
        ("labels", f"FROM label SELECT {KEY}, {TIME} AS event_timestamp, {data.TARGET} ORDER BY {TIME}"),
    ):
        table = _in_utc(join.in_arrow(memory, columns))
        pyarrow.parquet.write_table(table, folder / f"{name}.parquet")
    memory.close()


def compare(bench: Bench, made: World, feast: Peer, size: Size, rounds: int, calls: int) -> Compared:
    """Everything in turns. Raises SystemExit when the two give other rows or other values."""
    say("  the same rows from both?")
    warm = bench.folder / "warm"
    ours = made.training_set(warm).table
    feast.ask("join", output=str(bench.folder / "feast.parquet"))
    join.assert_same(ours, _known(bench.folder / "feast.parquet"), "Feast")
    say("  the point-in-time join")
    joined = alternate(
        {**join.ours(bench, made, warm), "Feast": lambda: float(feast.ask("join")["seconds"])}, rounds
    )
    say("  filling Feast's online store (the store's own is filled by every ingest)")
    end = START + size.steps * data.STEP + timedelta(days=1)
    materialized = float(
        feast.ask("materialize", start=(START - data.STEP).isoformat(), end=end.isoformat())["seconds"]
    )
    say(f"  {calls} online reads of 1 and of {MANY} keys by each")
    return Compared(size, joined, materialized, _online(made, feast, size, calls))


def _online(made: World, feast: Peer, size: Size, calls: int) -> dict[str, list[float]]:
    use_case, database = load_use_case(JOIN, made.settings), made.database

    def ours(keys: list[int]) -> float:
        started = time.perf_counter()
        read_online_features(database, use_case, [(key,) for key in keys])
        return (time.perf_counter() - started) * 1000

    def theirs(keys: list[int]) -> float:
        return float(feast.ask("online", keys=keys)["milliseconds"])

    rng = np.random.default_rng(5)
    many = min(MANY, size.customers)
    _assert_same_values(
        made, feast, [int(key) for key in rng.choice(size.customers, many, replace=False) + 1]
    )
    ways: dict[str, tuple[Callable[[list[int]], float], int]] = {
        "ours, 1": (ours, 1),
        "Feast, 1": (theirs, 1),
        "ours, 100": (ours, many),
        "Feast, 100": (theirs, many),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(calls + _WARM_UP):
        for name, (way, count) in ways.items():
            keys = [int(key) for key in rng.choice(size.customers, count, replace=False) + 1]
            milliseconds = way(keys)
            if number >= _WARM_UP:
                taken[name].append(milliseconds)
    return taken


def _assert_same_values(made: World, feast: Peer, keys: list[int]) -> None:
    ours = read_online_features(made.database, load_use_case(JOIN, made.settings), [(key,) for key in keys])
    theirs = feast.ask("online", keys=keys, values=True)["values"]
    for place, key in enumerate(keys):
        for name in data.NUMBERS:
            if ours[(key,)][name] != theirs[name][place]:
                raise SystemExit(
                    f"Feast's online store gives {theirs[name][place]} as {name} of customer {key},"
                    f" ours {ours[(key,)][name]}"
                )


def _known(path: Path) -> pa.Table:
    """Feast's rows as ours: without the labels of which no feature was known."""
    table = pyarrow.parquet.read_table(path)
    table = table.rename_columns([TIME if name == "event_timestamp" else name for name in table.column_names])
    # A number without missing values is missing only where nothing was known.
    return table.filter(table["amount_01"].is_valid())


def _in_utc(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            moments = table.column(place).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
            table = table.set_column(place, field.name, moments)
    return table
