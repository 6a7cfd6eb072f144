"""Was the champion changed by hand in MLflow? Then the ledger says so, from the moment it was noticed."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import sqlalchemy as sa

from evergreen.errors import RegistryError, RegistryUnreachable
from evergreen.registry.champion import PROMOTED_AT, Champion, read_champion
from evergreen.registry.ledger import Entry, append_entry, find_last_change
from evergreen.registry.lock import lock_use_case
from evergreen.registry.models import read_version
from evergreen.settings import Settings

logger = logging.getLogger(__name__)

ACTOR = "unknown, by hand in MLflow"


def reconcile_ledger(
    settings: Settings, database: sa.Engine, use_case: str, seconds: float = 300.0
) -> Entry | None:
    """Append an `external` line if somebody moved or removed the alias; the line, or None.

    Run again, or by several at once, it writes no second line for one change. It waits up to `seconds` for a
    promotion in progress. Raises RegistryUnreachable, StoreUnreachable, StoreError.
    """
    if _matches_champion(find_last_change(database, use_case), read_champion(settings, use_case)):
        return None
    with lock_use_case(database, use_case, seconds):
        return reconcile_ledger_under_lock(settings, database, use_case)


def reconcile_ledger_under_lock(settings: Settings, database: sa.Engine, use_case: str) -> Entry | None:
    """The same for a caller that is within `lock_use_case` already."""
    line, present = find_last_change(database, use_case), read_champion(settings, use_case)
    if _matches_champion(line, present) or (
        line is not None and is_change_unfinished(settings, line, present)
    ):
        return None
    noticed = datetime.now(UTC)
    did = f"the champion was set to v{present.version}" if present else "the champion was removed"
    made = append_entry(
        database,
        use_case=use_case,
        action="external",
        from_version=_find_former_version(settings, line),
        to_version=present.version if present else None,
        training_run_id=None,
        actor=ACTOR,
        reason=f"{did} in MLflow and not by Evergreen; noticed at {noticed:%Y-%m-%d %H:%M:%S} UTC",
        at=noticed,
    )
    logger.warning("%s: %s", use_case, made.reason)
    return made


def is_change_unfinished(settings: Settings, line: Entry, present: Champion | None) -> bool:
    """Whether the last change is one of ours that was cut short: the ledger has it, the alias does not yet.

    The version's tag comes last of all, so a change whose tag is there was finished. What was champion before
    still is; anybody else was made champion by hand.
    """
    if line.action == "erase":
        # Its models are deleted after the line; one of theirs has been champion before it.
        return present is not None and present.promoted_at is not None and present.promoted_at <= line.at
    if line.action not in ("promote", "rollback") or line.to_version is None:
        return False
    version = present.version if present else None
    return version == line.from_version and not _is_change_finished(settings, line, line.to_version)


def _is_change_finished(settings: Settings, line: Entry, version: int) -> bool:
    try:
        tags = read_version(settings, line.use_case, version).tags
    except RegistryUnreachable:
        raise
    except RegistryError:
        return True  # that version was deleted: nobody will ever finish the change
    return tags.get(PROMOTED_AT) == line.at.isoformat()


def _find_former_version(settings: Settings, line: Entry | None) -> int | None:
    """Who was champion before a change by hand."""
    if line is None or line.to_version is None or line.action not in ("promote", "rollback"):
        return line.to_version if line else None
    return line.to_version if _is_change_finished(settings, line, line.to_version) else line.from_version


def _matches_champion(line: Entry | None, present: Champion | None) -> bool:
    return (line.to_version if line else None) == (present.version if present else None)
