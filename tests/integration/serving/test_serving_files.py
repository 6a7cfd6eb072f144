"""Scoring from file to file on real servers: the right numbers in the wanted columns, or one clear error."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from evergreen.errors import NoChampion, ServingError, SourceError, ValidationFailed
from evergreen.loop.score import score_file
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import predict_rows
from evergreen.registry.models import load_model
from evergreen.registry.succession.aliases import set_champion
from evergreen.usecases import load_use_case
from support.serving_world import World, register_models


@pytest.fixture
def parcels(made: World, tmp_path: Path) -> Path:
    """A CSV with fifty parcels, without the label."""
    frame = pd.DataFrame(made.rows(50, seed=61))
    frame["parcel_id"] = range(1000, 1050)
    path = tmp_path / "parcels.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["scored.csv", "scored.parquet"])
def test_every_row_is_scored_by_the_champion(made: World, parcels: Path, tmp_path: Path, name: str) -> None:
    output = tmp_path / name
    result = score_file(made.settings, "parcel", parcels, output)
    assert result == {
        "rows": 50,
        "refused": 0,
        "refusals": [],
        "warnings": [],
        "output": str(output),
        "columns": ["parcel_id", "prediction", "probability", "probability_no", "probability_yes", "error"],
        "model_version": made.versions[0],
    }
    scored = pd.read_csv(output) if name.endswith(".csv") else pd.read_parquet(output)
    assert list(scored["parcel_id"]) == list(range(1000, 1050))
    model = load_model(made.settings, made.use_case, made.versions[0])
    own = predict_rows(made.use_case, model, build_columns_from_rows(made.use_case, made.rows(50, seed=61)))
    assert list(scored["prediction"]) == own.predictions
    assert scored["probability_yes"].to_numpy() == pytest.approx(own.by_class[:, 1], abs=1e-12)
    assert scored["error"].isna().all()
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []


def test_parquet_in_and_columns_chosen_and_renamed(made: World, parcels: Path, tmp_path: Path) -> None:
    source = tmp_path / "parcels.parquet"
    pd.read_csv(parcels).to_parquet(source)
    output = tmp_path / "out.csv"
    result = score_file(
        made.settings, "parcel", source, output, ["Number=parcel_id", "late", "weight", "P=probability_yes"]
    )
    assert result["columns"] == ["Number", "late", "weight", "P"]
    scored = pd.read_csv(output)
    assert list(scored.columns) == ["Number", "late", "weight", "P"]
    assert set(scored["late"]) <= {"no", "yes"}


def test_a_submission_for_kaggle_is_one_call(made: World, titanic_test_csv: Path, tmp_path: Path) -> None:
    titanic = load_use_case("titanic", made.settings)
    (version,) = register_models(made.settings, titanic, tmp_path, [1])
    set_champion(made.settings, "titanic", version)
    output = tmp_path / "submission.csv"
    for columns in (["PassengerId=passenger_id", "Survived=prediction"], ["PassengerId", "Survived"]):
        result = score_file(made.settings, "titanic", titanic_test_csv, output, columns)
        assert result["rows"] == 418
        lines = output.read_text().splitlines()
        assert lines[0] == "PassengerId,Survived"
        assert len(lines) == 419
        assert all(re.fullmatch(r"\d+,[01]", line) for line in lines[1:])


def test_a_single_row_may_lack_what_a_source_seldom_lacks(made: World, parcels: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(parcels).head(1).assign(depot=None, temperature=None, note=None)
    frame.to_csv(parcels, index=False)
    assert score_file(made.settings, "parcel", parcels, tmp_path / "out.csv")["rows"] == 1


def test_keys_may_repeat_and_each_row_is_scored_at_its_place(
    made: World, parcels: Path, tmp_path: Path
) -> None:
    frame = pd.read_csv(parcels).head(5)
    rows = pd.concat([frame, frame.iloc[[1, 1]], frame.iloc[[2]].assign(weight=3.25)], ignore_index=True)
    rows.to_csv(parcels, index=False)
    assert score_file(made.settings, "parcel", parcels, tmp_path / "out.csv")["rows"] == 8
    scored = pd.read_csv(tmp_path / "out.csv")
    assert list(scored["parcel_id"]) == list(rows["parcel_id"])
    assert scored.iloc[1].equals(scored.iloc[5])
    assert scored["probability_yes"][7] != scored["probability_yes"][2]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda frame: frame.drop(columns="volume"), "volume"),
        (lambda frame: frame.rename(columns={"volume": "Volume"}), "did you mean 'Volume'"),
        (lambda frame: frame.assign(weight="heavy"), "is not a number"),
        (lambda frame: frame.assign(carrier="drone"), "is not one of foot, bike, van"),
    ],
)
def test_a_file_that_breaks_the_contract_scores_nothing(
    made: World, parcels: Path, tmp_path: Path, change: object, says: str
) -> None:
    change(pd.read_csv(parcels)).to_csv(parcels, index=False)  # type: ignore[operator]
    output = tmp_path / "out.csv"
    output.write_text("the former result")
    with pytest.raises(ValidationFailed, match=re.escape(says)):
        score_file(made.settings, "parcel", parcels, output, on_error="stop")
    assert output.read_text() == "the former result"


def test_a_row_that_breaks_the_contract_says_why_and_the_others_are_scored(
    made: World, parcels: Path, tmp_path: Path
) -> None:
    frame = pd.read_csv(parcels).astype({"carrier": object})
    frame.loc[3, "carrier"] = "drone"
    frame.to_csv(parcels, index=False)
    assert score_file(made.settings, "parcel", parcels, tmp_path / "out.csv")["refused"] == 1
    scored = pd.read_csv(tmp_path / "out.csv")
    assert "is not one of foot, bike, van" in scored["error"][3]
    assert list(scored.index[scored["error"].notna()]) == [3]
    assert list(scored.index[scored["prediction"].isna()]) == [3]


@pytest.mark.parametrize(
    "content", [None, b"", b"parcel_id,weight\n", b"\xff\xfe\x00\x01", b"PAR1 and no more"]
)
def test_a_file_that_cannot_be_read_is_named(made: World, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "odd.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=r"odd\.csv"):
        score_file(made.settings, "parcel", path, tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("output", "columns", "says"),
    [
        ("out.xlsx", None, "neither .csv nor .parquet"),
        ("nowhere/out.csv", None, "there is no folder"),
        ("folder.csv", None, "is a folder"),
        ("out.csv", ["predicton"], "did you mean 'prediction'"),
        ("out.csv", ["=prediction"], "which scoring parcel does not give"),
        ("out.csv", ["x=y=z"], "does not give"),
    ],
)
def test_an_output_that_cannot_be_is_refused_first(
    made: World, parcels: Path, tmp_path: Path, output: str, columns: list[str] | None, says: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ServingError) as caught:
        score_file(made.settings, "parcel", parcels, tmp_path / output, columns)
    assert says in str(caught.value)


def test_without_a_champion_nothing_is_written(made: World, parcels: Path, tmp_path: Path) -> None:
    other = made.settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path / 'empty.db'}"})
    with pytest.raises(NoChampion, match="parcel"):
        score_file(other, "parcel", parcels, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
