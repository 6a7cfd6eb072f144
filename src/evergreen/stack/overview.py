"""What a use case looks like right now: store, champion, service, drift, decision and prediction counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from evergreen.errors import EvergreenError, ServiceUnreachable
from evergreen.registry.champion import Champion, champion
from evergreen.registry.ledger import promoted_at
from evergreen.registry.vacancy import find_vacancy
from evergreen.serving.standing import look_at_service
from evergreen.settings import Settings
from evergreen.store.connection.database import engine
from evergreen.store.predictions.prediction_log import count_predictions
from evergreen.store.records.drift_report import latest_decision, latest_drift
from evergreen.store.records.ingest_run import summary
from evergreen.usecase import UseCase


def overview(settings: Settings, use_case: UseCase) -> dict[str, Any]:
    """JSON-able facts by part. A part that cannot be read says `{"error": why}` and spoils no other part."""
    database = engine(settings)
    url = settings.service_urls.get(use_case.name)
    named: list[Champion | None] = []

    def present_champion() -> dict[str, Any] | None:
        named.append(found := champion(settings, use_case.name))
        if found is None:
            gone = find_vacancy(settings, database, use_case.name)
            return {"version": None, **gone.to_json()} if gone else None
        since = promoted_at(database, use_case.name, found.version)
        return {"version": found.version, "since": _iso(since), "run_id": found.run_id}

    def standing() -> dict[str, Any] | None:
        if not url:
            return None
        present = named[0] if named else None
        try:
            return look_at_service(url, use_case, present).to_json()
        except ServiceUnreachable:
            # Before its first champion nobody starts a service.
            if present is None:
                return None
            raise

    parts: dict[str, Callable[[], Any]] = {
        "store": lambda: summary(database, use_case),
        "champion": present_champion,
        "standing": standing,
        "drift": lambda: latest_drift(database, use_case.name),
        "decision": lambda: latest_decision(database, use_case.name),
        "predictions": lambda: count_predictions(database, use_case),
    }
    facts: dict[str, Any] = {"title": use_case.title, "service": url}
    for name, read in parts.items():
        try:
            facts[name] = _plain(read())
        except EvergreenError as error:
            facts[name] = {"error": error.message}
    return facts


def is_well(facts: Mapping[str, Any]) -> bool:
    """Whether a use case's overview shows nothing that waits for a person to mend it: its service does not
    lag, and a champion that it had is still there."""
    standing, present = facts.get("standing") or {}, facts.get("champion") or {}
    return not (standing.get("lags") or present.get("remedy"))


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _plain(value: Any) -> Any:
    """Datetimes as ISO text, at any depth."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
