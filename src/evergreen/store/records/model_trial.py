"""Trials of registered versions in service, as MariaDB keeps them: one row each, closed once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from evergreen.documents import JsonObject, write_document
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.predictions.channels import CHALLENGER, SHADOW
from evergreen.store.tables.platform import MODEL_TRIAL
from evergreen.usecase import TrialLimits, TrialMode

# "passed": its time is over and no limit was broken. "no_verdict": the same, with too few rows. "failed": the
# challenger broke a limit, or could not be loaded. "stopped": a person ended it, or another version became
# champion.
TrialOutcome = Literal["passed", "no_verdict", "failed", "stopped"]


@dataclass(frozen=True)
class ModelTrial:
    """A trial of a version of a use case's model beside the champion. Moments are aware UTC.

    An A/B test may have a second version on trial, its rival; otherwise the challenger is compared with the
    champion. `share` is the share of the keys that each version on trial answers. `ended_at`, `outcome`,
    `reason` and `ended_by` are None while it runs.
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
    rival_version: int | None = None
    rival_run_id: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether nobody has ended it yet."""
        return self.ended_at is None

    @property
    def versions_on_trial(self) -> tuple[int, ...]:
        """The challenger, and its rival where it has one."""
        return (self.challenger_version, *([self.rival_version] if self.rival_version else ()))

    @property
    def challenger_channel(self) -> str:
        """The channel of the prediction log that has the answers of the versions on trial."""
        return SHADOW if self.mode == "shadow" else CHALLENGER

    def describe(self) -> str:
        """The trial in a few words, such as "v3 as canary for 10 % of the keys beside v2"."""
        challenger, champion = f"v{self.challenger_version}", f"v{self.champion_version}"
        share = f"for {100 * self.share:.3g} % of the keys"
        if self.rival_version is not None:
            return f"{challenger} against v{self.rival_version}, each {share}, beside {champion}"
        if self.mode == "shadow":
            return f"{challenger} in shadow beside {champion}"
        how = "as canary" if self.mode == "canary" else "in an A/B test"
        return f"{challenger} {how} {share} beside {champion}"

    def to_json(self) -> JsonObject:
        """The fields by their names."""
        return write_document(self)


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


def find_running_trial(engine: sa.Engine, use_case_name: str) -> ModelTrial | None:
    """The trial of that use case that runs, if there is one; there is one at most."""
    c = MODEL_TRIAL.c
    statement = sa.select(MODEL_TRIAL).where(c.use_case == use_case_name, c.ended_at.is_(None))
    trials = _read_trials(engine, statement.order_by(c.started_at.desc()).limit(1))
    return trials[0] if trials else None


def find_last_trial(engine: sa.Engine, use_case_name: str, version: int, run_id: str) -> ModelTrial | None:
    """The newest trial of that version of that MLflow run."""
    c = MODEL_TRIAL.c
    statement = sa.select(MODEL_TRIAL).where(
        c.use_case == use_case_name, c.challenger_version == version, c.challenger_run_id == run_id
    )
    trials = _read_trials(engine, statement.order_by(c.started_at.desc()).limit(1))
    return trials[0] if trials else None


def read_trials(engine: sa.Engine, use_case_name: str, limit: int = 10) -> list[ModelTrial]:
    """The newest trials of a use case, newest first."""
    c = MODEL_TRIAL.c
    statement = sa.select(MODEL_TRIAL).where(c.use_case == use_case_name).order_by(c.started_at.desc())
    return _read_trials(engine, statement.limit(limit))


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
