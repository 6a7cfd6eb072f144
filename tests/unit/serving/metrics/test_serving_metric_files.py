"""Metrics of several processes: the sums stay when a process dies, and its files go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from evergreen.serving.metrics.metric_files import archive_dead_files
from evergreen.serving.metrics.metrics_page import collect_metrics

COUNT = """
import sys
from prometheus_client import Counter, Gauge, Histogram
Counter("jobs", "Jobs.", ["kind"]).labels("a").inc(int(sys.argv[1]))
Histogram("size", "Size.", buckets=(1, 10)).observe(int(sys.argv[1]))
Gauge("version", "Version.", multiprocess_mode="livemostrecent").set(int(sys.argv[1]))
"""


def run_process(folder: Path, number: int) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    subprocess.run([sys.executable, "-c", COUNT, str(number)], env=environment, check=True)


def read_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    from prometheus_client import REGISTRY

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    families = text_string_to_metric_families(collect_metrics(REGISTRY).decode())
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in families
        if family.type != "gauge"
        for sample in family.samples
    }


def test_the_dead_keep_their_counts_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_process(tmp_path, 3)
    run_process(tmp_path, 4)
    before = read_page(tmp_path, monkeypatch)
    assert before["jobs_total[('kind', 'a')]"] == 7
    assert archive_dead_files(tmp_path) == 6
    assert {path.name for path in tmp_path.glob("*.db")} == {"counter_0.db", "histogram_0.db"}
    assert read_page(tmp_path, monkeypatch) == before
    run_process(tmp_path, 5)
    assert archive_dead_files(tmp_path) == 3
    assert archive_dead_files(tmp_path) == 0
    after = read_page(tmp_path, monkeypatch)
    assert after["jobs_total[('kind', 'a')]"] == 12
    assert after["size_count[]"] == 3
    assert after["size_bucket[('le', '10.0')]"] == 3


def test_the_living_and_the_broken_do_not_stop_it(tmp_path: Path) -> None:
    run_process(tmp_path, 3)
    own = tmp_path / f"counter_{os.getpid()}.db"
    own.write_bytes(next(tmp_path.glob("counter_*.db")).read_bytes())
    (tmp_path / "counter_999999.db").write_bytes(b"")
    archive_dead_files(tmp_path)
    assert {path.name for path in tmp_path.glob("*.db")} == {own.name, "counter_0.db", "histogram_0.db"}
