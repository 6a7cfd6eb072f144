"""A version on trial that hangs, is slow, wrong or raises: requests are answered, and the trial ends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evergreen.errors import PredictionLogFull
from evergreen.model.loaded_model import LoadedModel
from evergreen.serving.fast.fast_path import FastPath, RequestLabels
from evergreen.serving.http.examples import draw_requests
from evergreen.serving.runtime import Runtime
from evergreen.serving.trial import arm as arm_module
from evergreen.serving.trial.prediction_thread import PredictionThread, TrialOver
from evergreen.serving.trial.trials import Trials
from evergreen.settings import Settings
from evergreen.usecase import TrialLimits, UseCase
from support.answering import answering, fit
from support.trials import Trialbook, build_trial, take_part
from support.waiting import eventually

SHORT = TrialLimits(answer_ms=50.0)
LONG = TrialLimits(answer_ms=60_000.0, min_rows=20)
LABELS = RequestLabels("online")
REASON = "it has not answered within 0.05 s"


class Held:
    """A challenger's model whose predictions wait until the test lets them go."""

    def __init__(self, model: Any) -> None:
        self.may_go_on = threading.Event()
        self.entered = threading.Event()
        self._model = model

    def predict(self, pool: Any, **options: Any) -> Any:
        self.entered.set()
        assert self.may_go_on.wait(60)
        return self._model.predict(pool, **options)


class Answering:
    """A challenger's model that answers what the test says."""

    def __init__(self, shares: Callable[[int], Any]) -> None:
        self._shares = shares

    def predict(self, pool: Any, **_: Any) -> Any:
        return self._shares(pool.num_row())


def build_raising(_: int) -> Any:
    raise ArithmeticError


@pytest.fixture
def logged() -> list[Any]:
    return []


@pytest.fixture
def runtime(parcel: UseCase, tmp_path: Path, logged: list[Any]) -> Runtime:
    settings = Settings(home=tmp_path / "home", use_cases=str(tmp_path / "usecases"))
    return answering(settings, parcel, fit(parcel), logged)


@pytest.fixture
def challenger(parcel: UseCase) -> LoadedModel:
    return replace(fit(parcel, seed=2), version=2)


@pytest.fixture
def held(challenger: LoadedModel) -> Iterator[Held]:
    held = Held(challenger.model)
    yield held
    held.may_go_on.set()


@pytest.fixture
def rows(runtime: Runtime, parcel: UseCase) -> list[Any]:
    drawn = draw_requests(parcel, 60, seed=3)
    return runtime.list_values([{**values, "parcel_id": n} for n, values in enumerate(drawn)])


async def ask_all(runtime: Runtime, rows: list[Any]) -> list[Any]:
    path = FastPath(runtime)
    return [json.loads(answer) for answer in await asyncio.gather(*(path.predict(r, LABELS) for r in rows))]


def read_end(trials: Trials, book: Trialbook) -> tuple[str | None, str]:
    assert trials.running is None
    trials.watch.check()
    ((_, outcome, reason),) = book.ends
    return outcome, reason


def test_the_champion_answers_at_once_while_the_challenger_hangs_and_then_for_it_too(
    runtime: Runtime, challenger: LoadedModel, held: Held, rows: list[Any], logged: list[Any]
) -> None:
    book = Trialbook(build_trial(limits=TrialLimits(answer_ms=60_000.0)), replace(challenger, model=held))
    trials = take_part(runtime, book)
    running = trials.running
    assert running is not None
    by_champion = [row for row in rows if running.find_arm(row, "") is None]
    by_challenger = [row for row in rows if running.find_arm(row, "") is not None]
    path = FastPath(runtime)

    async def talk() -> tuple[list[Any], list[Any]]:
        waiting = [asyncio.ensure_future(path.predict(row, LABELS)) for row in by_challenger]
        await asyncio.to_thread(held.entered.wait, 30)
        # None of these is held up, though the challenger never comes back.
        own = await asyncio.gather(*(path.predict(row, LABELS) for row in by_champion))
        assert not any(future.done() for future in waiting)
        held.may_go_on.set()
        return list(own), list(await asyncio.gather(*waiting))

    own, others = asyncio.run(talk())
    assert {json.loads(answer)["model_version"] for answer in own} == {1}
    assert {json.loads(answer)["model_version"] for answer in others} == {2}
    assert [json.loads(answer)["parcel_id"] for answer in others] == [row[0] for row in by_challenger]
    assert {line.channel: line.model_version for line in logged} == {"online": 1, "challenger": 2}
    trials.stop()


