"""Rollback: a former champion is champion again, within seconds and for a reason that the ledger keeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from evergreen.errors import EvergreenError, NoChampion, RegistryError
from evergreen.settings import Settings
from evergreen.usecases import load_use_case

if TYPE_CHECKING:
    import sqlalchemy as sa

    from evergreen.registry.ledger import Entry
    from evergreen.usecase import UseCase

# How long to wait for the service, which asks for the champion every two seconds.
WAIT_SECONDS = 10.0
_POLL_SECONDS = 0.2


def roll_back_champion(
    settings: Settings, use_case: str, to: int | None = None, *, actor: str = "", reason: str = ""
) -> dict[str, Any]:
    """Make a former champion champion again, and wait until the service answers with it.

    `to` is a version that has been champion; None: the one before the present champion. Returns {"from",
    "to", "at", "actor", "reason", "seconds", "remark"}: `seconds` run from the start of the alias's change
    until the service answered with that version; None when no service does. Raises NoChampion when there is
    nobody to go back to, RegistryError when there is nothing to do or the version was never champion,
    SignatureMismatch when it does not fit the declaration any more.
    """
    from evergreen.registry.actor import identify_actor
    from evergreen.registry.ledger import find_last_change, read_champion_changes
    from evergreen.registry.lock import lock_use_case
    from evergreen.registry.reconcile import reconcile_ledger_under_lock
    from evergreen.store.connection.database import get_engine

    declared = load_use_case(use_case, settings)
    database = get_engine(settings)
    with lock_use_case(database, use_case):
        reconcile_ledger_under_lock(settings, database, use_case)
        last = find_last_change(database, use_case)
        target = to or _find_default_target(settings, database, use_case, last)
        been = sorted(
            {line.to_version for line in read_champion_changes(database, use_case) if line.to_version}
        )
        if target not in been:
            raise RegistryError(
                f"version {target} of {use_case} has never been champion",
                hint=f"roll back to one that has been: {', '.join(map(str, been)) or 'there is none yet'}",
            )
        if _is_already_champion(settings, last, target):
            raise RegistryError(
                f"version {target} of {use_case} is champion already: there is nothing to roll back",
                hint=f"evergreen ledger {use_case} shows who was champion before",
            )
        line, began = restore_champion(
            settings,
            database,
            declared,
            target,
            actor=actor or identify_actor(),
            reason=reason or f"rolled back to v{target} by hand",
        )
    seconds, remark = _wait_for_service(settings, use_case, target, began)
    return {
        "from": line.from_version,
        "to": target,
        "at": line.at.isoformat(),
        "actor": line.actor,
        "reason": line.reason,
        "seconds": seconds,
        "remark": remark,
    }


def restore_champion(
    settings: Settings,
    database: sa.Engine,
    declared: UseCase,
    target: int,
    *,
    actor: str,
    reason: str,
    training_run_id: str | None = None,
    mlflow_run_id: str | None = None,
) -> tuple[Entry, float]:
    """Make that version champion: the ledger first, then the alias.

    Returns the line, and when the alias began to be changed (of `time.monotonic`).

    Call it within `lock_use_case`, after `reconcile_ledger_under_lock`. Where it is champion already the
    line that stands is returned, and one of these that was cut short is finished. Raises RegistryError when
    the model cannot be loaded, SignatureMismatch when it does not fit the declaration.
    """
    from evergreen.registry.champion import read_champion
    from evergreen.registry.ledger import append_entry, find_entry, find_last_change
    from evergreen.registry.models import load_model, set_champion

    use_case = declared.name
    _refuse_deleted(settings, use_case, target)
    present, last = read_champion(settings, use_case), find_last_change(database, use_case)
    version = present.version if present else None
    # A model that cannot answer must be refused here, while the present one still serves.
    load_model(settings, declared, target)
    line = last if last is not None and last.to_version == target else None
    if line is not None and line.action != "rollback" and version == target:
        return line, time.monotonic()
    if line is None or line.action != "rollback":
        # A training is rolled back once; what comes back by hand and is lost again gets a line without it.
        known = training_run_id and find_entry(
            database, use_case, "rollback", training_run_id=training_run_id, to_version=target
        )
        line = append_entry(
            database,
            use_case=use_case,
            action="rollback",
            from_version=version if last is None or version != target else last.to_version,
            to_version=target,
            training_run_id=None if known else training_run_id,
            mlflow_run_id=None if known else mlflow_run_id,
            actor=actor,
            reason=reason,
        )
    began = time.monotonic()
    set_champion(settings, use_case, target, promoted_at=line.at)
    return line, began


def _refuse_deleted(settings: Settings, use_case: str, target: int) -> None:
    """Raise RegistryError if MLflow does not have that version any more."""
    from evergreen.registry.models import has_version

    if not has_version(settings, use_case, target):
        raise RegistryError(
            f"version {target} of {use_case} was deleted in MLflow: nobody can go back to it",
            hint=f"go back to another one (evergreen ledger {use_case} shows who was champion, evergreen"
            f" rollback {use_case} --to VERSION), or train: evergreen train {use_case}",
        )


def _find_default_target(settings: Settings, database: sa.Engine, use_case: str, last: Entry | None) -> int:
    """The former champion, or where a rollback that was cut short wanted to go. Raises NoChampion."""
    from evergreen.registry.champion import read_champion
    from evergreen.registry.ledger import find_former_champion
    from evergreen.registry.reconcile import is_change_unfinished

    if (
        last
        and last.action == "rollback"
        and is_change_unfinished(settings, last, read_champion(settings, use_case))
    ):
        assert last.to_version is not None
        return last.to_version
    former = find_former_champion(database, use_case)
    if former is None:
        raise NoChampion(
            f"{use_case} has no former champion to go back to",
            hint=f"evergreen ledger {use_case} shows who was champion; train again for another one",
        )
    return former


def _is_already_champion(settings: Settings, last: Entry | None, target: int) -> bool:
    """Whether ledger, alias and the version's tag agree that it is champion already."""
    from evergreen.registry.champion import read_champion

    if last is None or last.to_version != target:
        return False
    present = read_champion(settings, last.use_case)
    if present is None or present.version != target:
        return False
    return last.action != "rollback" or present.promoted_at == last.at


def _wait_for_service(
    settings: Settings, use_case: str, version: int, began: float
) -> tuple[float | None, str]:
    """Seconds from `began` until the service answered with that version, and what there is to remark."""
    from evergreen.serving.client import ServiceClient

    url = settings.service_urls.get(use_case)
    if not url:
        return None, "the service's address is not known here; it follows by itself within seconds"
    deadline = time.monotonic() + WAIT_SECONDS
    with ServiceClient(url, timeout=2.0) as client:
        while True:
            try:
                served = client.metadata()
            except EvergreenError as error:
                return None, f"{error.message}; it will serve v{version} when it is up"
            waited = time.monotonic() - began
            if served["model_version"] == version:
                return round(waited, 1), ""
            if time.monotonic() > deadline:
                trouble = served["trouble"] or "it has not noticed yet"
                return None, f"after {waited:.0f} s {url} still serves v{served['model_version']}: {trouble}"
            time.sleep(_POLL_SECONDS)
