"""What a backtest is asked to do, and the parameters of its models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from evergreen.backtest.dates import DAY
from evergreen.backtest.policies import DEFAULT_BESIDE, NamedPolicy, parse_policy
from evergreen.errors import SettingsError
from evergreen.store.records.training_run import find_last_parameters
from evergreen.training.fit.parameters import Parameters, ParameterValue
from evergreen.usecase import UseCase
from evergreen.usecase.names import suggest_name
from evergreen.usecase.tuning import NAMED_PARAMETERS, SEARCHABLE_PARAMETERS, WHOLE_PARAMETERS

MIDDLE, LAST = "middle", "last"

ClockChoice = Literal["auto", "ingested", "event"]


@dataclass(frozen=True)
class BacktestOptions:
    """`start` and `end` are aware UTC; None: as the rows allow. `every` is the time between checks.

    `policies` are replayed as the ones to judge, `beside` for comparison, both by their names (see
    `parse_policy`). `parameters`: "middle" (of the search space), "last" (those of the newest training), or
    NAME=VALUE,... on top of the middle. `output` is where the page goes; None: under the home.
    """

    start: datetime | None = None
    end: datetime | None = None
    every: timedelta = DAY
    policies: tuple[str, ...] = ("declared",)
    beside: tuple[str, ...] = DEFAULT_BESIDE
    clock: ClockChoice = "auto"
    parameters: str = MIDDLE
    output: Path | None = None


def list_policies(use_case: UseCase, options: BacktestOptions) -> list[NamedPolicy]:
    """The policies of a backtest, each name once. Raises SettingsError for an unknown one and for none."""
    names = dict.fromkeys(name.strip() for name in (*options.policies, *options.beside) if name.strip())
    if not names:
        raise SettingsError("there is no policy to replay", hint="name one with --policy, such as declared")
    return [parse_policy(name, use_case.retrain, options.every) for name in names]


def choose_parameters(database: sa.Engine, use_case: UseCase, choice: str) -> tuple[Parameters, str]:
    """CatBoost's parameters for all fits, without the number of trees, and where they come from, in words.

    Raises SettingsError for a parameter that is none, and where there was no training for "last".
    """
    middle: dict[str, ParameterValue] = {each.parameter: each.middle for each in use_case.tuning.space}
    if choice == MIDDLE:
        return middle, "the middle of the declared search space; nothing was searched"
    if choice == LAST:
        last = find_last_parameters(database, use_case.name)
        if last is None:
            raise SettingsError(
                f"{use_case.name} has no training whose parameters could be taken",
                hint="leave --parameters out: the middle of the search space is taken",
            )
        parameters = {name: value for name, value in last.items() if name != "iterations"}
        return parameters, "those that the newest training's search found; nothing was searched"
    changes = dict(_parse_parameter(assignment) for assignment in choice.split(","))
    return {**middle, **changes}, f"the middle of the declared search space, but {choice}"


def _parse_parameter(text: str) -> tuple[str, ParameterValue]:
    name, sign, value = (side.strip() for side in text.partition("="))
    if not sign:
        hint = "give middle, last, or NAME=VALUE,..."
        raise SettingsError(f"{text!r} names no parameters", hint=suggest_name(name, (MIDDLE, LAST), hint))
    if name not in SEARCHABLE_PARAMETERS:
        choices = f"choose from {', '.join(sorted(SEARCHABLE_PARAMETERS))}"
        hint = suggest_name(name, SEARCHABLE_PARAMETERS, choices)
        raise SettingsError(f"{name!r} is no parameter that can be given", hint=hint)
    if name in NAMED_PARAMETERS:
        return name, value
    try:
        number = int(value) if name in WHOLE_PARAMETERS else float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        kind = "a whole number" if name in WHOLE_PARAMETERS else "a number"
        raise SettingsError(f"{name}={value} is not {kind}", hint=f"write {name}=6, say")
    return name, number
