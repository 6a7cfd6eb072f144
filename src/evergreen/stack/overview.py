"""What a use case looks like right now: store, champion, drift, decision and prediction counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from evergreen.errors import EvergreenError
from evergreen.monitoring.reports import latest_decision, latest_drift
from evergreen.registry.champion import champion
from evergreen.registry.ledger import promoted_at
from evergreen.settings import Settings
from evergreen.store.database import engine
from evergreen.store.predictions import count_predictions
from evergreen.store.runs import summary
from evergreen.usecase import UseCase


def overview(settings: Settings, use_case: UseCase) -> dict[str, Any]:
    """JSON-able facts by part. A part that cannot be read says `{"error": why}` and spoils no other part."""
    database = engine(settings)

    def served_champion() -> dict[str, Any] | None:
        found = champion(settings, use_case.name)
        if found is None:
            return None
        since = promoted_at(database, use_case.name, found.version)
        return {"version": found.version, "since": _iso(since), "run_id": found.run_id}

    parts: dict[str, Callable[[], Any]] = {
        "store": lambda: summary(database, use_case),
        "champion": served_champion,
        "drift": lambda: latest_drift(database, use_case.name),
        "decision": lambda: latest_decision(database, use_case.name),
        "predictions": lambda: count_predictions(database, use_case),
    }
    facts: dict[str, Any] = {"title": use_case.title, "service": settings.service_urls.get(use_case.name)}
    for name, read in parts.items():
        try:
            facts[name] = _plain(read())
        except EvergreenError as error:
            facts[name] = {"error": error.message}
    return facts


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
