"""A former champion becomes champion again: on request, or because the present one answers badly."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from evergreen.errors import NoChampion, RegistryError, RegistryUnreachable
from evergreen.registry import ledger
from evergreen.registry.champion import read_champion
from evergreen.registry.champion_history import find_former_champion, find_last_change, read_champion_changes
from evergreen.registry.reconcile import is_change_unfinished, reconcile_ledger_under_lock
from evergreen.registry.succession import aliases
from evergreen.registry.verification import load_recorded_model
from evergreen.registry.versions import has_version
from evergreen.settings import Settings
from evergreen.usecase import UseCase


@dataclass(frozen=True)
class Restoration:
    """A former champion is champion again.

    `entry` is its line in the ledger; `began` is when the alias began to change (of `time.monotonic`).
    """

    entry: ledger.Entry
    began: float


@dataclass(frozen=True)
class Withdrawal:
    """What became of a champion that was to be withdrawn.

    `outcome`: "restored": `former_version` is champion again. "kept": the version stays champion, because
    there is no former champion (`former_version` is None) or because that one cannot take over (`obstacle`
    says why). "overtaken": neither of the two is champion any more; `champion_version` is (None: nobody), and
    nothing was changed.
    """

    outcome: Literal["restored", "kept", "overtaken"]
    champion_version: int | None
    former_version: int | None = None
    obstacle: str = ""


def roll_back(
    settings: Settings, database: sa.Engine, use_case: UseCase, to: int | None, *, actor: str, reason: str
) -> Restoration:
    """Make a version that has been champion champion again.

    `to` is the version; None: the former champion, or the target of a rollback that was cut short. Raises
    NoChampion when there is none to go back to, RegistryError when the version was never champion, is
    champion already, was deleted or cannot be loaded, SignatureMismatch when it does not fit the declaration.
    """
    name = use_case.name
    reconcile_ledger_under_lock(settings, database, name)
    last = find_last_change(database, name)
    target = to or _find_default_target(settings, database, name, last)
    former_versions = sorted(
        {line.to_version for line in read_champion_changes(database, name) if line.to_version}
    )
    if target not in former_versions:
        raise RegistryError(
            f"version {target} of {name} has never been champion",
            hint="roll back to one that has been:"
            f" {', '.join(map(str, former_versions)) or 'there is none yet'}",
        )
    if _is_already_champion(settings, last, target):
        raise RegistryError(
            f"version {target} of {name} is champion already: there is nothing to roll back",
            hint=f"evergreen ledger {name} shows who was champion before",
        )
    return _restore_champion(
        settings,
        database,
        use_case,
        target,
        actor=actor,
        reason=reason or f"rolled back to v{target} by hand",
    )


def withdraw_champion(
    settings: Settings, database: sa.Engine, use_case: UseCase, version: int, *, actor: str, reason: str
) -> Withdrawal:
    """Make the predecessor of a champion that answers badly champion again.

    If neither the version nor its predecessor is champion any more, nothing changes. Raises
    RegistryUnreachable, StoreUnreachable; a predecessor that cannot take over is an outcome, not an error.
    """
    name = use_case.name
    reconcile_ledger_under_lock(settings, database, name)
    champion = read_champion(settings, name)
    champion_version = champion.version if champion else None
    promotion = ledger.find_entry(database, name, "promote", to_version=version)
    if promotion is not None:
        former = promotion.from_version
    else:  # its alias was set by hand, which the reconciliation has just recorded
        former = find_former_champion(database, name) if champion_version == version else None
    if champion_version is None or champion_version not in (version, former):
        return Withdrawal("overtaken", champion_version)
    if former is None:
        return Withdrawal("kept", champion_version)
    try:
        _restore_champion(
            settings,
            database,
            use_case,
            former,
            actor=actor,
            reason=reason,
            training_run_id=promotion.training_run_id if promotion else None,
            mlflow_run_id=promotion.mlflow_run_id if promotion else None,
        )
    except RegistryUnreachable:
        raise
    except RegistryError as error:
        return Withdrawal("kept", champion_version, former, error.message)
    return Withdrawal("restored", former, former)


def _restore_champion(
    settings: Settings,
    database: sa.Engine,
    use_case: UseCase,
    target: int,
    *,
    actor: str,
    reason: str,
    training_run_id: str | None = None,
    mlflow_run_id: str | None = None,
) -> Restoration:
    """Make that version champion: the ledger first, then the alias.

    Where it is champion already, the line that made it so is returned; a restoration that was cut short is
    completed. Raises RegistryError when the model cannot be loaded, ModelRefused when it is not the one that
    was registered or, as SignatureMismatch, does not fit the declaration.
    """
    name = use_case.name
    _refuse_deleted(settings, name, target)
    champion, last = read_champion(settings, name), find_last_change(database, name)
    champion_version = champion.version if champion else None
    # A model that cannot answer must be refused here, while the present one still serves.
    load_recorded_model(settings, database, use_case, target)
    entry = last if last is not None and last.to_version == target else None
    if entry is not None and entry.action != "rollback" and champion_version == target:
        return Restoration(entry, time.monotonic())
    if entry is None or entry.action != "rollback":
        # The ledger has one `rollback` line per training. If its version was made champion by hand since and
        # is rolled back once more, that line carries no training.
        is_repeated = training_run_id is not None and ledger.find_entry(
            database, name, "rollback", training_run_id=training_run_id, to_version=target
        )
        entry = ledger.append_entry(
            database,
            use_case_name=name,
            action="rollback",
            from_version=champion_version if last is None or champion_version != target else last.to_version,
            to_version=target,
            training_run_id=None if is_repeated else training_run_id,
            mlflow_run_id=None if is_repeated else mlflow_run_id,
            actor=actor,
            reason=reason,
        )
    began = time.monotonic()
    aliases.set_champion(settings, name, target, promoted_at=entry.at)
    return Restoration(entry, began)


def _refuse_deleted(settings: Settings, use_case_name: str, target: int) -> None:
    """Raise RegistryError if MLflow does not have that version any more."""
    if not has_version(settings, use_case_name, target):
        raise RegistryError(
            f"version {target} of {use_case_name} was deleted in MLflow: nobody can go back to it",
            hint=f"go back to another one (evergreen ledger {use_case_name} shows who was champion, evergreen"
            f" rollback {use_case_name} --to VERSION), or train: evergreen train {use_case_name}",
        )


def _find_default_target(
    settings: Settings, database: sa.Engine, use_case_name: str, last: ledger.Entry | None
) -> int:
    """The former champion, or the target of a rollback that was cut short. Raises NoChampion."""
    if (
        last
        and last.action == "rollback"
        and is_change_unfinished(settings, last, read_champion(settings, use_case_name))
    ):
        assert last.to_version is not None
        return last.to_version
    former = find_former_champion(database, use_case_name)
    if former is None:
        raise NoChampion(
            f"{use_case_name} has no former champion to go back to",
            hint=f"evergreen ledger {use_case_name} shows who was champion; train again for another one",
        )
    return former


def _is_already_champion(settings: Settings, last: ledger.Entry | None, target: int) -> bool:
    """Whether ledger, alias and the version's tag agree that it is champion already."""
    if last is None or last.to_version != target:
        return False
    champion = read_champion(settings, last.use_case)
    if champion is None or champion.version != target:
        return False
    return last.action != "rollback" or champion.promoted_at == last.at
