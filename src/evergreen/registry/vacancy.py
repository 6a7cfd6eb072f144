"""Nobody is champion in MLflow although somebody was: who, until when, and how to have one again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from evergreen.registry.ledger import find_last_change
from evergreen.registry.models import has_version
from evergreen.registry.reconcile import is_change_unfinished
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
        """The command that makes somebody champion again."""
        return f"evergreen {'train' if self.deleted else 'rollback'} {self.use_case}"

    def describe(self) -> str:
        """What is the case, in one line."""
        until = f", until {self.noticed_at:%Y-%m-%d %H:%M} UTC at the latest" if self.noticed_at else ""
        gone = ", which was deleted there" if self.deleted else ""
        return f"nobody is champion in MLflow any more (v{self.last_version} was{until}{gone})"

    def to_json(self) -> dict[str, Any]:
        return {
            "last_version": self.last_version,
            "noticed_at": self.noticed_at.isoformat() if self.noticed_at else None,
            "deleted": self.deleted,
            "reason": self.describe(),
            "remedy": self.remedy,
        }


def find_vacancy(settings: Settings, database: sa.Engine, use_case: str) -> Vacancy | None:
    """What the ledger knows of the last champion of a use case that MLflow names none for.

    None before the first champion, and after an `erase`. Raises RegistryUnreachable, StoreUnreachable.
    """
    line = find_last_change(database, use_case)
    if line is None or line.action == "erase" or is_change_unfinished(settings, line, None):
        return None
    noticed = line.to_version is None
    last = line.from_version if noticed else line.to_version
    if last is None:
        return None
    deleted = not has_version(settings, use_case, last)
    return Vacancy(use_case, last, line.at if noticed else None, deleted)
