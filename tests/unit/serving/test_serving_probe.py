"""Probe requests: which rows are sent, and what counts as a good answer."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from evergreen.model.predictions import Answer
from evergreen.serving import probe
from evergreen.serving.probe import describe_difference
from evergreen.settings import Settings
from evergreen.usecase import UseCase

OWN = Answer("no", 0.75, {"no": 0.75, "yes": 0.25})


def served(version: int = 3, **changes: Any) -> Any:
    return {"prediction_id": "x", "model_version": version, **asdict(OWN), **changes}


def test_the_same_answer_is_no_difference() -> None:
    assert describe_difference(served(), OWN, 3) == ""
    tiny = {"no": 0.75 + 1e-12, "yes": 0.25 - 1e-12}
    assert describe_difference(served(probabilities=tiny), OWN, 3) == ""


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (served(version=2), "version 2 answered instead of 3"),
        (served(prediction="yes"), "'yes' instead of 'no'"),
        (served(probabilities={"no": 0.7501, "yes": 0.2499}), "differ by up to 0.0001"),
    ],
)
def test_another_answer_is_described(answer: Any, says: str) -> None:
    assert says in describe_difference(answer, OWN, 3)


def test_numbers_are_compared_relative_to_their_size() -> None:
    def number(value: float) -> Any:
        return {"prediction_id": "x", "model_version": 1, "prediction": value}

    assert describe_difference(number(1e9 + 1e-4), Answer(1e9), 1) == ""
    assert describe_difference(number(2.1), Answer(2.0), 1) != ""


def test_logged_rows_that_a_rule_of_today_refuses_are_not_sent(
    toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = {"client_id": 1, "age": 40, "visits": 3, "spend": None, "segment": "web", "mood": "new"}
    logged = [sound, sound | {"age": 130}, sound | {"visits": None}, sound | {"segment": "fax"}]
    monkeypatch.setattr(probe, "get_engine", lambda _: None)
    monkeypatch.setattr(probe, "read_recent_inputs", lambda *_, **__: logged)
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert probe.collect_probe_rows(Settings(), toy_use_case, 1, now)[probe.DRAWN_PROBE_ROWS :] == [sound]
    (view,) = toy_use_case.views
    features = tuple(replace(feature, severity="warning") for feature in view.features)
    guessed = replace(toy_use_case, views=(replace(view, features=features),))
    assert probe.collect_probe_rows(Settings(), guessed, 1, now)[probe.DRAWN_PROBE_ROWS :] == logged


def test_a_report_goes_through_json_and_says_what_was_bad() -> None:
    report = probe.ProbeReport(3, 100, 1, 2, ("age is missing", "'no' instead of 'yes'"))
    assert probe.ProbeReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert not report.passed
    assert report.describe() == (
        "of 100 probe rows 1 failed and 2 differed: age is missing; 'no' instead of 'yes'"
    )
    assert replace(report, errors=0, mismatches=0).passed


def test_a_probe_is_sent_with_a_header_that_a_service_of_an_earlier_version_takes(
    toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels: list[str] = []

    class Client:
        def __init__(self, _: Settings, url: str, *, channel: str) -> None:
            channels.append(channel)

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    nothing = SimpleNamespace(list_answers=list)
    monkeypatch.setattr(probe, "open_own_client", Client)
    monkeypatch.setattr(probe, "load_recorded_model", lambda *_: None)
    monkeypatch.setattr(probe, "build_columns_from_rows", lambda *_: {})
    monkeypatch.setattr(probe, "predict_rows", lambda *_: nothing)
    probe.send_probe_requests(Settings(), toy_use_case, "http://service", 3, [])
    # Versions before the name "probe" answer any other value of the header with an error, and a champion
    # whose probes fail is withdrawn.
    assert channels == ["canary"]
