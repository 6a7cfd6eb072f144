"""How a use case is trained, judged, watched and served."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Tuning:
    """The search space (inclusive ranges) and its budget; the search stops at whichever budget ends first."""

    trials: int = 8
    seconds: float = 120.0
    depth: tuple[int, int] = (4, 8)
    l2_leaf_reg: tuple[float, float] = (1.0, 10.0)
    learning_rate: tuple[float, float] = (0.03, 0.3)
    iterations: int = 400
    early_stopping_rounds: int = 30
    seed: int = 7


@dataclass(frozen=True)
class Gate:
    """What a candidate must pass: beat the champion (or, if none, the baseline) on `metric` by `margin`,
    and reach `floor` if one is set. Where less is better (log_loss, rmse, mae) that is heeded.

    `baseline_margin` takes the place of `margin` against the baseline; a negative one allows a first model
    that a small hold-out puts a little behind it by chance.
    """

    metric: str = "accuracy"
    margin: float = 0.0
    baseline_margin: float | None = None
    floor: float | None = None


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
    """Cron expressions or Airflow presets; None means on request only."""

    ingest: str | None = "@daily"
    monitor: str | None = "@daily"
    score: str | None = None
