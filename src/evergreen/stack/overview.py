"""What a use case looks like right now: store, champion, service, drift, decision, report, predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from evergreen.documents import JsonObject
from evergreen.errors import EvergreenError, ServiceUnreachable
from evergreen.registry.champion import Champion, read_champion
from evergreen.registry.champion_history import find_promotion_time
from evergreen.registry.experiments.check_runs import PAGE_FILE
from evergreen.registry.experiments.experiment import format_run_address
from evergreen.registry.vacancy import Vacancy, find_vacancy
from evergreen.serving.standing import ServiceStatus, read_service_status
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_log import PredictionCounts, count_predictions
from evergreen.store.records.checks.check_report import find_latest_check_report
from evergreen.store.records.checks.decision import DecisionSummary, describe_latest_decision
from evergreen.store.records.checks.drift_summary import DriftSummary, describe_latest_drift
from evergreen.store.records.summary import StoreSummary, summarize_store
from evergreen.usecase import UseCase

Record = TypeVar("Record")


@dataclass(frozen=True)
class ReportPlace:
    """Where the newest report of a check is: its moment (aware UTC), severity, and the address of its page in
    MLflow, "" where MLflow does not have it."""

    as_of: datetime
    severity: str
    address: str

    def to_json(self) -> Mapping[str, datetime | str]:
        """The fields, the moment as it is."""
        return vars(self)


@dataclass(frozen=True)
class ReadFailure:
    """Why a record of an overview could not be read."""

    error: str


@dataclass(frozen=True)
class PresentChampion:
    """The champion's version and run, and since when it is champion (aware, UTC; None if nobody knows)."""

    version: int
    since: datetime | None
    run_id: str


@dataclass(frozen=True)
class UseCaseOverview:
    """What is known of a use case. None stands for what is not there yet, a ReadFailure for what cannot be
    read.

    `champion` is a Vacancy where there was one and MLflow names none now; `standing` is what the service at
    `service` serves. The others are records of the store.
    """

    title: str
    service: str | None = None
    champion: PresentChampion | Vacancy | ReadFailure | None = None
    standing: ServiceStatus | ReadFailure | None = None
    store: StoreSummary | ReadFailure | None = None
    drift: DriftSummary | ReadFailure | None = None
    decision: DecisionSummary | ReadFailure | None = None
    report: ReportPlace | ReadFailure | None = None
    predictions: PredictionCounts | ReadFailure | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether nothing waits for a person to mend it: the service does not lag, and a champion that there
        was is still there."""
        lags = isinstance(self.standing, ServiceStatus) and self.standing.lags
        return not lags and not isinstance(self.champion, Vacancy)

    def to_json(self) -> JsonObject:
        """For `--json`: moments as ISO text, a record that cannot be read as {"error": why}."""
        champion = self.champion
        if isinstance(champion, Vacancy):
            described: Any = {"version": None, **champion.to_json()}
        else:
            described = asdict(champion) if champion else None
        standing = self.standing
        return {
            "title": self.title,
            "service": self.service,
            "store": _encode_record(self.store),
            "champion": _encode_moments(described),
            "standing": standing.to_json()
            if isinstance(standing, ServiceStatus)
            else _encode_record(standing),
            "drift": _encode_record(self.drift),
            "decision": _encode_record(self.decision),
            "report": _encode_record(self.report),
            "predictions": _encode_record(self.predictions),
        }


def build_overview(settings: Settings, use_case: UseCase) -> UseCaseOverview:
    """Read everything of a use case's overview. One that cannot be read hinders no other."""
    database = get_engine(settings)
    url = settings.service_urls.get(use_case.name)
    champion = _try_read(lambda: read_champion(settings, use_case.name))
    present = champion if isinstance(champion, Champion) else None
    return UseCaseOverview(
        title=use_case.title,
        service=url,
        store=_try_read(lambda: summarize_store(database, use_case)),
        champion=champion
        if isinstance(champion, ReadFailure)
        else _try_read(lambda: _describe_champion(settings, database, use_case.name, champion)),
        standing=_try_read(lambda: _read_standing(settings, url, use_case, present)) if url else None,
        drift=_try_read(lambda: describe_latest_drift(database, use_case.name)),
        decision=_try_read(lambda: describe_latest_decision(database, use_case.name)),
        report=_try_read(lambda: _find_report(settings, database, use_case.name)),
        predictions=_try_read(lambda: count_predictions(database, use_case)),
    )


def _try_read(read: Callable[[], Record]) -> Record | ReadFailure:
    """What `read` returns, or the failure in its place."""
    try:
        return read()
    except EvergreenError as error:
        return ReadFailure(error.message)


def _describe_champion(
    settings: Settings, database: sa.Engine, use_case_name: str, champion: Champion | None
) -> PresentChampion | Vacancy | None:
    if champion is None:
        return find_vacancy(settings, database, use_case_name)
    since = find_promotion_time(database, use_case_name, champion.version)
    return PresentChampion(champion.version, since, champion.run_id)


def _find_report(settings: Settings, database: sa.Engine, use_case_name: str) -> ReportPlace | None:
    record = find_latest_check_report(database, use_case_name)
    if record is None:
        return None
    run = record.attached
    address = format_run_address(settings, run.experiment_id, run.run_id, PAGE_FILE) if run else ""
    return ReportPlace(record.as_of, record.severity, address)


def _read_standing(
    settings: Settings, url: str, use_case: UseCase, champion: Champion | None
) -> ServiceStatus | None:
    try:
        return read_service_status(settings, url, use_case, champion)
    except ServiceUnreachable:
        # Before its first champion a service is not started.
        if champion is None:
            return None
        raise


def _encode_record(
    record: StoreSummary
    | DriftSummary
    | DecisionSummary
    | ReportPlace
    | PredictionCounts
    | ReadFailure
    | None,
) -> Any:
    if record is None:
        return None
    return asdict(record) if isinstance(record, ReadFailure) else _encode_moments(record.to_json())


def _encode_moments(value: Any) -> Any:
    """A JSON value with moments as ISO text, at any depth."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _encode_moments(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode_moments(item) for item in value]
    return value
