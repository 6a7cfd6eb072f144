"""A scored file has for each row the service's answer, or why there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evergreen.errors import ModelRefused, ValidationFailed
from evergreen.model.loaded_model import LoadedModel
from evergreen.scoring import file
from evergreen.scoring.file import score_file
from evergreen.serving.http.examples import draw_requests
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from support.answering import answering, fit
from support.parcel_case import declare


class Scoring:
    """The parcel case with a model and no server; `source` is the file to score."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = Settings(home=folder / "home", use_cases=str(folder / "usecases"))
        self.use_case: UseCase = declare(self.settings)
        self.source, self.folder = folder / "rows.csv", folder
        # The costly error is to miss a late parcel: "yes" is predicted from a probability of 0.25 on.
        self.model: LoadedModel = fit(self.use_case, weights=(1.0, 3.0))
        self.declare_as(self.use_case)
        monkeypatch.setattr(file, "load_use_case", lambda *_: self.use_case)
        monkeypatch.setattr(file, "require_champion", lambda *_: SimpleNamespace(version=1))
        monkeypatch.setattr(file, "load_recorded_model", lambda *_: self.model)

    def declare_as(self, use_case: UseCase) -> None:
        self.use_case = use_case

    def rows(self, count: int = 40) -> list[dict[str, Any]]:
        return draw_requests(self.use_case, count, seed=3)

    def score(self, frame: pd.DataFrame, output: str = "out.csv", **options: Any) -> dict[str, Any]:
        frame.to_csv(self.source, index=False)
        return score_file(self.settings, "parcel", self.source, self.folder / output, **options)

    def answers(self, rows: list[dict[str, Any]]) -> list[Any]:
        """The service's."""
        runtime = answering(self.settings, self.use_case, self.model, [])
        return runtime.answer_rows(rows, "online")


@pytest.fixture
def scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scoring:
    return Scoring(tmp_path, monkeypatch)


def test_a_file_and_the_service_answer_the_same_with_class_weights(scoring: Scoring, tmp_path: Path) -> None:
    rows = scoring.rows(200)
    answers = scoring.answers(rows)
    unlikely = [a for a in answers if a["probability"] < max(a["probabilities"].values())]
    assert unlikely, "the weights choose a class that is not the most probable one"
    scoring.score(pd.DataFrame(rows), "out.parquet")
    scored = pd.read_parquet(tmp_path / "out.parquet")
    for row, answer in zip(scored.to_dict("records"), answers, strict=True):
        assert row["parcel_id"] == answer["parcel_id"]
        assert row["prediction"] == answer["prediction"]
        assert row["probability"] == pytest.approx(answer["probability"], abs=1e-12)
        shares = {name: row[f"probability_{name}"] for name in ("no", "yes")}
        assert shares == pytest.approx(answer["probabilities"], abs=1e-12)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_refused_row_says_why_in_its_place(scoring: Scoring, tmp_path: Path, ending: str) -> None:
    rows = scoring.rows()
    answers = scoring.answers(rows)
    frame = pd.DataFrame(rows).astype({"weight": object, "parcel_id": object})
    frame.loc[3, "weight"] = "heavy"
    frame.loc[5, "weight"], frame.loc[5, "carrier"] = 900, "drone"
    frame.loc[7, "parcel_id"] = "seven"
    frame.loc[9, "volume"] = None
    told = scoring.score(frame, f"out.{ending}")
    why = {
        3: "weight is not a number",
        5: "weight is more than 50; carrier is not one of foot, bike, van",
        7: "parcel_id is not a number",
        9: "volume has no value",
    }
    assert (told["rows"], told["refused"]) == (40, 4)
    assert told["refusals"] == [{"row": place + 1, "error": text} for place, text in why.items()]
    path = tmp_path / f"out.{ending}"
    scored = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
    assert scored["error"].dropna().to_dict() == why
    for place, answer in enumerate(answers):
        row = scored.loc[place]
        assert pd.isna(row["parcel_id"]) if place == 7 else row["parcel_id"] == answer["parcel_id"]
        if place in why:
            assert row[["prediction", "probability", "probability_no", "probability_yes"]].isna().all()
        else:
            assert row["prediction"] == answer["prediction"]
            assert row["probability"] == pytest.approx(answer["probability"])
    if ending == "csv":  # keys stay whole numbers
        keys = [line.split(",")[0] for line in path.read_text().splitlines()[1:]]
        assert keys == ["" if place == 7 else str(row["parcel_id"]) for place, row in enumerate(rows)]


