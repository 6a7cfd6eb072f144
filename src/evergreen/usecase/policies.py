"""How a use case is watched, retrained, served and scheduled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class DriftPolicy:
    """Drift is found when at least `min_features` features have a PSI of `psi_threshold` or more.

    PSI over `bins` reference quantiles; 0.1 is commonly read as a small shift and 0.25 as a major one
    (Siddiqi, Credit Risk Scorecards, 2006). Fewer than `min_rows` predictions in the window: no verdict.
    """

    psi_threshold: float = 0.25
    min_features: int = 2
    min_rows: int = 500
    window: timedelta = timedelta(days=7)
    bins: int = 10


@dataclass(frozen=True)
class RetrainPolicy:
    """When to retrain, on how much history, and how long to leave a fresh champion alone."""

    on_drift: bool = True
    on_new_data: bool = False
    cooldown: timedelta = timedelta(0)
    window: timedelta | None = None


@dataclass(frozen=True)
class Serving:
    """The service's preferred port, and how long the prediction log is kept."""

    port: int = 3000
    max_batch: int = 10_000
    retention: timedelta = timedelta(days=90)


@dataclass(frozen=True)
class Schedules:
    """Cron expressions or Airflow presets; None means on request only (training also on drift, see
    `RetrainPolicy`)."""

    ingest: str | None = "@daily"
    train: str | None = None
    monitor: str | None = "@daily"
    score: str | None = None
