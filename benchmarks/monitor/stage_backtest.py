"""`evergreen backtest` on two public tables, each made a use case by `evergreen new`, and on the simulated
bank: how many retrains our policy needs, beside the best fixed interval, and how long a backtest takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

from benchmarks.common.server import Bench, running
from benchmarks.common.timing import say
from benchmarks.monitor.public_tables import find_elec2, write_census
from benchmarks.monitor.stage import Options, Skipped

from evergreen.backtest.options import BacktestOptions
from evergreen.backtest.result import BacktestResult, PolicyOutcome
from evergreen.backtest.run import run_backtest
from evergreen.loop.ingest import run_ingest
from evergreen.settings import Settings
from evergreen.sources.connections import CONNECTION_PREFIX
from evergreen.stack.deploy.facts import BANK_DATABASE
from evergreen.usecases.credit_score import CONNECTION
from evergreen.usecases.credit_score.simulator import populate
from evergreen.workbench.new import create_use_case

# The policies are judged, not the models: few trees that learn fast make a fit cheap.
_PARAMETERS = "depth=4,learning_rate=0.3"
# Close to each other, because the cheapest one that is as good counts; they share the fits of daily.
_DAYS = (
    *("never", "daily", "2d", "3d", "4d", "5d", "6d", "7d", "8d", "9d", "10d", "11d", "12d", "14d"),
    *("17d", "21d", "25d", "30d", "45d", "60d", "90d", "180d"),
)
_WEEKS = ("never", "daily", "14d", "21d", "28d", "35d", "42d", "56d", "70d", "91d", "126d", "182d", "364d")
_CENSUS_ROWS = 28_000
_BANK_CUSTOMERS = 1_000
_BANK_PERIOD = timedelta(days=30)
_SAY_SECONDS = 30.0


@dataclass(frozen=True)
class _Table:
    """A public table: its name as a use case, its file, and how `evergreen new` is asked to read it."""

    name: str
    file: Path
    target: str
    keys: tuple[str, ...]


def measure(options: Options) -> dict[str, Any]:
    """The figures of both tables and of the bank; without a table, why it is left out."""
    measured: dict[str, Any] = {}
    # Threads of a fit and fits at a time follow this setting, as for everybody.
    with (
        patch.dict(os.environ, {"EVERGREEN_THREADS": str(options.cores)}),
        running(options.folder, foreign=(BANK_DATABASE,)) as bench,
    ):
        parts: dict[str, Callable[[], Mapping[str, Any]]] = {
            "elec2": lambda: _measure_elec2(bench, options),
            "census": lambda: _measure_census(bench, options),
            "credit_score": lambda: _measure_bank(bench, options),
        }
        for name, part in parts.items():
            try:
                measured |= part()
            except Skipped as skip:
                say(f"    {name} is left out: {skip.reason}")
                measured[f"{name}_left_out"] = skip.reason
    return measured


def _measure_elec2(bench: Bench, options: Options) -> dict[str, Any]:
    table = _Table("elec2", find_elec2(options.data), "price_up", ())
    end = datetime(1997, 6, 1, tzinfo=UTC) if options.quick else None
    return _measure_table(bench, table, BacktestOptions(end=end, beside=_DAYS, parameters=_PARAMETERS))


def _measure_census(bench: Bench, options: Options) -> dict[str, Any]:
    rows = _CENSUS_ROWS // 4 if options.quick else _CENSUS_ROWS
    table = _Table("census", write_census(options.folder, rows), "employed", ("id",))
    weekly = BacktestOptions(every=timedelta(days=7), beside=_WEEKS, parameters=_PARAMETERS)
    return _measure_table(bench, table, weekly)


def _measure_table(bench: Bench, table: _Table, options: BacktestOptions) -> dict[str, Any]:
    settings = bench.settings("evergreen")
    settings.home.mkdir(exist_ok=True)
    created = create_use_case(
        settings, table.name, str(table.file), keys=table.keys, target=table.target, time="time"
    )
    # `evergreen new` asks people to look at what it wrote; here the accuracy is what they want.
    text = created.file.read_text(encoding="utf-8")
    created.file.write_text(text.replace('"roc_auc"', '"accuracy"'), encoding="utf-8")
    with bench.store(table.name, table.name) as store:
        run_ingest(store, table.name, datetime.now(UTC))
        result, seconds = _run(store, table.name, options)
    return {
        f"{table.name}_retrains_vs_fixed": compare_with_fixed(result),
        f"{table.name}_backtest_s": seconds,
        f"{table.name}_backtest": _summarize(result),
    }


def _measure_bank(bench: Bench, options: Options) -> dict[str, Any]:
    """A year of the simulated bank with checks every day, whose facts come once a month."""
    start, periods = datetime(2024, 7, 1, tzinfo=UTC), 10 if options.quick else 19
    end = start + periods * _BANK_PERIOD
    with bench.store("credit_score", "credit_score") as store:
        account = f"{store.mariadb_user}:{store.mariadb_password.get_secret_value()}"
        address = urlencode({"unix_socket": store.mariadb_socket, "local_infile": 1})
        bank = f"mysql://{account}@localhost/{BANK_DATABASE}?{address}"
        populate(bank, start=start, end=end, customers=_BANK_CUSTOMERS, seed=options.seed)
        with patch.dict(os.environ, {f"{CONNECTION_PREFIX}{CONNECTION.upper()}": bank}):
            run_ingest(store, "credit_score", end)
        year = min(timedelta(days=360), (periods - 6) * _BANK_PERIOD)
        result, seconds = _run(store, "credit_score", BacktestOptions(start=end - year, end=end))
    return {"credit_score_backtest_s": seconds, "credit_score_backtest": _summarize(result)}


def _run(settings: Settings, use_case_name: str, options: BacktestOptions) -> tuple[BacktestResult, float]:
    said = time.monotonic()

    def progress(what: str, done: int, total: int) -> None:
        nonlocal said
        if total and time.monotonic() - said > _SAY_SECONDS:
            said = time.monotonic()
            say(f"    {use_case_name}: {what}, {done:,} of {total:,} checks")

    started = time.monotonic()
    result = run_backtest(settings, use_case_name, options, progress).result
    return result, round(time.monotonic() - started, 1)


def compare_with_fixed(result: BacktestResult) -> float:
    """The retrains of the cheapest fixed interval that is as good as the declared policy / its own.

    Where none is, those of retraining at every check stand for it; without a retrain of ours, 1 is added on
    both sides.
    """
    ours = result.find_policy("declared")
    assert ours is not None
    fixed = [policy for policy in result.policies if policy.kind in ("never", "fixed", "daily")]
    sign = -1.0 if result.less_is_better else 1.0
    equal = [policy.retrains for policy in fixed if sign * policy.value >= sign * ours.value]
    needed = min(equal) if equal else max(policy.retrains for policy in fixed)
    added = 0 if ours.retrains else 1
    return round((needed + added) / (ours.retrains + added), 3)


def _summarize(result: BacktestResult) -> dict[str, Any]:
    def describe(policy: PolicyOutcome) -> dict[str, Any]:
        return {
            "value": round(policy.value, 5),
            "gain": None if policy.gain is None else round(policy.gain, 3),
            "retrains": policy.retrains,
            "fits": policy.fits,
            "cpu_seconds": policy.cpu_seconds,
        }

    return {
        "metric": result.metric,
        "from": result.start.isoformat(),
        "to": result.end.isoformat(),
        "checks": result.checks,
        "rows": result.rows,
        "fits": result.fits,
        "fits_shared": result.fits_shared,
        "cpu_seconds": result.cpu_seconds,
        "recommended": result.recommendation.policy,
        "policies": {policy.name: describe(policy) for policy in result.policies},
    }