def test_one_refused_row_stops_where_it_is_to_stop(scoring: Scoring, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    output.write_text("the former result")
    frame = pd.DataFrame(scoring.rows()).assign(weight=[900.0, *[1.0] * 39])
    # A submission has no place for a refusal, so it is all or nothing unless asked for.
    for options in ({"on_error": "stop"}, {"columns": ["parcel_id", "late"]}):
        with pytest.raises(ValidationFailed, match=r"weight  is more than 50 +1 ") as stopped:
            scoring.score(frame, **options)
        assert "nothing was scored" in stopped.value.message
        assert "--on-error row" in stopped.value.hint
        assert output.read_text() == "the former result"
    asked = scoring.score(frame, columns=["parcel_id", "late"], on_error="row")
    assert (asked["refused"], asked["columns"]) == (1, ["parcel_id", "late"])
    assert pd.read_csv(output)["late"].isna().tolist() == [True, *[False] * 39]
    assert scoring.score(frame, columns=["parcel_id", "Why=error"])["columns"] == ["parcel_id", "Why"]


def test_without_refusals_stop_and_a_submission_are_as_ever(scoring: Scoring) -> None:
    frame = pd.DataFrame(scoring.rows())
    told = scoring.score(frame, on_error="stop")
    assert told["columns"] == ["parcel_id", "prediction", "probability", "probability_no", "probability_yes"]
    assert scoring.score(frame, columns=["parcel_id", "late"])["refused"] == 0


@pytest.mark.parametrize("count", [1, 3])
def test_a_file_of_which_every_row_is_refused_says_so_in_each(
    scoring: Scoring, tmp_path: Path, count: int
) -> None:
    told = scoring.score(pd.DataFrame(scoring.rows(count)).assign(weight=900.0))
    assert (told["rows"], told["refused"]) == (count, count)
    scored = pd.read_csv(tmp_path / "out.csv")
    assert list(scored) == [
        *("parcel_id", "prediction", "probability", "probability_no", "probability_yes", "error")
    ]
    assert scored["error"].tolist() == ["weight is more than 50"] * count
    assert scored["prediction"].isna().all()


def test_guessed_domains_warn_and_answer(scoring: Scoring, tmp_path: Path) -> None:
    (view,) = scoring.use_case.views
    guessed = tuple(replace(feature, severity="warning") for feature in view.features)
    scoring.declare_as(replace(scoring.use_case, views=(replace(view, features=guessed),)))
    rows = scoring.rows()
    rows[2].update(weight=900.0, carrier="drone")
    rows[4].update(volume=None)
    told = scoring.score(pd.DataFrame(rows))
    assert told["refused"] == 0
    checks = {(each["column"], each["check"], each["count"]) for each in told["warnings"]}
    assert checks == {
        ("weight", "is more than 50", 1),
        ("carrier", "is not one of foot, bike, van", 1),
        ("volume", "has no value", 1),
    }
    scored = pd.read_csv(tmp_path / "out.csv")
    answers = scoring.answers(rows)
    assert scored["prediction"].tolist() == [answer["prediction"] for answer in answers]
    assert scored["probability"].to_numpy() == pytest.approx([answer["probability"] for answer in answers])
    assert [len(answer["warnings"]) for answer in answers[:5]] == [0, 0, 2, 0, 1]


def test_a_feature_called_error_keeps_its_name(scoring: Scoring) -> None:
    (view,) = scoring.use_case.views
    named = (*view.features, replace(view.features[-1], name="error"))
    scoring.declare_as(replace(scoring.use_case, views=(replace(view, features=named),)))
    scoring.model = fit(scoring.use_case)
    assert scoring.score(pd.DataFrame(scoring.rows()))["columns"][-1] == "_error"


def test_texts_of_the_input_run_nowhere_as_formulas(scoring: Scoring, tmp_path: Path) -> None:
    rows = scoring.rows(6)
    for row, depot in zip(rows, ["=1+1", "-5", "+2 x", "@a", "plain", None], strict=True):
        row.update(depot=depot, temperature=-7.5)
    columns = ["depot", "temperature", "error"]
    scoring.score(pd.DataFrame(rows), columns=columns)
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[1:] == ["'=1+1,-7.5,", "-5,-7.5,", "'+2 x,-7.5,", "'@a,-7.5,", "plain,-7.5,", ",-7.5,"]
    scoring.score(pd.DataFrame(rows), columns=columns, raw_text=True)
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == "=1+1,-7.5,"
    scoring.score(pd.DataFrame(rows), "out.parquet", columns=columns)
    assert pd.read_parquet(tmp_path / "out.parquet")["depot"][0] == "=1+1"


def test_the_order_of_rows_survives_any_refusals(scoring: Scoring, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    rows = scoring.rows(300)
    refused = rng.random(300) < 0.3
    frame = pd.DataFrame(rows)
    frame.loc[refused, "stops"] = 99
    scoring.score(frame, columns=["parcel_id", "weight", "depot", "error"])
    scored = pd.read_csv(tmp_path / "out.csv")
    assert scored["parcel_id"].tolist() == frame["parcel_id"].tolist()
    assert scored["weight"].tolist() == frame["weight"].tolist(), (
        "what could be read of a refused row is there"
    )
    assert scored["error"].notna().tolist() == refused.tolist()


def test_a_champion_that_is_not_the_one_on_record_scores_nothing(
    scoring: Scoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ModelRefused("parcel version 1 is not the model that was registered", hint="")

    monkeypatch.setattr(file, "load_recorded_model", refuse)
    with pytest.raises(ModelRefused):
        scoring.score(pd.DataFrame(scoring.rows()))
    assert not (tmp_path / "out.csv").exists()
