"""A worker on trial: who answers which row, what is logged, and that a bad challenger harms no request."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils import uuid7

from evergreen.model.loaded_model import LoadedModel
from evergreen.serving.channels import PROBE_CHANNEL
from evergreen.serving.http.examples import draw_requests
from evergreen.serving.runtime import Runtime
from evergreen.serving.trial.key_share import KeyShare
from evergreen.serving.trial.trials import Trials
from evergreen.settings import Settings
from evergreen.store.predictions.prediction_id import derive_shadow_id, parse_prediction_time
from evergreen.usecase import TrialLimits, UseCase
from support.answering import answering, fit
from support.parcel_case import row
from support.trials import Trialbook, build_trial, take_part
from support.waiting import eventually

KEYS = st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20)
SHARES = st.floats(0.001, 1.0)
IDS = st.uuids().map(str)


class Faulty:
    """A challenger's model that the test lets fail: it raises, or answers NaN."""

    def __init__(self, fault: Exception | None = None, classes: int = 2) -> None:
        self.fault = fault
        self._classes = classes

    def predict(self, pool: Any, **_: Any) -> np.ndarray:
        if self.fault is not None:
            raise self.fault
        return np.full((pool.num_row(), self._classes), np.nan)


@pytest.fixture
def logged() -> list[Any]:
    return []


@pytest.fixture
def runtime(parcel: UseCase, tmp_path: Any, logged: list[Any]) -> Runtime:
    """Version 1 in service; what it logs goes to `logged`."""
    settings = Settings(home=tmp_path / "home", use_cases=str(tmp_path / "usecases"))
    return answering(settings, parcel, fit(parcel), logged)


@pytest.fixture
def challenger(parcel: UseCase) -> LoadedModel:
    return replace(fit(parcel, seed=2), version=2)


def answer(runtime: Runtime, rows: list[dict[str, Any]], channel: str = "online") -> list[Any]:
    return list(runtime.answer_rows(rows, channel))


def build_rows(use_case: UseCase, count: int) -> list[dict[str, Any]]:
    return [{**values, "parcel_id": n} for n, values in enumerate(draw_requests(use_case, count, seed=3))]


@given(trial=st.uuids(), key=KEYS, shares=st.tuples(SHARES, SHARES), ids=st.tuples(IDS, IDS))
def test_a_key_stays_with_its_version_and_a_greater_share_keeps_it(
    trial: uuid.UUID, key: Any, shares: tuple[float, float], ids: tuple[str, str]
) -> None:
    small, great = (KeyShare(str(trial), share, 1) for share in sorted(shares))
    assert small.find_version((key, 1.0), ids[0]) == small.find_version((key, None), ids[1])
    if small.find_version((key,), ids[0]) == 0:
        assert great.find_version((key,), ids[0]) == 0
    assert KeyShare(str(trial), 1.0, 1).find_version((key,), ids[0]) == 0


@given(trial=st.uuids(), share=SHARES)
def test_the_share_of_keys_is_the_declared_one(trial: uuid.UUID, share: float) -> None:
    keys = KeyShare(str(trial), share, 1)
    count = sum(keys.find_version((key,), "") == 0 for key in range(2_000))
    assert count / 2_000 == pytest.approx(share, abs=0.06)


def test_another_trial_has_other_keys_and_a_row_without_key_goes_by_its_id() -> None:
    one, other = (KeyShare(trial, 0.5, 2) for trial in ("one", "other"))
    rows = [(key, "a") for key in range(200)]
    assert [one.find_version(r, "") for r in rows] != [other.find_version(r, "") for r in rows]
    assert len({one.find_version((None, "a"), str(n)) for n in range(50)}) == 2
    assert len({one.find_version((7, "a"), str(n)) for n in range(50)}) == 1


@given(IDS.map(lambda _: str(uuid7())))
def test_a_shadows_id_leads_back_and_keeps_the_moment(prediction_id: str) -> None:
    shadow = derive_shadow_id(prediction_id)
    assert shadow != prediction_id
    assert derive_shadow_id(shadow) == prediction_id
    assert parse_prediction_time(shadow) == parse_prediction_time(prediction_id)
    assert uuid.UUID(shadow).version == 7


