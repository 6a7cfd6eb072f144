"""A background comparison of the ledger of champions with the registry, started by news of the champion.

People can move or remove the champion's alias in MLflow by hand. The service asks the registry for the
champion every few seconds, so it learns of such changes first and has them written into the ledger.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evergreen.registry.champion import Champion

logger = logging.getLogger(__name__)

_Identity = tuple[int, str] | None


class ChampionWatch:
    """Calls `reconcile` in a thread when the registry names another champion than before, or none.

    The first champion after the start counts as news. One call runs at a time. What it raises is logged, and
    the call is repeated when the champion is noticed the next time, until it succeeds.
    """

    def __init__(self, reconcile: Callable[[], object]) -> None:
        self._reconcile = reconcile
        self._thread: threading.Thread | None = None
        self._reconciled_once = False
        self._reconciled_champion: _Identity = None
        self._trouble = ""

    def notice_champion(self, champion: Champion | None) -> None:
        """Take the registry's present champion; for one caller. Returns at once, raises nothing."""
        if self._thread is not None and self._thread.is_alive():
            return  # the next call compares with what this run has reconciled
        # The run as well: a model that was deleted and made anew counts its versions from 1 again.
        identity = (champion.version, champion.run_id) if champion else None
        if self._reconciled_once and identity == self._reconciled_champion:
            return
        thread = threading.Thread(target=self._run, args=(identity,), name="reconcile", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the process may not have more threads
            self._log_trouble(str(error))
        else:
            self._thread = thread

    def _run(self, identity: _Identity) -> None:
        try:
            self._reconcile()
        except Exception as error:  # noqa: BLE001
            self._log_trouble(str(error))
        else:
            self._trouble = ""
            self._reconciled_champion, self._reconciled_once = identity, True

    def _log_trouble(self, trouble: str) -> None:
        """Log a failure once, however often it repeats."""
        if trouble != self._trouble:
            logger.warning("the ledger was not compared with the registry, which is tried again: %s", trouble)
        self._trouble = trouble