def test_what_is_over_the_limit_is_answered_by_the_champion_and_ends_the_trial(
    runtime: Runtime, challenger: LoadedModel, held: Held, rows: list[Any], logged: list[Any]
) -> None:
    book = Trialbook(build_trial(share=1.0, limits=SHORT), replace(challenger, model=held))
    trials = take_part(runtime, book)
    bodies = asyncio.run(ask_all(runtime, rows))
    assert {body["model_version"] for body in bodies} == {1}
    assert [body["parcel_id"] for body in bodies] == list(range(60))
    assert read_end(trials, book) == ("failed", REASON)
    # What comes back too late is no answer, and is not logged.
    held.may_go_on.set()
    assert {body["model_version"] for body in asyncio.run(ask_all(runtime, rows[:5]))} == {1}
    assert {(line.channel, line.model_version) for line in logged} == {("online", 1)}
    assert len(logged) == 65


def test_a_large_request_waits_no_longer_either(
    runtime: Runtime, challenger: LoadedModel, held: Held, rows: list[Any], logged: list[Any]
) -> None:
    book = Trialbook(build_trial(limits=SHORT), replace(challenger, model=held))
    trials = take_part(runtime, book)
    document = json.loads(runtime.answer_many(rows, "online"))
    assert [body["parcel_id"] for body in document["predictions"]] == list(range(60))
    assert {body["model_version"] for body in document["predictions"]} == {1}
    assert len(logged) == 60
    assert read_end(trials, book) == ("failed", REASON)


def test_a_shadow_that_hangs_ends_its_trial(
    runtime: Runtime,
    challenger: LoadedModel,
    held: Held,
    rows: list[Any],
    logged: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(arm_module, "monotonic", lambda: now[0])
    book = Trialbook(build_trial(mode="shadow", limits=SHORT), replace(challenger, model=held))
    trials = take_part(runtime, book)
    assert {body["model_version"] for body in asyncio.run(ask_all(runtime, rows))} == {1}
    assert held.entered.wait(30)
    trials.watch.check()
    assert book.ends == []
    now[0] = 0.06
    monkeypatch.setattr("evergreen.serving.trial.shadow._END_SECONDS", 0.01)
    trials.watch.check()
    assert read_end(trials, book) == ("failed", REASON)
    held.may_go_on.set()
    assert {line.channel for line in logged} == {"online"}


@pytest.mark.parametrize("mode", ["canary", "shadow", "ab"])
@pytest.mark.parametrize(
    ("shares", "words"),
    [
        (build_raising, "the last time by ArithmeticError"),
        (lambda n: np.full((n, 2), np.nan), "the last time by an answer that is not finite"),
        (lambda n: np.tile([0.0, 1.0], (n, 1)), "the distance of its predictions from the champion's is"),
    ],
    ids=["raises", "not finite", "wrong"],
)
def test_a_bad_challenger_ends_its_trial_at_the_next_look(
    runtime: Runtime,
    challenger: LoadedModel,
    rows: list[Any],
    mode: str,
    shares: Callable[[int], Any],
    words: str,
) -> None:
    model = replace(challenger, model=Answering(shares))
    book = Trialbook(build_trial(mode=mode, limits=LONG), model)
    trials = take_part(runtime, book)
    bodies = asyncio.run(ask_all(runtime, rows))
    assert [body["parcel_id"] for body in bodies] == list(range(60))

    def has_ended() -> bool:
        trials.watch.check()
        return bool(book.ends)

    eventually(has_ended)
    outcome, reason = book.ends[0][1:]
    assert outcome == "failed"
    assert words in reason


def test_a_slow_challenger_ends_its_trial(
    runtime: Runtime, challenger: LoadedModel, rows: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = TrialLimits(latency_ms=0.0, latency_ratio=0.0, answer_ms=60_000.0)
    book = Trialbook(build_trial(limits=limits), challenger)
    trials = take_part(runtime, book)
    for row in rows:
        asyncio.run(ask_all(runtime, [row]))
        if trials.running is None:
            break
    outcome, reason = read_end(trials, book)
    assert outcome == "failed"
    assert reason.startswith("its predictions take ")


def test_a_full_log_refuses_the_challengers_answers_and_is_no_fault_of_it(
    runtime: Runtime, challenger: LoadedModel, rows: list[Any]
) -> None:
    trials = take_part(runtime, Trialbook(build_trial(share=1.0), challenger))

    def refuse(*_: Any) -> None:
        raise PredictionLogFull("the disk is full")

    runtime.spool.append = refuse  # type: ignore[method-assign]
    with pytest.raises(PredictionLogFull):
        asyncio.run(ask_all(runtime, rows[:3]))
    assert trials.running is not None
    assert trials.running.count_rows()["failed"] == 0
    trials.stop()


def test_calls_that_wait_when_a_trial_ends_are_given_up(runtime: Runtime) -> None:
    thread = PredictionThread("test")
    waiting = thread.submit(lambda: pytest.fail("it must not be done"))
    thread.stop()
    late = thread.submit(lambda: pytest.fail("it must not be done"))
    for future in (waiting, late):
        with pytest.raises(TrialOver):
            future.result(10)