def test_a_batch_is_divided_and_answered_in_its_order(
    runtime: Runtime, parcel: UseCase, challenger: LoadedModel, logged: list[Any]
) -> None:
    rows = build_rows(parcel, 60)
    alone = [answer(runtime, rows), answer(replace_model(runtime, challenger), rows)]
    logged.clear()
    trials = take_part(replace_model(runtime, fit(parcel)), Trialbook(build_trial(), challenger))
    answers = answer(runtime, rows)
    versions = [body["model_version"] for body in answers]
    assert 10 <= versions.count(2) <= 50
    assert [body["parcel_id"] for body in answers] == list(range(60))
    for n, body in enumerate(answers):
        own = alone[versions[n] - 1][n]
        assert body["probabilities"] == pytest.approx(own["probabilities"], abs=1e-12)
    by_id = {line.prediction_id: line for line in logged}
    assert {
        (by_id[body["prediction_id"]].model_version, by_id[body["prediction_id"]].channel) for body in answers
    } == {(1, "online"), (2, "challenger")}
    assert [by_id[body["prediction_id"]].model_version for body in answers] == versions
    counts = Counter(versions)
    assert trials.describe()["rows"] == {  # type: ignore[index]
        "champion": counts[1],
        "challenger": counts[2],
        "failed": 0,
        "dropped": 0,
    }
    assert runtime.answered["challenger"] == counts[2]


def replace_model(runtime: Runtime, model: LoadedModel) -> Runtime:
    """Put another model into the runtime's service."""
    served = replace(runtime.slot.require(), model=model)
    runtime.slot.require = lambda: served  # type: ignore[method-assign]
    return runtime


def test_probes_are_the_champions_and_each_row_of_a_large_request_goes_by_its_key(
    runtime: Runtime, parcel: UseCase, challenger: LoadedModel, logged: list[Any]
) -> None:
    take_part(runtime, Trialbook(build_trial(), challenger))
    rows = build_rows(parcel, 2_100)
    assert {body["model_version"] for body in answer(runtime, rows[:9], PROBE_CHANNEL)} == {1}
    logged.clear()
    document = json.loads(runtime.answer_many(runtime.list_values(rows), "online"))
    assert document["model_version"] == 1
    bodies = document["predictions"]
    assert [body["parcel_id"] for body in bodies] == list(range(2_100))
    alone = [answer(runtime, [values])[0]["model_version"] for values in rows[::100]]
    assert [body["model_version"] for body in bodies[::100]] == alone
    assert 0.4 < sum(body["model_version"] == 2 for body in bodies) / 2_100 < 0.6
    by_id = {line.prediction_id: (line.model_version, line.channel) for line in logged}
    assert all(
        by_id[body["prediction_id"]]
        == (body["model_version"], "challenger" if body["model_version"] == 2 else "online")
        for body in bodies
    )


def test_a_shadow_takes_the_rows_of_large_requests_up_to_its_limit(
    runtime: Runtime, parcel: UseCase, challenger: LoadedModel, logged: list[Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr("evergreen.serving.trial.trials.MOST_WAITING_ROWS", 1_500)
    trials = take_part(runtime, Trialbook(build_trial(mode="shadow"), challenger))
    runtime.answer_many(runtime.list_values(build_rows(parcel, 2_500)), "online")
    eventually(lambda: sum(line.channel == "shadow" for line in logged) == 2_000)
    assert counts(trials) == {"champion": 2_000, "challenger": 2_000, "failed": 0, "dropped": 500}
    trials.stop()


def test_two_versions_of_an_ab_test_have_keys_of_their_own_and_the_champion_the_rest(
    runtime: Runtime, parcel: UseCase, challenger: LoadedModel, logged: list[Any]
) -> None:
    trial = build_trial(mode="ab", share=0.25, rival_version=3, rival_run_id="run-3")
    trials = take_part(runtime, Trialbook(trial, challenger))
    versions = [body["model_version"] for body in answer(runtime, build_rows(parcel, 400))]
    assert versions == [body["model_version"] for body in answer(runtime, build_rows(parcel, 400))]
    shares = Counter(versions)
    assert 50 < shares[2] < 150
    assert 50 < shares[3] < 150
    assert 150 < shares[1] < 250
    body = trials.describe()
    assert body is not None
    assert (body["challenger_version"], body["rival_version"]) == (2, 3)
    assert body["rows"] == {
        **{"champion": 2 * shares[1], "challenger": 2 * shares[2], "rival": 2 * shares[3]},
        **{"failed": 0, "dropped": 0},
    }
    assert {(line.model_version, line.channel) for line in logged} == {
        (1, "online"),
        (2, "challenger"),
        (3, "challenger"),
    }


def test_a_fault_of_one_version_of_an_ab_test_names_it(
    runtime: Runtime, parcel: UseCase, challenger: LoadedModel
) -> None:
    book = Trialbook(build_trial(mode="ab", rival_version=3), challenger)
    trials = take_part(runtime, book)
    running = trials.running
    assert running is not None
    running.arms[1].model = replace(running.arms[1].model, model=Faulty())
    assert {body["model_version"] for body in answer(runtime, build_rows(parcel, 50))} == {1, 2}
    trials.watch.check()
    assert book.ends[0][2].startswith("v3: it failed on ")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: Faulty(ValueError("7 is a customer's value")), "ValueError"),
        (Faulty, "an answer that is not finite"),
    ],
    ids=["raises", "is not finite"],
)
def test_a_challenger_that_fails_loses_no_request_and_ends_its_trial(
    runtime: Runtime,
    parcel: UseCase,
    challenger: LoadedModel,
    logged: list[Any],
    model: Callable[[], Faulty],
    words: str,
) -> None:
    book = Trialbook(build_trial(share=1.0), replace(challenger, model=model()))
    trials = take_part(runtime, book)
    rows = build_rows(parcel, 4)
    bodies = [answer(runtime, [values])[0] for values in rows]
    assert [body["model_version"] for body in bodies] == [1] * 4
    assert [line.channel for line in logged] == ["online"] * 4
    # The routing has ended before MariaDB knows of it.
    assert trials.running is None
    assert book.ends == []
    trials.watch.check()
    ((trial_id, outcome, reason),) = book.ends
    assert (trial_id, outcome) == ("trial-1", "failed")
    assert reason.startswith("it failed on 3 of 3 rows")
    assert words in reason
    assert "customer" not in reason


