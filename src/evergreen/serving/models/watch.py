"""Whoever asks for the champion sees when somebody moved or removed it by hand, and lets the ledger know."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evergreen.registry.champion import Champion

logger = logging.getLogger(__name__)


class ChampionWatch:
    """Has the ledger compared with the registry whenever that names another champion than before, or none.

    What it sees first counts as news. `compare` runs in a thread beside whoever asks, one at a time; what it
    raises is logged, and it is tried again when the champion is seen the next time, until it succeeded.
    """

    def __init__(self, compare: Callable[[], object]) -> None:
        self._compare = compare
        self._thread: threading.Thread | None = None
        self._compared = False
        self._known: tuple[int, str] | None = None
        self._trouble = ""

    def saw(self, champion: Champion | None) -> None:
        """The registry names that champion. Returns at once and raises nothing; for one caller at a time."""
        if self._thread is not None and self._thread.is_alive():
            return  # what is news after it will be seen again
        # The run as well: a model that was deleted and made anew counts its versions from 1 again.
        named = (champion.version, champion.run_id) if champion else None
        if self._compared and named == self._known:
            return
        thread = threading.Thread(target=self._try, args=(named,), name="reconcile", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no room for a thread
            self._tell(str(error))
        else:
            self._thread = thread

    def _try(self, named: tuple[int, str] | None) -> None:
        try:
            self._compare()
        except Exception as error:  # noqa: BLE001
            self._tell(str(error))
        else:
            self._trouble = ""
            self._known, self._compared = named, True

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            logger.warning("the ledger was not compared with the registry, which is tried again: %s", trouble)
        self._trouble = trouble
