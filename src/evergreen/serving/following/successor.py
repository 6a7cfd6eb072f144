"""A new worker that is to take over loads the champion before it answers, and says whether it is ready."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from evergreen.serving.following.exchange_folder import (
    SUCCESSOR_VARIABLE,
    ExchangeFolder,
    FollowerState,
    SuccessorReport,
    WorkerModel,
    find_exchange_folder,
)
from evergreen.serving.following.refusal import DeclarationRefusal
from evergreen.waiting import wait_until

if TYPE_CHECKING:
    from evergreen.registry.champion import Champion
    from evergreen.serving.models.refusals import RefusalLog
    from evergreen.serving.models.slot import ModelSlot

logger = logging.getLogger(__name__)


def format_champion(champion: Champion | None) -> str:
    """A champion as text that differs from that of any other one; "" for none."""
    return f"{champion.version} {champion.run_id}" if champion else ""


def judge_successor(
    slot: ModelSlot, refusals: RefusalLog, formerly_served: int | None
) -> DeclarationRefusal | None:
    """Why a worker that has asked for the champion once is not to take over from one that serves
    `formerly_served`; None if it is: it serves the champion, or there is none and there was none."""
    current, champion = slot.current, slot.champion
    if current is not None and (champion is None or current.is_version_of(champion)):
        return None
    if champion is not None:
        refusal = refusals.find(champion.version, champion.run_id)
        if refusal is not None:
            return DeclarationRefusal(refusal.reason, refusal.hint)
        return DeclarationRefusal(f"its champion is not loaded: {slot.trouble}", passing=True)
    if formerly_served is None:
        return None
    return DeclarationRefusal(
        f"no model would be in service after version {formerly_served}: {slot.trouble}", passing=True
    )


class Succession:
    """A worker's side of take-overs: it may have to wait for its turn, and tells its parent process which
    champion it knows.

    `declaration` is the digest of what it holds. Without a `folder` the service does not follow its
    declaration; `parent` is the number of the process that started this worker as a successor.
    """

    def __init__(self, declaration: str, folder: ExchangeFolder | None, parent: int | None) -> None:
        self._declaration = declaration
        self._folder = folder
        self._parent = parent
        self._written: WorkerModel | None = None
        # A successor writes neither into the ledger nor for its parent before it is to answer.
        self.is_answering = folder is None or parent is None

    @property
    def follows(self) -> bool:
        """Whether the service follows its declaration."""
        return self._folder is not None

    def read_state(self) -> FollowerState | None:
        """What the parent process says of changes; None where it follows none."""
        return self._folder.read_follower_state() if self._folder else None

    def write_model(self, slot: ModelSlot) -> None:
        """Tell the parent which champion the registry names and what this worker serves, if that is news.

        A failure is logged.
        """
        served_model = slot.current
        model = WorkerModel(format_champion(slot.champion), served_model.version if served_model else None)
        if self._folder is None or not self.is_answering or model == self._written:
            return
        try:
            self._folder.write_worker_model(model)
        except OSError as error:
            logger.warning("the champion is not told to the service's parent process: %s", error)
        else:
            self._written = model

    def wait_for_turn(self, slot: ModelSlot, refusals: RefusalLog) -> None:
        """In a successor, load the champion, report, and return when this worker is to answer.

        One that is not to take over waits here until it is killed. Raises SystemExit when its parent ends.
        """
        if self._folder is None or self._parent is None:
            return
        formerly_served = self._folder.read_worker_model().serves
        slot.check()
        refusal = judge_successor(slot, refusals, formerly_served)
        self._folder.write_successor_report(os.getpid(), SuccessorReport(self._declaration, refusal))
        if refusal is not None:
            wait_until(lambda: os.getppid() != self._parent)
            raise SystemExit(1)
        self.is_answering = True


def build_succession(declaration: str) -> Succession:
    """The succession of this process, from what its parent has put into its environment."""
    parent = os.environ.get(SUCCESSOR_VARIABLE)
    return Succession(declaration, find_exchange_folder(), int(parent) if parent else None)
