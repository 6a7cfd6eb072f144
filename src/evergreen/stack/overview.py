"""What a use case looks like right now: store, champion, service, drift, decision and prediction counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from evergreen.errors import EvergreenError, ServiceUnreachable
from evergreen.registry.champion import Champion, read_champion
from evergreen.registry.ledger import find_promotion_time
from evergreen.registry.vacancy import find_vacancy
from evergreen.serving.standing import read_service_status
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_log import count_predictions
from evergreen.store.records.decision import describe_latest_decision
from evergreen.store.records.drift import describe_latest_drift
from evergreen.store.records.summary import summarize_store
from evergreen.usecase import UseCase


def build_overview(settings: Settings, use_case: UseCase) -> dict[str, Any]:
    """JSON-able facts by part. A part that cannot be read says `{"error": why}` and spoils no other part."""
    database = get_engine(settings)
    url = settings.service_urls.get(use_case.name)
    named: list[Champion | None] = []

    def present_champion() -> dict[str, Any] | None:
        named.append(found := read_champion(settings, use_case.name))
        if found is None:
            gone = find_vacancy(settings, database, use_case.name)
            return {"version": None, **gone.to_json()} if gone else None
        since = find_promotion_time(database, use_case.name, found.version)
        return {"version": found.version, "since": _format_iso(since), "run_id": found.run_id}

    def standing() -> dict[str, Any] | None:
        if not url:
            return None
        present = named[0] if named else None
        try:
            return read_service_status(url, use_case, present).to_json()
        except ServiceUnreachable:
            # Before its first champion nobody starts a service.
            if present is None:
                return None
            raise

    parts: dict[str, Callable[[], Any]] = {
        "store": lambda: summarize_store(database, use_case).to_json(),
        "champion": present_champion,
        "standing": standing,
        "drift": lambda: (drift := describe_latest_drift(database, use_case.name)) and drift.to_json(),
        "decision": lambda: (
            (decision := describe_latest_decision(database, use_case.name)) and decision.to_json()
        ),
        "predictions": lambda: count_predictions(database, use_case).to_json(),
    }
    facts: dict[str, Any] = {"title": use_case.title, "service": url}
    for name, read in parts.items():
        try:
            facts[name] = _make_json_able(read())
        except EvergreenError as error:
            facts[name] = {"error": error.message}
    return facts


def is_use_case_healthy(facts: Mapping[str, Any]) -> bool:
    """Whether a use case's overview shows nothing that waits for a person to mend it: its service does not
    lag, and a champion that it had is still there."""
    standing, present = facts.get("standing") or {}, facts.get("champion") or {}
    return not (standing.get("lags") or present.get("remedy"))


def _format_iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _make_json_able(value: Any) -> Any:
    """Datetimes as ISO text, at any depth."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _make_json_able(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_make_json_able(item) for item in value]
    return value
