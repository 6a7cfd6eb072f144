"""The policies of a use case: when drift is found, when it is retrained, how it is served and scheduled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True)
class DriftPolicy:
    """Drift is found when at least `min_features` features have a population stability index (PSI) of
    `psi_threshold` or more.

    The PSI is computed over `bins` reference quantiles; 0.1 is commonly read as a small shift and 0.25 as a
    major one (Siddiqi, Credit Risk Scorecards, 2006). With fewer than `min_rows` predictions in the last
    `window` there is no verdict.
    """

    psi_threshold: float = 0.25
    min_features: int = 2
    min_rows: int = 500
    window: timedelta = timedelta(days=7)
    bins: int = 10


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
