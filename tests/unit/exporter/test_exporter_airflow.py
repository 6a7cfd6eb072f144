"""The collector `airflow`, on recorded answers; the real Airflow answers in tests/e2e."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from evergreen.errors import OrchestratorUnreachable
from evergreen.exporter.dags_reader import DagsReader
from evergreen.exporter.samples import Samples
from evergreen.settings import Settings

NOON = datetime(2026, 7, 2, 12, tzinfo=UTC)


class RecordedAirflow:
    """Answers to the exporter's requests; keeps the paths that it was asked for."""

    def __init__(self, successes: int = 3) -> None:
        self.successes = successes
        self.paths: list[str] = []
        self.is_away = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.is_away:
            raise httpx.ConnectError("refused")
        path = request.url.path.removeprefix("/api/v2/")
        if path == "/auth/token":
            return httpx.Response(201, json={"access_token": "token"})
        self.paths.append(path)
        return httpx.Response(200, json=self._answer(path, request))

    def _answer(self, path: str, request: httpx.Request) -> Any:
        if path == "dagStats":
            assert "credit_score__train" in request.url.params.get_list("dag_ids")
            counts = {"success": self.successes, "failed": 1, "running": 0, "queued": 2}
            stats = [{"state": state, "count": count} for state, count in counts.items()]
            never = [{"state": "success", "count": 0}, {"state": "failed", "count": 4}]
            return {
                "dags": [
                    {"dag_id": "credit_score__ingest", "stats": stats},
                    {"dag_id": "credit_score__train", "stats": never},
                    {"dag_id": "somebody_elses", "stats": stats},
                ]
            }
        if path == "monitor/health":
            return {
                "metadatabase": {"status": "healthy"},
                "scheduler": {"status": "unhealthy", "latest_scheduler_heartbeat": None},
                "triggerer": {"status": None},
            }
        assert path == "dags/credit_score__ingest/dagRuns"
        assert dict(request.url.params) == {"state": "success", "order_by": "-end_date", "limit": "1"}
        return {"dag_runs": [{"end_date": "2026-07-02T00:03:00Z"}], "total_entries": 3}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(airflow_url="http://airflow", use_cases=str(tmp_path / "none"))


def collect(reader: DagsReader) -> dict[tuple[str, ...], float]:
    samples = Samples()
    reader(samples)
    assert samples.troubles == []
    return {(each.name, *each.labels): each.value for each in samples.values}


def test_runs_by_state_the_last_success_and_what_was_due(settings: Settings) -> None:
    airflow = RecordedAirflow()
    values = collect(DagsReader(settings, transport=httpx.MockTransport(airflow), clock=lambda: NOON))
    ingest, train = ("credit_score", "credit_score__ingest"), ("credit_score", "credit_score__train")
    assert values["evergreen_dag_runs", *ingest, "queued"] == 2
    assert values["evergreen_dag_runs", *train, "failed"] == 4
    last = datetime(2026, 7, 2, 0, 3, tzinfo=UTC).timestamp()
    assert values["evergreen_dag_last_success_timestamp_seconds", *ingest] == last
    # Never succeeded: no moment. Airflow was not even asked.
    assert ("evergreen_dag_last_success_timestamp_seconds", *train) not in values
    # The run of this midnight has until the next one.
    due = datetime(2026, 7, 1, tzinfo=UTC).timestamp()
    assert values["evergreen_dag_due_timestamp_seconds", *ingest] == due
    upkeep = ("evergreen_dag_due_timestamp_seconds", "credit_score", "credit_score__upkeep")
    assert values[upkeep] == datetime(2026, 7, 1, 3, 30, tzinfo=UTC).timestamp()
    # No schedule starts it.
    assert ("evergreen_dag_due_timestamp_seconds", *train) not in values
    assert not any("somebody_elses" in key for key in values)


def test_health_of_the_components_that_there_are(settings: Settings) -> None:
    values = collect(DagsReader(settings, transport=httpx.MockTransport(RecordedAirflow())))
    healths = {key[1]: value for key, value in values.items() if key[0].endswith("component_healthy")}
    assert healths == {"metadatabase": 1, "scheduler": 0}


def test_runs_are_asked_for_only_when_more_have_succeeded(settings: Settings) -> None:
    airflow = RecordedAirflow()
    reader = DagsReader(settings, transport=httpx.MockTransport(airflow))
    for successes in (3, 3, 4):
        airflow.successes = successes
        collect(reader)
    assert airflow.paths.count("dags/credit_score__ingest/dagRuns") == 2


def test_an_airflow_that_is_away_ends_the_collection(settings: Settings) -> None:
    airflow = RecordedAirflow()
    airflow.is_away = True
    with pytest.raises(OrchestratorUnreachable):
        DagsReader(settings, transport=httpx.MockTransport(airflow))(Samples())