def test_a_shadow_answers_nobody_and_is_logged_beside(
    runtime: Runtime, parcel: UseCase, challenger: LoadedModel, logged: list[Any]
) -> None:
    trials = take_part(runtime, Trialbook(build_trial(mode="shadow"), challenger))
    bodies = answer(runtime, build_rows(parcel, 5))
    assert {body["model_version"] for body in bodies} == {1}
    eventually(lambda: len(logged) == 10)
    shadow = {line.prediction_id: line for line in logged if line.channel == "shadow"}
    for body in bodies:
        line = shadow[derive_shadow_id(body["prediction_id"])]
        assert (line.model_version, line.inputs["parcel_id"]) == (2, body["parcel_id"])
    trials.stop()


def test_a_shadow_that_raises_ends_by_itself(
    runtime: Runtime, parcel: UseCase, challenger: LoadedModel, logged: list[Any]
) -> None:
    book = Trialbook(build_trial(mode="shadow"), replace(challenger, model=Faulty(OSError("broken"))))
    trials = take_part(runtime, book)
    assert {body["model_version"] for body in answer(runtime, build_rows(parcel, 5))} == {1}
    eventually(lambda: trials.running is None)
    trials.watch.check()
    assert book.ends[0][1] == "failed"
    assert {line.channel for line in logged} == {"online"}


def test_the_metadata_names_the_trial(runtime: Runtime, challenger: LoadedModel) -> None:
    assert runtime.trials.describe() is None
    trials = take_part(runtime, Trialbook(build_trial(limits=TrialLimits(min_rows=1)), challenger))
    answer(runtime, [row()])
    trial = trials.describe()
    assert trial is not None
    assert (trial["mode"], trial["challenger_version"], trial["share"]) == ("canary", 2, 0.5)


def test_a_shadow_that_cannot_keep_up_leaves_rows_out_and_counts_them(
    runtime: Runtime, parcel: UseCase, challenger: LoadedModel, logged: list[Any]
) -> None:
    may_go_on = threading.Event()

    class Slow(Faulty):
        def predict(self, pool: Any, **options: Any) -> np.ndarray:
            assert may_go_on.wait(30)
            return np.asarray(challenger.model.predict(pool, **options))

    trials = take_part(runtime, Trialbook(build_trial(mode="shadow"), replace(challenger, model=Slow())))
    rows = build_rows(parcel, 100)
    for values in rows:
        answer(runtime, [values])
    may_go_on.set()
    eventually(lambda: counts(trials)["challenger"] + counts(trials)["dropped"] == 100)
    assert counts(trials)["dropped"] >= 30
    # Every row that was not left out is logged.
    eventually(lambda: sum(line.channel == "shadow" for line in logged) == counts(trials)["challenger"])
    trials.stop()


def counts(trials: Trials) -> dict[str, int]:
    body = trials.describe()
    assert body is not None
    return body["rows"]
