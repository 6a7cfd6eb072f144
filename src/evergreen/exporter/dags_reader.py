"""The collector `airflow`: runs of the DAGs, when each last ended well, and Airflow's own health."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from evergreen.exporter.declarations import load_declarations
from evergreen.exporter.samples import Samples
from evergreen.loop import UPKEEP_SCHEDULE
from evergreen.monitoring.health.schedule import find_due_tick
from evergreen.settings import Settings
from evergreen.stack.airflow_session import AirflowSession
from evergreen.usecase import UseCase

_VERBS = ("ingest", "train", "deploy", "monitor", "score", "upkeep")
_COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class DagsReader:
    """Reads for the collector `airflow`: two requests, and one more for each DAG of which another number of
    runs has succeeded than at the collection before."""

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._session = AirflowSession(settings, transport=transport)
        self._clock = clock
        # By DAG: how many of its runs have succeeded, and when the last of them ended.
        self._successes: dict[str, tuple[int, datetime | None]] = {}

    def __call__(self, samples: Samples) -> None:
        """Add the values of every use case. Raises OrchestratorError."""
        use_cases = load_declarations(self._settings)[0]
        if use_cases:
            dag_ids = [each.dag_id(verb) for each in use_cases.values() for verb in _VERBS]
            answer = self._session.get_json("dagStats", dag_ids=dag_ids)
            counts = {
                dag["dag_id"]: {each["state"]: each["count"] for each in dag["stats"]}
                for dag in answer["dags"]
            }
            for use_case in use_cases.values():
                self._add_dags(samples, use_case, counts)
        with samples.guard("the health of Airflow"):
            health = self._session.get_json("monitor/health")
            for component in _COMPONENTS:
                status = (health.get(component) or {}).get("status")
                # A component that is not configured has no status.
                if status is not None:
                    samples.add("evergreen_airflow_component_healthy", status == "healthy", component)

    def _add_dags(self, samples: Samples, use_case: UseCase, counts: dict[str, dict[str, int]]) -> None:
        now = self._clock()
        for verb in _VERBS:
            dag_id = use_case.dag_id(verb)
            labels = (use_case.name, dag_id)
            # Airflow leaves out DAGs without any run.
            states = counts.get(dag_id, {})
            for state, count in states.items():
                samples.add("evergreen_dag_runs", count, *labels, state)
            with samples.guard(f"runs of {dag_id}"):
                ended_at = self._find_last_success(dag_id, states.get("success", 0))
                samples.add_moment("evergreen_dag_last_success_timestamp_seconds", ended_at, *labels)
            with samples.guard(f"the schedule of {dag_id}"):
                schedule = _get_schedule(use_case, verb)
                due = find_due_tick(schedule, now) if schedule else None
                samples.add_moment("evergreen_dag_due_timestamp_seconds", due, *labels)

    def _find_last_success(self, dag_id: str, successes: int) -> datetime | None:
        """When the last run of a DAG that succeeded ended (aware); asked again when their number changes."""
        if successes == 0:
            return None
        known = self._successes.get(dag_id)
        if known is None or known[0] != successes:
            page = self._session.get_json(
                f"dags/{dag_id}/dagRuns", state="success", order_by="-end_date", limit=1
            )
            known = self._successes[dag_id] = (successes, _parse_end(page["dag_runs"]))
        return known[1]


def _parse_end(runs: list[dict[str, Any]]) -> datetime | None:
    end = runs[0].get("end_date") if runs else None
    return datetime.fromisoformat(end) if end else None


def _get_schedule(use_case: UseCase, verb: str) -> str | None:
    """The cron expression or preset of a DAG; None for one that no schedule starts."""
    schedules = use_case.schedules
    return {
        "ingest": schedules.ingest,
        "train": schedules.train,
        "monitor": schedules.monitor,
        "score": schedules.score,
        "upkeep": UPKEEP_SCHEDULE,
    }.get(verb)
