"""A clean start: the tour may be taken again, but it erases only what an earlier tour made."""

from __future__ import annotations

from evergreen.demo.upstream import Upstream
from evergreen.errors import EvergreenError
from evergreen.registry.champion import champion
from evergreen.registry.models import forget_model
from evergreen.settings import Settings
from evergreen.store.database import engine
from evergreen.store.forget import forget, is_empty
from evergreen.usecase import UseCase


class NotTheDemosData(EvergreenError):
    """The use case holds rows or a champion that no demo made."""

    exit_code = 12


def start_afresh(settings: Settings, use_case: UseCase, source: Upstream) -> str:
    """Forget what an earlier tour of this use case left, and say in words what was done.

    Raises NotTheDemosData if the use case holds anything and no tour has been here: that is somebody's work.
    """
    mark = settings.home / f"demo-{use_case.name}"
    database = engine(settings)
    untouched = is_empty(database, use_case) and champion(settings, use_case.name) is None
    if not untouched and not mark.exists():
        raise NotTheDemosData(
            f"{use_case.name} already holds data or a champion that no demo made",
            hint="the demo will not erase them: take it elsewhere, with EVERGREEN_HOME=another-folder",
        )
    mark.touch()
    if untouched:
        return "nothing there yet"
    forget(database, use_case)
    forget_model(settings, use_case.name)
    source.erase()
    return "forgot what the previous demo left"
