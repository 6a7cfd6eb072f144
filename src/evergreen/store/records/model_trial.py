"""Trials of a challenger beside the champion, as MariaDB keeps them: one row each, closed once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.predictions.channels import CHALLENGER, SHADOW, TRAFFIC
from evergreen.store.tables import declared
from evergreen.store.tables.platform import MODEL_TRIAL
from evergreen.usecase import TrialLimits, TrialMode, UseCase

# "passed": its time is over and no limit was broken. "no_verdict": the same, with too few rows. "failed": the
# challenger broke a limit, or could not be loaded. "stopped": a person ended it, or another version became
# champion.
TrialOutcome = Literal["passed", "no_verdict", "failed", "stopped"]


@dataclass(frozen=True)
class ModelTrial:
    """A trial of a version of a use case's model beside the champion. Moments are aware UTC.

    `share` is the share of the keys that a canary's challenger answers. `ended_at`, `outcome`, `reason` and
    `ended_by` are None while it runs.
    """

    id: str
    use_case: str
    mode: TrialMode
    champion_version: int
    challenger_version: int
    challenger_run_id: str
    share: float
    limits: TrialLimits
    started_at: datetime
    ends_at: datetime
    started_by: str
    ended_at: datetime | None = None
    outcome: TrialOutcome | None = None
    reason: str | None = None
    ended_by: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether nobody has ended it yet."""
        return self.ended_at is None

    @property
    def challenger_channel(self) -> str:
        """The channel of the prediction log that has the challenger's answers."""
        return CHALLENGER if self.mode == "canary" else SHADOW

    def describe(self) -> str:
        """The trial in a few words, such as "v3 as canary for 10 % of the keys beside v2"."""
        how = f"as canary for {100 * self.share:.3g} % of the keys" if self.mode == "canary" else "in shadow"
        return f"v{self.challenger_version} {how} beside v{self.champion_version}"

    def to_json(self) -> dict[str, str | int | float | datetime | dict[str, float] | None]:
        """The fields by name, moments as datetimes."""
        return {**vars(self), "limits": self.limits.to_json()}


@dataclass(frozen=True)
class TrialRows:
    """The logged rows of one version in a trial, and how many of them have each predicted class; no classes
    for numbers, of which `mean` is given."""

    version: int
    rows: int
    classes: dict[str, int]
    mean: float | None


def insert_trial(engine: sa.Engine, trial: ModelTrial) -> None:
    """Write a trial that begins."""
    values = {
        **vars(trial),
        "limits": json.dumps(trial.limits.to_json()),
        "started_at": to_naive_utc(trial.started_at),
        "ends_at": to_naive_utc(trial.ends_at),
    }
    with engine.begin() as connection:
        connection.execute(sa.insert(MODEL_TRIAL).values(values))


def close_trial(
    engine: sa.Engine, trial_id: str, *, at: datetime, outcome: TrialOutcome, reason: str, by: str
) -> None:
    """Close a trial, unless it is closed: the first end stands."""
    c = MODEL_TRIAL.c
    statement = (
        sa.update(MODEL_TRIAL)
        .where(c.id == trial_id, c.ended_at.is_(None))
        .values(ended_at=to_naive_utc(at), outcome=outcome, reason=reason, ended_by=by)
    )
    with engine.begin() as connection:
        connection.execute(statement)


def find_trial(engine: sa.Engine, trial_id: str) -> ModelTrial | None:
    """The trial of that id."""
    trials = _read_trials(engine, sa.select(MODEL_TRIAL).where(MODEL_TRIAL.c.id == trial_id))
    return trials[0] if trials else None


def find_running_trial(engine: sa.Engine, use_case: str) -> ModelTrial | None:
    """The trial of that use case that runs, if there is one; there is one at most."""
    c = MODEL_TRIAL.c
    statement = sa.select(MODEL_TRIAL).where(c.use_case == use_case, c.ended_at.is_(None))
    trials = _read_trials(engine, statement.order_by(c.started_at.desc()).limit(1))
    return trials[0] if trials else None


def find_last_trial(engine: sa.Engine, use_case: str, version: int, run_id: str) -> ModelTrial | None:
    """The newest trial of that version of that MLflow run."""
    c = MODEL_TRIAL.c
    statement = sa.select(MODEL_TRIAL).where(
        c.use_case == use_case, c.challenger_version == version, c.challenger_run_id == run_id
    )
    trials = _read_trials(engine, statement.order_by(c.started_at.desc()).limit(1))
    return trials[0] if trials else None


def read_trials(engine: sa.Engine, use_case: str, limit: int = 10) -> list[ModelTrial]:
    """The newest trials of a use case, newest first."""
    c = MODEL_TRIAL.c
    statement = sa.select(MODEL_TRIAL).where(c.use_case == use_case).order_by(c.started_at.desc())
    return _read_trials(engine, statement.limit(limit))


def count_trial_rows(engine: sa.Engine, use_case: UseCase, trial: ModelTrial) -> tuple[TrialRows, TrialRows]:
    """What the prediction log has of champion and challenger since the trial began and up to its end."""
    table = declared.build_prediction_table(use_case)
    is_challenger = table.c.channel == trial.challenger_channel
    is_number = not use_case.label.classes
    prediction = sa.literal("") if is_number else table.c.prediction
    mean = sa.func.avg(table.c.prediction) if is_number else sa.null()
    statement = (
        sa.select(is_challenger, prediction, sa.func.count(), mean)
        .where(
            table.c.predicted_at >= to_naive_utc(trial.started_at),
            table.c.channel.in_((*TRAFFIC, SHADOW)),
            sa.or_(
                sa.and_(is_challenger, table.c.model_version == trial.challenger_version),
                sa.and_(sa.not_(is_challenger), table.c.model_version == trial.champion_version),
            ),
        )
        .group_by(is_challenger, prediction)
    )
    if trial.ended_at is not None:
        statement = statement.where(table.c.predicted_at <= to_naive_utc(trial.ended_at))
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)

    def _collect(version: int, *, challenger: bool) -> TrialRows:
        own = [(name, int(count), average) for is_one, name, count, average in rows if is_one == challenger]
        return TrialRows(
            version,
            sum(count for _, count, _ in own),
            {} if is_number else {str(name): count for name, count, _ in own},
            float(own[0][2]) if is_number and own else None,
        )

    return (
        _collect(trial.champion_version, challenger=False),
        _collect(trial.challenger_version, challenger=True),
    )


def _read_trials(engine: sa.Engine, statement: sa.Select[Any]) -> list[ModelTrial]:
    with engine.connect() as connection:
        return [_parse_trial(row) for row in execute_if_table_exists(connection, statement)]


def _parse_trial(row: sa.Row[Any]) -> ModelTrial:
    values = dict(row._mapping)
    return ModelTrial(
        **{
            **values,
            "limits": TrialLimits.from_json(json.loads(values["limits"])),
            "started_at": to_aware_utc(values["started_at"]),
            "ends_at": to_aware_utc(values["ends_at"]),
            "ended_at": to_aware_utc(values["ended_at"]) if values["ended_at"] else None,
        }
    )
