"""The benchmarks run and tell every figure, at a size at which no figure means anything."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.common.result import Field, as_json, table  # noqa: E402
from benchmarks.store import data, join  # noqa: E402
from benchmarks.training import demo  # noqa: E402
from benchmarks.training.__main__ import main as training_main  # noqa: E402
from benchmarks.training.decisions import Decisions, Monitoring, Training  # noqa: E402

# Fields that `make bench-store` judges; those with two values tell cold and warm reads.
FIELDS = {
    **dict.fromkeys(("ingest_vs_load_data", "ingest_vs_to_sql", "read_vs_pandas"), float),
    **dict.fromkeys(("pit_labels_per_s_vs_naive", "pit_vs_duckdb_asof"), dict),
    **dict.fromkeys(("online_1_p50_ms", "online_100_p50_ms", "online_100_vs_single"), float),
    **dict.fromkeys(("peak_rss_mb", "growth_ingest", "growth_join", "migration_longest_wait_s"), float),
    "migration_rows_lost": int,
}


# Judged figures of the training's benchmark, and those that come in parts.
TRAINING_FIELDS = {
    **dict.fromkeys(("tuning_cpu_vs_grid", "pipeline_overhead", "titanic_auc"), float | None),
    **dict.fromkeys(("credit_accuracy_vs_best", "calibration_error"), float | None),
    **dict.fromkeys(("demo_dates_passed", "demo_seeds_passed"), float),
    **dict.fromkeys(("search_cpu_s", "train_s", "train_part_s"), dict),
}


@pytest.mark.slow
def test_the_store_benchmark_runs_to_its_end(tmp_path: Path) -> None:
    """Its own server comes and goes; every way gives the same rows, or it would have ended with an error."""
    output = tmp_path / "store.json"
    before = set((ROOT / "benchmarks" / "out").glob("store-*"))
    done = subprocess.run(
        [*(sys.executable, "-m", "benchmarks.store", "--rows", "2000", "--rounds", "1"), "--output", output],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(output.read_text())
    assert {name: type(told[name]) for name in FIELDS} == FIELDS
    for name in ("pit_labels_per_s_vs_naive", "pit_vs_duckdb_asof"):
        assert set(told[name]) == {"cold", "warm"}
    assert set(FIELDS) - {"online_1_p50_ms", "online_100_p50_ms"} <= set(told["met"])
    assert told["size"]["rows"] == 2000
    assert not told["full_size"]
    assert all(name in done.stdout for name in FIELDS)
    assert set((ROOT / "benchmarks" / "out").glob("store-*")) <= before


@pytest.mark.slow
def test_the_training_benchmark_runs_to_its_end(tmp_path: Path) -> None:
    """Its own servers come and go; what is not there is skipped with a reason, not failed."""
    output, absent = tmp_path / "train.json", tmp_path / "absent.csv"
    before = set((ROOT / "benchmarks" / "out").glob("train-*"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.training", "--quick", "--rows", "500"),
            *("--csv", absent, "--output", output),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(output.read_text())
    for name, kind in TRAINING_FIELDS.items():
        assert isinstance(told[name], kind), name
    assert told["titanic_auc"] is None
    assert str(absent) in told["meanings"]["titanic_auc"]
    judged = {"pipeline_overhead", "credit_accuracy_vs_best", "calibration_error", "tuning_cpu_vs_grid"}
    judged |= {"demo_dates_passed", "demo_seeds_passed"}
    assert set(told["met"]) == judged
    assert set(told["targets"]) == {*judged, "titanic_auc"}
    assert not told["full_size"]
    runs = told["runs"]
    (trained,) = runs["pipelines"]
    assert trained["rows"] == 500
    assert len(runs["tuning"]["grid"]) == 3
    assert (runs["demo"]["dates"], len(runs["demo"]["seeds"])) == (4, 1)
    assert told["demo_dates_passed"] == 1.0
    assert all(trial["cpu"] > 0 for trials in runs["tuning"]["searches"].values() for trial in trials)
    # Every second of the process is some part's.
    assert sum(trained["parts"].values()) == pytest.approx(trained["wall"], rel=0.05)
    assert all(name in done.stdout for name in TRAINING_FIELDS)
    assert set((ROOT / "benchmarks" / "out").glob("train-*")) <= before


@pytest.mark.slow
def test_the_serving_benchmark_runs_to_its_end(tmp_path: Path) -> None:
    """Its own servers come and go; the load is so small that only the checks of the log mean anything."""
    output = tmp_path / "serving.json"
    before = set((ROOT / "benchmarks" / "out").glob("serving-*"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.serving", "--quick", "--small-model", "--rounds", "1"),
            *("--seconds", "0.3", "--only", "vs_textbook", "--only", "vs_fastapi_noop"),
            *("--only", "rss_growth", "--output", output),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(output.read_text())
    for name in ("vs_textbook", "vs_fastapi_noop", "vs_fastapi_noop_1", "generator_limit"):
        assert told[name] > 0, name
    assert set(told["p99_vs_noop"]) == {"closed", "open"}
    assert (told["log_lost"], told["log_doubled"], told["invalid_rounds"]) == (0, 0, 0), done.stderr[-3000:]
    assert told["rss_growth"] is None
    assert "--soak" in told["meanings"]["rss_growth"]
    assert told["facts"]["disk_sync_ms"] > 0
    assert told["facts"]["trees"] > 0
    assert not told["full_size"]
    arrivals = [each for run in told["runs"].values() for each in run["arrivals"]]
    assert sum(each["acknowledged"] for each in arrivals) > 100
    assert all(name in done.stdout for name in ("vs_textbook", "spool_left_s", "rss_growth"))
    assert set((ROOT / "benchmarks" / "out").glob("serving-*")) <= before


@pytest.mark.parametrize("there", [True, False])
def test_the_demo_measured_alone_keeps_what_else_is_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    model = Training("digest", 7_500, "model", passed=True, summary="passed")
    decided = Decisions(model, Monitoring(False, "no"), Monitoring(True, "yes"), model, 0.6, 0.8)
    taken = demo.Demo(demo.Amount(1, 1, 1), {"a": decided}, {7: decided}, date_fits=2)
    monkeypatch.setattr(demo, "measure", lambda amount: taken)
    output = tmp_path / "train.json"
    if there:
        output.write_text(json.dumps({"titanic_auc": 0.9, "met": {"titanic_auc": True}, "full_size": True}))
    monkeypatch.setattr(sys, "argv", ["training", "--only", "demo", "--output", str(output)])
    assert training_main() == 0
    told = json.loads(output.read_text())
    assert (told["demo_dates_passed"], told["demo_seeds_passed"]) == (1.0, 1.0)
    assert told["targets"]["demo_seeds_passed"] == {"at_least": 0.95}
    assert told["runs"]["demo"]["decisions_by_seed"]["7"]["hold"] is True
    assert told.get("partial") == (None if there else "the demo alone")
    assert told.get("titanic_auc") == (0.9 if there else None)
    assert told["met"].get("titanic_auc") is (True if there else None)


def test_corrections_change_rows_of_the_history() -> None:
    """The join is measured on data that a join with one clock gets wrong."""
    size = data.Size(customers=50, steps=4, labels=100)
    history = pa.concat_tables(data.snapshots(size)).to_pandas().set_index([data.KEY, data.TIME])
    corrected = data.corrections(size, 0.1, 1).to_pandas().set_index([data.KEY, data.TIME])
    assert history.index.is_unique
    assert history.index.get_level_values(data.TIME).is_monotonic_increasing
    assert len(corrected) == 20
    assert corrected.index.is_unique
    assert corrected.index.isin(history.index).all()
    assert (corrected["amount_01"] != history.loc[corrected.index, "amount_01"]).any()


def test_labels_are_unique_and_some_meet_an_event_time() -> None:
    size = data.Size(customers=50, steps=4, labels=500)
    labels = data.labels(size).to_pandas().set_index([data.KEY, data.TIME])
    history = pa.concat_tables(data.snapshots(size)).to_pandas().set_index([data.KEY, data.TIME])
    assert labels.index.is_unique
    assert 0 < labels.index.isin(history.index).sum() < len(labels)


def joined(**changed: object) -> pa.Table:
    columns: dict[str, object] = {
        data.KEY: np.array([2, 1]),
        data.TIME: pa.array([10, 20], pa.timestamp("us", tz="UTC")),
        **{name: np.array([1.5, 2.5]) for name in data.NUMBERS},
        data.TARGET: ["0", "1"],
    }
    return pa.table(columns | changed)


def test_the_same_rows_in_other_order_and_types_are_the_same() -> None:
    other = joined(**{data.TIME: pa.array([10, 20], pa.timestamp("us"))}).take([1, 0])
    join.assert_same(joined(), other, "the other")


@pytest.mark.parametrize(
    "changed",
    [
        {"amount_05": np.array([1.5, 2.6])},
        {"count_02": pa.array([1.5, None])},
        {data.TIME: pa.array([10, 21], pa.timestamp("us"))},
        {data.TARGET: ["1", "1"]},
    ],
    ids=["value", "missing", "time", "label"],
)
def test_other_rows_stop_the_benchmark(changed: dict[str, object]) -> None:
    with pytest.raises(SystemExit, match="the other gives other rows"):
        join.assert_same(joined(), joined(**changed), "the other")
    with pytest.raises(SystemExit, match="2 rows, the other 1"):
        join.assert_same(joined(), joined().slice(1), "the other")


def test_a_missed_target_is_told() -> None:
    fields = [
        Field("fast", 3.0, "how fast", 4.0),
        Field("small", 3.0, "how small", 4.0, at_most=True, part="cold"),
        Field("told", 3.0, "no target"),
    ]
    told = as_json(fields)
    assert told["met"] == {"fast": False, "small": {"cold": True}}
    assert (told["fast"], told["small"], told["told"]) == (3.0, {"cold": 3.0}, 3.0)
    lines = table(fields).splitlines()
    assert ["FAIL" in line for line in lines] == [False, True, False, False]
    assert ["pass" in line for line in lines] == [False, False, True, False]


def test_what_was_never_reached_is_missed_and_what_was_skipped_is_not_judged() -> None:
    fields = [
        Field("reached", math.inf, "how soon", 0.2, at_most=True),
        Field("skipped", math.nan, "there is no file", 0.9),
    ]
    told = as_json(fields, runs={"losses": [0.5, math.nan], "pair": (math.inf, 1)})
    assert told["met"] == {"reached": False}
    assert (told["reached"], told["skipped"]) == (None, None)
    assert told["runs"] == {"losses": [0.5, None], "pair": [None, 1]}
    json.dumps(told, allow_nan=False)
    never, skipped = table(fields).splitlines()[1:]
    assert "never" in never
    assert "FAIL" in never
    assert "skipped" in skipped
    assert "there is no file" in skipped
