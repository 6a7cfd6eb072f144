"""A service with two workers on one port: one page of metrics, one log; and the largest batch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from evergreen.serving.calls.client import Client
from evergreen.store.connection.database import get_engine
from support.parcel_case import row
from support.service_facts import find_workers, read_metric
from support.serving_world import Service, World, running
from support.waiting import eventually

_REQUESTS = 60
_LARGEST_BATCH = 100_000


@pytest.fixture(scope="module")
def service(made: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    declaration = Path(made.settings.use_cases) / "parcel" / "__init__.py"
    text = declaration.read_text(encoding="utf-8")
    declaration.write_text(text.replace("max_batch=500", f"max_batch={_LARGEST_BATCH:_}"), encoding="utf-8")
    with running(made, tmp_path_factory.mktemp("two"), more={"EVERGREEN_SERVICE_WORKERS": "2"}) as started:
        yield started


def count_logged(made: World) -> int:
    with get_engine(made.settings).connect() as connection:
        return int(connection.scalar(sa.text(f"SELECT COUNT(*) FROM {made.use_case.prediction_table}")) or 0)


def test_any_worker_tells_of_all(made: World, service: Service) -> None:
    """Each request has a connection of its own, so both workers answer some."""
    before, predicted = count_logged(made), read_metric(service, "evergreen_predictions_total")
    for number in range(_REQUESTS):
        with service.client() as client:
            client.predict(row(parcel_id=number))
    asked = 'evergreen_requests_total{method="POST",route="/predict",status="2xx",use_case="parcel"}'
    # A request is counted just after its answer has left.
    eventually(lambda: read_metric(service, re.escape(asked)) == _REQUESTS, 10)
    for _ in range(10):
        assert read_metric(service, re.escape(asked)) == _REQUESTS
        assert read_metric(service, "evergreen_predictions_total") == predicted + _REQUESTS
    eventually(lambda: count_logged(made) == before + _REQUESTS, 60)
    log = "evergreen_prediction_log_"
    eventually(lambda: read_metric(service, f"{log}spooled") == 0 < read_metric(service, f"{log}written"), 30)
    assert read_metric(service, f"{log}written") == read_metric(service, f"{log}accepted") >= _REQUESTS


def test_the_largest_batch_is_answered_whole_and_within_its_memory(made: World, service: Service) -> None:
    """All or nothing: 100,000 rows are one answer of one version, and reach the log."""
    before = count_logged(made)
    peaks = {pid: read_peak(pid) for pid in find_workers(service)}
    assert len(peaks) == 2
    rows = [row(parcel_id=number) for number in range(_LARGEST_BATCH)]
    with Client(service.url, timeout=120) as client:
        assert len(client.predict_batch(rows)) == _LARGEST_BATCH
    rises = [read_peak(pid) - peak for pid, peak in peaks.items()]
    assert max(rises) < 300
    refused = httpx.post(f"{service.url}/predict_batch", json={"data": [*rows, row()]}, timeout=120)
    assert refused.status_code in (413, 422)
    eventually(lambda: count_logged(made) == before + _LARGEST_BATCH, 120)


def read_peak(pid: int) -> float:
    """The most memory that a process ever held, in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) / 1024
