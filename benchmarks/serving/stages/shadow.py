"""A challenger that answers off the path, beside no trial."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
from benchmarks.common.result import Field
from benchmarks.serving.champion import register_champion
from benchmarks.serving.contender import Contender
from benchmarks.serving.outcome import Outcome, Stage, compare, skip
from benchmarks.serving.rounds import Size, take_turns
from benchmarks.serving.variants import PLAIN, WITHOUT_TRIALS, run_variant
from benchmarks.serving.world import World

from evergreen.loop.trial import end_running_trial, read_trial_report, start_declared_trial
from evergreen.stack.processes.ports import LOOPBACK

_TARGET = 0.6
_BEGIN_SECONDS = 30.0


def measure_shadow(world: World, size: Size) -> Outcome:
    """The challenger is the champion's own model under another version, so that it costs what that costs."""
    if reason := WITHOUT_TRIALS.missing:
        return Outcome([skip("shadow_cost", reason, _TARGET)])
    with run_variant(world, PLAIN) as trying, run_variant(world, WITHOUT_TRIALS) as resting:
        with _run_trial(world, trying):
            measured = take_turns(world, [trying, resting], size)
            rows = (_read_trial(trying) or {}).get("rows", {})
        ended_trial = read_trial_report(world.settings, world.use_case.name).trial
    seen = rows.get("challenger", 0)
    dropped = rows.get("dropped", 0)
    ended = (
        ""
        if rows
        else f"; THE TRIAL ENDED BEFORE: {ended_trial.reason if ended_trial else 'nobody knows why'}"
    )
    return Outcome(
        [
            compare(
                "shadow_cost",
                measured[PLAIN.name],
                measured[WITHOUT_TRIALS.name],
                f"requests/s with a shadow trial of the same model on / off, 16 connections{ended}",
                target=_TARGET,
            ),
            Field(
                "shadow_delivered_cost",
                measured[PLAIN.name].measure_delivered_rate()
                / measured[WITHOUT_TRIALS.name].measure_delivered_rate(),
                "the same until MariaDB had every prediction: the challenger's rows are shipped as well",
            ),
            Field(
                "shadow_seen",
                seen / (seen + dropped) if rows else 0.0,
                "share of the answered rows that the challenger predicted too; the rest was left out",
            ),
        ],
        {f"shadow_{name}": each for name, each in measured.items()},
    )


@contextmanager
def _run_trial(world: World, service: Contender) -> Iterator[None]:
    """A shadow trial that the service takes part in; ended if nobody has ended it meanwhile."""
    name = world.use_case.name
    challenger = register_champion(world.settings, world.use_case, world.model, world.folder)
    start_declared_trial(world.settings, name, challenger, mode="shadow", duration=timedelta(days=1))
    deadline = time.monotonic() + _BEGIN_SECONDS
    while _read_trial(service) is None:
        if time.monotonic() > deadline:
            raise SystemExit("the service does not take part in the trial")
        time.sleep(0.2)
    yield
    report = read_trial_report(world.settings, name)
    if report.trial is not None and report.trial.is_running:
        end_running_trial(world.settings, name, reason="measured")


def _read_trial(service: Contender) -> dict[str, Any] | None:
    """What the service has seen of the trial; None while it takes part in none."""
    with httpx.Client(trust_env=False, timeout=10.0) as client:
        body = client.get(f"http://{LOOPBACK}:{service.port}/metadata").json()
    trial: dict[str, Any] | None = body["trial"]
    return trial


STAGE = Stage("a shadow trial", ("shadow_cost", "shadow_seen"), measure_shadow)
