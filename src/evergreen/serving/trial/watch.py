"""Follows the use case's trial: loads its challenger, judges it, and ends the trial.

Every worker of every replica does so for itself, by the trial's row in MariaDB. The first end stands.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from evergreen.errors import EvergreenError, RegistryUnreachable, StoreUnreachable
from evergreen.model.loaded_model import LoadedModel
from evergreen.serving.trial.running import RunningTrial
from evergreen.store.records.model_trial import ModelTrial, TrialOutcome

logger = logging.getLogger(__name__)

# The registry's news of a champion may be older than a trial that began right after a promotion.
_NEW_CHAMPION_SECONDS = 15.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class TrialSource:
    """Where trials come from and go to, and what they need; each call may raise an EvergreenError.

    `end_in_time` ends a trial whose time is over. `find_champion` is the registry's champion when it was
    asked last; None while it is not known.
    """

    read_running: Callable[[], ModelTrial | None]
    load_model: Callable[[int], LoadedModel]
    end: Callable[[ModelTrial, TrialOutcome, str], object]
    end_in_time: Callable[[ModelTrial], object]
    find_champion: Callable[[], int | None]


@dataclass(frozen=True)
class _End:
    """How this worker ends a trial; `outcome` is None where its time is over."""

    trial: ModelTrial
    outcome: TrialOutcome | None
    reason: str


class TrialWatch:
    """Holds the trial that this worker takes part in, and follows the row in MariaDB in a thread.

    A worker that has ended its part does not resume it, whether MariaDB has taken the end or not: that is
    tried again every `poll_seconds`. `on_change` is called with the trial that begins, and with None when the
    present one is over; `on_check` after each look.
    """

    def __init__(
        self,
        source: TrialSource,
        key_count: int,
        *,
        poll_seconds: float,
        on_change: Callable[[RunningTrial | None], None] = lambda _: None,
        on_check: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._source = source
        self._key_count = key_count
        self._poll_seconds = poll_seconds
        self._on_change = on_change
        self._on_check = on_check
        self._clock = clock
        self._running: RunningTrial | None = None
        self._end: _End | None = None
        self._other_champion_since: float | None = None
        self._waking = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.trouble = ""

    @property
    def running(self) -> RunningTrial | None:
        """The trial that this worker takes part in at this moment."""
        running = self._running
        return None if running is None or running.broken_limit else running

    def check(self) -> None:
        """Read the trial's row once, and begin, judge or end as it needs. Raises nothing."""
        try:
            self._check()
        except EvergreenError as error:
            self._set_trouble(error.message)
        except Exception as error:
            # The thread must go on following.
            logger.exception("following the trial failed")
            self.trouble = type(error).__name__
        else:
            self._set_trouble("")

    def _check(self) -> None:
        try:
            trial = self._source.read_running()
        except Exception:
            # The limits hold without MariaDB too.
            self._judge()
            raise
        if self._running is not None and (trial is None or trial.id != self._running.trial.id):
            self._leave()
        if trial is None:
            self._end = None
            return
        if self._end is not None and self._end.trial.id == trial.id:
            self._write_end()
            return
        if self._running is None:
            self._begin(trial)
        self._judge()

    def _begin(self, trial: ModelTrial) -> None:
        """Take part in a trial. Raises RegistryUnreachable, StoreUnreachable: then it is tried again."""
        if trial.ends_at <= self._clock():
            self._finish(_End(trial, None, ""))
            return
        try:
            models = [self._source.load_model(version) for version in trial.versions_on_trial]
        except (RegistryUnreachable, StoreUnreachable):
            raise
        except EvergreenError as error:
            reason = f"the challenger was not put into service: {error.message}"
            self._finish(_End(trial, "failed", reason))
            return
        self._other_champion_since = None
        self._running = RunningTrial(trial, models, self._key_count, self._waking.set)
        logger.info("a trial begins: %s, until %s", trial.describe(), trial.ends_at)
        self._on_change(self._running)

    def _judge(self) -> None:
        running = self._running
        if running is None:
            return
        if reason := running.judge():
            self._finish(_End(running.trial, "failed", reason))
        elif running.trial.ends_at <= self._clock():
            self._finish(_End(running.trial, None, ""))
        elif reason := self._describe_new_champion(running.trial):
            self._finish(_End(running.trial, "stopped", reason))

    def _describe_new_champion(self, trial: ModelTrial) -> str:
        """That another version has become champion, in words; "" while none has."""
        champion = self._source.find_champion()
        if champion is None or champion == trial.champion_version:
            self._other_champion_since = None
            return ""
        now = time.monotonic()
        if self._other_champion_since is None:
            self._other_champion_since = now
        if now - self._other_champion_since < _NEW_CHAMPION_SECONDS:
            return ""
        return f"v{champion} became champion meanwhile"

    def _finish(self, end: _End) -> None:
        """Stop to take part, and have the trial ended."""
        self._leave()
        self._end = end
        self._write_end()

    def _write_end(self) -> None:
        assert self._end is not None
        if self._end.outcome is None:
            self._source.end_in_time(self._end.trial)
        else:
            self._source.end(self._end.trial, self._end.outcome, self._end.reason)

    def _leave(self) -> None:
        if self._running is not None:
            self._running = None
            self._on_change(None)

    def _set_trouble(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            logger.warning("the trial is not followed at present: %s", trouble)
        self.trouble = trouble

    def start(self) -> None:
        """Begin to follow, at once and then every `poll_seconds`, in a thread."""
        self._thread = threading.Thread(target=self._run, name="trial-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            self.check()
            self._on_check()
            self._waking.wait(self._poll_seconds)
            self._waking.clear()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop to follow; this worker takes part no more."""
        self._stopping = True
        self._waking.set()
        if self._thread is not None:
            self._thread.join(timeout)
        self._leave()
