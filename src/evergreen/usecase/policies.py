"""The policies of a use case: when drift is found, when it is retrained, how it is served and scheduled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from evergreen.errors import UseCaseError


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
class RetrainPolicy:
    """When a champion is retrained: after drift (`on_drift`), or when an ingest has loaded rows
    (`on_new_data`).

    Within `cooldown` after a promotion or a decision to retrain, drift starts no other training. `window` is
    how far back training rows reach; None for all.
    """

    on_drift: bool = True
    on_new_data: bool = False
    cooldown: timedelta = timedelta(0)
    window: timedelta | None = None


@dataclass(frozen=True)
class Serving:
    """The service's preferred port, the greatest number of rows in a request, and how long the rows of the
    prediction log and their outcomes are kept.

    Predictions are written to a spool on the service's disk before they are answered. With the durability
    "process" they survive the end of every process, with "power" also that of the machine. `spool_mb` is what
    each worker may leave there while MariaDB takes none, in 10**6 bytes; then predictions are refused, or
    with `spool_full="drop_oldest"` the oldest are dropped.
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
