"""MLflow's champion compared with the ledger: a change that Evergreen did not make gets a line."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import sqlalchemy as sa

from evergreen.errors import RegistryError, RegistryUnreachable
from evergreen.registry.champion import Champion, read_champion
from evergreen.registry.champion_history import find_last_change
from evergreen.registry.ledger import Entry, append_entry
from evergreen.registry.lock import lock_use_case
from evergreen.registry.versions import PROMOTED_AT, read_version
from evergreen.settings import Settings

logger = logging.getLogger(__name__)

# Who stands in the ledger for a change in MLflow, which does not record who made it.
_ACTOR = "unknown, by hand in MLflow"


def reconcile_ledger(
    settings: Settings, database: sa.Engine, use_case_name: str, seconds: float = 300.0
) -> Entry | None:
    """Append an `external` line if the alias `champion` was moved or removed by hand; the line, or None.

    Further calls, also concurrent ones, append no second line for one change. It waits up to `seconds` for a
    promotion in progress. Raises RegistryUnreachable, StoreUnreachable, StoreError.
    """
    if _matches_champion(find_last_change(database, use_case_name), read_champion(settings, use_case_name)):
        return None
    with lock_use_case(database, use_case_name, seconds):
        return reconcile_ledger_under_lock(settings, database, use_case_name)


def reconcile_ledger_under_lock(settings: Settings, database: sa.Engine, use_case_name: str) -> Entry | None:
    """`reconcile_ledger` for a caller that holds `lock_use_case` already."""
    last_change, champion = find_last_change(database, use_case_name), read_champion(settings, use_case_name)
    if _matches_champion(last_change, champion) or (
        last_change is not None and is_change_unfinished(settings, last_change, champion)
    ):
        return None
    noticed_at = datetime.now(UTC)
    event = f"the champion was set to v{champion.version}" if champion else "the champion was removed"
    entry = append_entry(
        database,
        use_case_name=use_case_name,
        action="external",
        from_version=_find_former_version(settings, last_change),
        to_version=champion.version if champion else None,
        training_run_id=None,
        actor=_ACTOR,
        reason=f"{event} in MLflow and not by Evergreen; noticed at {noticed_at:%Y-%m-%d %H:%M:%S} UTC",
        at=noticed_at,
    )
    logger.warning("%s: %s", use_case_name, entry.reason)
    return entry


def is_change_unfinished(settings: Settings, line: Entry, champion: Champion | None) -> bool:
    """Whether the last change is Evergreen's own and was cut short: in the ledger, but not yet in MLflow.

    The version's tag `evergreen.promoted_at` is set last, so a change whose tag is there was finished. Before
    that, the champion is still the version that the line came from; any other was set by hand.
    """
    if line.action == "erase":
        # The models are deleted after the line is written; a champion of theirs is older than the line.
        return champion is not None and champion.promoted_at is not None and champion.promoted_at <= line.at
    if line.action not in ("promote", "rollback") or line.to_version is None:
        return False
    champion_version = champion.version if champion else None
    return champion_version == line.from_version and not _is_change_finished(settings, line, line.to_version)


def _is_change_finished(settings: Settings, line: Entry, version: int) -> bool:
    try:
        tags = read_version(settings, line.use_case, version).tags
    except RegistryUnreachable:
        raise
    except RegistryError:
        return True  # that version was deleted, so the change cannot be finished any more
    return tags.get(PROMOTED_AT) == line.at.isoformat()


def _find_former_version(settings: Settings, line: Entry | None) -> int | None:
    """The champion before a change by hand."""
    if line is None or line.to_version is None or line.action not in ("promote", "rollback"):
        return line.to_version if line else None
    return line.to_version if _is_change_finished(settings, line, line.to_version) else line.from_version


def _matches_champion(line: Entry | None, champion: Champion | None) -> bool:
    return (line.to_version if line else None) == (champion.version if champion else None)
