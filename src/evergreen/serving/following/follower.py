"""Decides when a changed declaration is checked and taken over, and when a refused one is tried again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from evergreen.serving.following.checked_declaration import CheckedDeclaration
from evergreen.serving.following.exchange_folder import FollowerState
from evergreen.serving.following.fingerprint import Fingerprint
from evergreen.serving.following.refusal import DeclarationRefusal
from evergreen.usecase.digest import shorten_digest

logger = logging.getLogger(__name__)

# A refusal that may pass by itself is tried again after so many seconds.
_RETRY_SECONDS = 15.0


@dataclass(frozen=True)
class ServiceParts:
    """What a follower sees and does: the files, the check, the take-over and the champion, and where it tells
    its state. `take_over` returns the digest of what the new workers hold, or why there are none."""

    compute_fingerprint: Callable[[], Fingerprint]
    check: Callable[[str], CheckedDeclaration]
    take_over: Callable[[], str | DeclarationRefusal]
    read_champion: Callable[[], str]
    tell: Callable[[FollowerState], None]


class DeclarationFollower:
    """Follows the declaration of one service; `step` is called every second or so. For one thread.

    `held` is the digest of the declaration that the workers hold, `fingerprint` that of the files before it
    was read. A change is taken up once the files were the same at two steps, because an editor or `git pull`
    writes several. A refused declaration is tried again when the files change, when the champion does, and,
    where the refusal may pass by itself, after some seconds.
    """

    def __init__(
        self,
        held: str,
        fingerprint: Fingerprint,
        parts: ServiceParts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._held = held
        self._seen = self._judged = fingerprint
        self._parts = parts
        self._clock = clock
        self._retry_at = 0.0
        self._refused_champion = ""
        self.state = FollowerState()

    def step(self) -> None:
        """Look at the files once, and take over a declaration that has changed."""
        fingerprint = self._parts.compute_fingerprint()
        is_settled, self._seen = fingerprint == self._seen, fingerprint
        if is_settled and (fingerprint != self._judged or self._is_retry_due()):
            self._judge()
            self._judged = fingerprint

    def _is_retry_due(self) -> bool:
        refusal = self.state.refusal
        if refusal is None:
            return False
        if refusal.passing and self._clock() >= self._retry_at:
            return True
        # No champion helps where it cannot be loaded.
        return bool(refusal.declaration) and self._parts.read_champion() != self._refused_champion

    def _judge(self) -> None:
        champion = self._parts.read_champion()
        checked = self._parts.check(self._held)
        if checked.refusal is not None:
            self._refuse(checked.refusal, champion)
        elif checked.declaration == self._held:
            self._set_state(replace(self.state, refusal=None))
        else:
            logger.info("the declaration has changed to %s", shorten_digest(checked.declaration))
            outcome = self._parts.take_over()
            if isinstance(outcome, DeclarationRefusal):
                self._refuse(replace(outcome, declaration=checked.declaration), champion)
            else:
                self._held = outcome
                self._set_state(FollowerState(self.state.takeovers + 1))
                logger.info("the declaration %s is in service", shorten_digest(outcome))

    def _refuse(self, refusal: DeclarationRefusal, champion: str) -> None:
        self._refused_champion = champion
        self._retry_at = self._clock() + _RETRY_SECONDS
        former = self.state.refusal
        if former is not None and replace(former, at="") == refusal:
            return
        logger.warning(
            "the changed declaration is refused, the present one stays: %s%s",
            refusal.reason,
            f" ({refusal.hint})" if refusal.hint else "",
        )
        self._set_state(replace(self.state, refusal=replace(refusal, at=datetime.now(UTC).isoformat())))

    def _set_state(self, state: FollowerState) -> None:
        if state != self.state:
            self._parts.tell(state)
            self.state = state
