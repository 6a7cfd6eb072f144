"""The policies of a use case: when drift is found, when it is retrained, how it is served and scheduled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Literal, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from evergreen.errors import UseCaseError
from evergreen.usecase.names import check_choice, suggest_name

# Which rows a retrain learns from, where it is no fixed duration.
WindowRule = Literal["all", "since_drift", "validated"]


@dataclass(frozen=True)
class DriftPolicy:
    """When the rows of a window have drifted from those that a model was trained on.

    A feature has drifted when a change is large and is not chance. Large: its population stability index
    (PSI, over `bins` reference quantiles) reaches `psi_threshold`, or the share of its missing values moves
    by `missing_threshold`, or that of names unknown to the reference grows by `unseen_threshold`. Not chance:
    tests on the same counts, corrected for all features and slices of the check and for all checks of that
    model so far, so that with probability 1 - `alpha` a stream in which nothing changes is never called. A
    shift by a quarter of a standard deviation is a PSI of about 0.06; 0.1 is commonly read as a small shift
    and 0.25 as a major one (Siddiqi, Credit Risk Scorecards, 2006).

    Drift is found when at least `min_features` features have drifted. From `warning_share` of each limit on
    there is a warning, and a drift of the predictions or of a slice is one too. With fewer than `min_rows`
    predictions in the last `window` there is no verdict.

    Apart from that: rows that services refused are drift from the share `refused_threshold` on; and a
    classifier that tells the window's rows from earlier ones, on at most `sample_rows` of each, is drift from
    an area under its ROC curve of `auc_threshold` on (0 rows: not measured). Neither counts as a feature.
    """

    psi_threshold: float = 0.05
    min_features: int = 1
    min_rows: int = 500
    window: timedelta = timedelta(days=7)
    bins: int = 10
    alpha: float = 0.01
    warning_share: float = 0.5
    missing_threshold: float = 0.1
    unseen_threshold: float = 0.1
    refused_threshold: float = 0.05
    auc_threshold: float = 0.65
    sample_rows: int = 2_000

    def __post_init__(self) -> None:
        """Refuse limits that no measurement could reach, or that every one would."""
        for name in ("alpha", "warning_share", "missing_threshold", "unseen_threshold", "refused_threshold"):
            share = getattr(self, name)
            if not 0 < share <= 1:
                raise UseCaseError(
                    f"DriftPolicy({name}={share!r}) is no share",
                    hint=f"declare a {name} above 0 and up to 1",
                )
        if not self.psi_threshold > 0:
            raise UseCaseError(
                f"DriftPolicy(psi_threshold={self.psi_threshold!r}) calls every window drift",
                hint="declare a psi_threshold above 0; 0.25 is a major shift",
            )
        if not 0.5 < self.auc_threshold <= 1:
            raise UseCaseError(
                f"DriftPolicy(auc_threshold={self.auc_threshold!r}) is no limit",
                hint="declare an auc_threshold above 0.5, which is guessing, and up to 1",
            )
        for name, least in (("min_features", 1), ("min_rows", 1), ("bins", 2), ("sample_rows", 0)):
            number = getattr(self, name)
            if number < least:
                raise UseCaseError(
                    f"DriftPolicy({name}={number!r}) is too small", hint=f"declare at least {name}={least}"
                )
        if self.window <= timedelta(0):
            raise UseCaseError(
                f"DriftPolicy(window={self.window!r}) is no period",
                hint="declare a window of positive length",
            )


@dataclass(frozen=True)
class QuietHours:
    """Hours of a day in which no retrain is decided, from `start` up to, not including, `end`.

    Both are wall clock times in the time zone `zone` (a name of the IANA database), so the hours follow
    summer time: in the night in which clocks go back, quiet hours last an hour longer. An `end` that is not
    after `start` lies on the next day. `days` are the days on which quiet hours begin, 0 for Monday to 6 for
    Sunday. Raises UseCaseError.
    """

    start: time
    end: time
    zone: str = "UTC"
    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            if getattr(self, name).tzinfo is not None:
                raise UseCaseError(
                    f"the {name} of quiet hours has a time zone of its own",
                    hint=f"give a plain time, such as {name}=time(22), and the zone in zone=...",
                )
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            hint = suggest_name(self.zone, available_timezones(), "give a name such as Europe/Berlin or UTC")
            raise UseCaseError(f"the zone of quiet hours is {self.zone!r}", hint=hint) from None
        if not self.days or not set(self.days) <= set(range(7)):
            raise UseCaseError(
                f"the days of quiet hours are {self.days!r}",
                hint="give numbers from 0 for Monday to 6 for Sunday, such as days=(5, 6)",
            )


@dataclass(frozen=True)
class RetrainPolicy:
    """When a champion is retrained, and on which rows.

    Triggers, each of which alone is a reason to retrain:
    `on_drift`: inputs or answers drifted (severity "drift" of `DriftPolicy`). `on_new_data`: an ingest loaded
    rows. `on_realised_drop`: the outcomes that came show that the champion has become worse.
    `on_estimated_drop`: the estimate without outcomes shows it, where the estimate has been right so far.
    `on_growth`: the champion was trained when fewer than `enough_rows` labelled rows were known of the time
    since a change, and `on_growth` times as many are known by now; 0 for never. `every`: so much time has
    passed since the last training. A retrain that a person asks for (manual) always is one.

    Evidence: `min_drop` is the smallest drop that matters, in units of the metric, and for numbers in
    standard deviations of the label: 0.01 is one wrong answer more in a hundred than the model's own
    probabilities lead one to expect. A realised drop counts when the cumulated sum of what was lost beyond
    half of it exceeds `drop_limit` standard deviations of the mean of the rows learned between two checks
    (CUSUM: Page, Biometrika, 1954), an estimated one when the whole band lies beyond it. Evidence of fewer
    than `min_sample` rows does not count. Drift and estimated drop count when `breaches` checks in succession
    show them. Drift is no reason where outcomes since it began are known, which then show a drop or none, nor
    while labels come within `label_patience` and those of its time are still to come.

    Limits, each of which alone forbids a retrain that nobody asked for by hand:
    `cooldown` after a promotion or a decision to retrain. `weekly_budget` retrains within any seven days;
    None for no limit. `quiet_hours`. `min_new_labels` labels that no training has seen. After a candidate
    that was rejected or a training that failed, `backoff`, doubled with each further one in succession up to
    `backoff_limit`. With `cost`, which is what a retrain costs in units of the metric times predictions (for
    accuracy: in wrong answers), no retrain whose expected gain over the next `horizon` is smaller. One
    training runs at a time: a check decides on none while a retraining is under way, and one that a person,
    the schedule or new data start waits for its turn.

    `window` is how far back training rows reach: a duration, "all" (None means the same), "since_drift": to
    when drift or drop began, or "validated": whichever of all, `candidate_windows` and since the drift began
    has the smallest loss on the newest rows, as many as `validation_share` of the smallest of them. Raises
    UseCaseError.
    """

    on_drift: bool = True
    on_new_data: bool = False
    cooldown: timedelta = timedelta(0)
    window: timedelta | WindowRule | None = "validated"
    on_realised_drop: bool = True
    on_estimated_drop: bool = True
    on_growth: float = 8.0
    enough_rows: int = 5_000
    every: timedelta | None = None
    min_drop: float = 0.01
    drop_limit: float = 6.0
    min_sample: int = 100
    label_patience: timedelta = timedelta(days=14)
    breaches: int = 1
    weekly_budget: int | None = None
    quiet_hours: tuple[QuietHours, ...] = ()
    min_new_labels: int = 0
    backoff: timedelta = timedelta(days=1)
    backoff_limit: timedelta = timedelta(days=30)
    cost: float | None = None
    horizon: timedelta = timedelta(days=30)
    candidate_windows: tuple[timedelta, ...] = (timedelta(days=90), timedelta(days=30))
    validation_share: float = 0.2

    def __post_init__(self) -> None:
        if isinstance(self.window, str):
            check_choice(self.window, WindowRule, "the window of a retrain policy")
        elif self.window is not None and self.window <= timedelta(0):
            _refuse("window", self.window, "give a duration, such as timedelta(days=180), or None for all")
        if isinstance(self.quiet_hours, QuietHours):
            raise UseCaseError(
                "the retrain policy's quiet_hours is not a tuple",
                hint="write quiet_hours=(QuietHours(...),)",
            )
        for name in ("cooldown", "backoff", "backoff_limit", "label_patience"):
            if getattr(self, name) < timedelta(0):
                _refuse(name, getattr(self, name), "give timedelta(0) or more")
        for name in ("every", "horizon"):
            value = getattr(self, name)
            if value is not None and value <= timedelta(0):
                _refuse(name, value, "give a duration, such as timedelta(days=30)")
        if any(window <= timedelta(0) for window in self.candidate_windows):
            _refuse("candidate_windows", self.candidate_windows, "give durations such as timedelta(days=30)")
        if self.backoff_limit < self.backoff:
            _refuse("backoff_limit", self.backoff_limit, f"give at least the backoff, {self.backoff}")
        for name, least in (
            ("min_sample", 1),
            ("breaches", 1),
            ("min_new_labels", 0),
            ("enough_rows", 0),
            ("weekly_budget", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                _refuse(name, value, f"give {least} or more")
        for name in ("min_drop", "drop_limit", "cost"):
            value = getattr(self, name)
            if value is not None and not (value >= 0.0 and math.isfinite(value)):
                _refuse(name, value, "give a finite number from 0 on")
        if self.on_growth and not 1.0 < self.on_growth < math.inf:
            _refuse("on_growth", self.on_growth, "give a factor above 1, such as 2, or 0 for never")
        if not 0.0 < self.validation_share < 1.0:
            _refuse("validation_share", self.validation_share, "give a share between 0 and 1, such as 0.2")

    @property
    def fixed_window(self) -> timedelta | None:
        """The declared duration of the training window; None where it is "all" or chosen at the retrain."""
        return self.window if isinstance(self.window, timedelta) else None


def _refuse(name: str, value: object, hint: str) -> NoReturn:
    raise UseCaseError(f"the retrain policy's {name} is {value}", hint=hint)


@dataclass(frozen=True)
class Serving:
    """The service's preferred port, the greatest number of rows in a request, and how long the rows of the
    prediction log and their outcomes are kept.

    Predictions are written to a spool on the service's disk before they are answered. With the durability
    "process" they survive the end of every process, with "power" also that of the machine. `spool_mb` is what
    all workers on that disk may leave there while MariaDB takes none, in 10**6 bytes, those that have ended
    included; then predictions are refused, or with `spool_full="drop_oldest"` the oldest are dropped.
    """

    port: int = 3000
    max_batch: int = 100_000
    retention: timedelta = timedelta(days=90)
    durability: Literal["process", "power"] = "process"
    spool_mb: int = 2000
    spool_full: Literal["refuse", "drop_oldest"] = "refuse"


@dataclass(frozen=True)
class Schedules:
    """A cron expression or an Airflow preset per DAG; None means on request only (training also by
    `RetrainPolicy`)."""

    ingest: str | None = "@daily"
    train: str | None = None
    monitor: str | None = "@daily"
    score: str | None = None
