"""Which rows a drift check looks at."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from evergreen.registry.champion import Champion
from evergreen.registry.champion_history import find_promotion_time
from evergreen.store.records.checks.drift import find_last_window_end
from evergreen.usecase import UseCase


def find_window_start(engine: sa.Engine, use_case: UseCase, champion: Champion, as_of: datetime) -> datetime:
    """The beginning (exclusive, aware UTC) of the window that ends at `as_of`.

    It is the latest of three moments: `drift.window` before `as_of`; the champion's promotion, because the
    requests before it were answered by its predecessor; and the end of the last window that brought a
    verdict. So a window with too few predictions for a verdict is continued by the next one. As of a moment
    before the champion's promotion the window is empty.
    """
    promoted_at = find_version_start(engine, use_case, champion)
    last_end = find_last_window_end(engine, use_case.name, as_of)
    return choose_window_start(as_of, use_case.drift.window, promoted_at, last_end)


def find_version_start(engine: sa.Engine, use_case: UseCase, champion: Champion) -> datetime | None:
    """When the champion was promoted (aware UTC), by the ledger or else by MLflow; None if neither knows."""
    return find_promotion_time(engine, use_case.name, champion.version) or champion.promoted_at


def choose_window_start(
    as_of: datetime, length: timedelta, promoted_at: datetime | None, last_end: datetime | None
) -> datetime:
    """The latest of the moments that are known, and `as_of` at the latest (see `find_window_start`)."""
    bounds = [as_of - length, *(moment for moment in (promoted_at, last_end) if moment is not None)]
    return min(as_of, max(bounds))
