"""A use case whose champion was removed in MLflow: the last one, and the command that brings one back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.documents import JsonObject
from evergreen.registry.champion_history import find_last_change
from evergreen.registry.reconcile import is_change_unfinished
from evergreen.registry.versions import has_version
from evergreen.settings import Settings


@dataclass(frozen=True)
class Vacancy:
    """The last champion of a use case that has none in MLflow now.

    `noticed_at` (aware UTC) is when Evergreen noticed; None where it has not yet. `deleted`: MLflow does not
    have that version any more.
    """

    use_case: str
    last_version: int
    noticed_at: datetime | None
    deleted: bool

    @property
    def remedy(self) -> str:
        """The command after which there is a champion again."""
        return f"evergreen {'train' if self.deleted else 'rollback'} {self.use_case}"

    def describe(self) -> str:
        """One line for people: the last champion, until when it was so, and whether it was deleted."""
        until = f", until {self.noticed_at:%Y-%m-%d %H:%M} UTC at the latest" if self.noticed_at else ""
        deletion = ", which was deleted there" if self.deleted else ""
        return f"nobody is champion in MLflow any more (v{self.last_version} was{until}{deletion})"

    def to_json(self) -> JsonObject:
        """The vacancy as `evergreen status --json` prints it."""
        return {
            "last_version": self.last_version,
            "noticed_at": self.noticed_at.isoformat() if self.noticed_at else None,
            "deleted": self.deleted,
            "reason": self.describe(),
            "remedy": self.remedy,
        }


def find_vacancy(settings: Settings, database: sa.Engine, use_case_name: str) -> Vacancy | None:
    """The last champion in the ledger, for a use case that has none in MLflow.

    None before the first champion, after an `erase`, and while a change of champion is under way. Raises
    RegistryUnreachable, StoreUnreachable.
    """
    line = find_last_change(database, use_case_name)
    if line is None or line.action == "erase" or is_change_unfinished(settings, line, None):
        return None
    is_noticed = line.to_version is None
    last_version = line.from_version if is_noticed else line.to_version
    if last_version is None:
        return None
    return Vacancy(
        use_case_name,
        last_version,
        noticed_at=line.at if is_noticed else None,
        deleted=not has_version(settings, use_case_name, last_version),
    )
