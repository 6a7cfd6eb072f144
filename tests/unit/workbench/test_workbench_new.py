"""`evergreen new` writes a declaration that fits its table, or says what is wrong and writes nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from evergreen.errors import EvergreenError, SourceUnreachable, UnknownUseCase, UseCaseError
from evergreen.settings import Settings
from evergreen.sources.read import read_source
from evergreen.usecase import ROW_NUMBER, TIMELESS, UseCase
from evergreen.usecases import load_use_case
from evergreen.validation.contract import validate_part
from evergreen.workbench.new import create_use_case
from support.file_server import serving

REPOSITORY = Path(__file__).resolve().parents[3]
RNG = np.random.default_rng(3)
BEGINNING = RNG.bit_generator.state
ROWS = 400


@pytest.fixture(autouse=True)
def _same_tables_in_any_order() -> None:
    """A test's random numbers do not depend on the tests before it."""
    RNG.bit_generator.state = BEGINNING


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", use_cases=str(tmp_path / "usecases"))


def table(**columns: Any) -> pd.DataFrame:
    """A table with a number, a category and a binary target; `columns` are added or take their place."""
    frame = pd.DataFrame(
        {
            "size": np.round(RNG.gamma(2.0, 10.0, ROWS), 2),
            "shop": RNG.choice(["north", "south"], ROWS),
            "bought": RNG.integers(0, 2, ROWS),
        }
    )
    return frame.assign(**columns)


def written(here: Settings, frame: pd.DataFrame, name: str = "made", **options: Any) -> UseCase:
    """The use case that `create_use_case` makes of a frame kept as CSV."""
    path = here.home.parent / "table.csv"
    frame.to_csv(path, index=False)
    create_use_case(here, name, str(path), **{"target": "bought", **options})
    return load_use_case(name, here)


def notes(here: Settings, frame: pd.DataFrame, name: str = "made") -> list[str]:
    """What `create_use_case` says of a frame."""
    path = here.home.parent / "table.csv"
    frame.to_csv(path, index=False)
    return list(create_use_case(here, name, str(path), target="bought").notes)


def assert_fits(here: Settings, use_case: UseCase) -> None:
    """Every row of the table keeps the contract that was made of it."""
    for part in (*use_case.views, use_case.label):
        raw = read_source(part.source, here, use_case.name, start=TIMELESS, end=datetime.now(UTC))
        raw[ROW_NUMBER] = range(1, len(raw) + 1)
        clean, report = validate_part(use_case, part, raw)
        assert report.ok, report.as_table()
        assert len(clean) > 0


def ruff(*arguments: str) -> subprocess.CompletedProcess[str]:
    configured = [*arguments, "--config", str(REPOSITORY / "pyproject.toml"), "--no-cache"]
    command = [sys.executable, "-m", "ruff", *configured]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def assert_tidy(folder: Path) -> None:
    checked = ruff("check", str(folder))
    assert checked.returncode == 0, checked.stdout
    formatted = ruff("format", "--diff", str(folder))
    assert formatted.returncode == 0, formatted.stdout


def test_titanic_becomes_a_binary_use_case(here: Settings, titanic_csv: Path) -> None:
    told = create_use_case(here, "ship", str(titanic_csv), target="Survived")
    ship = load_use_case("ship", here)
    assert told.keys == ("PassengerId",)
    assert (ship.problem, ship.label.classes, ship.split) == ("binary", ("0", "1"), "stratified")
    features = {feature.source_column: feature for feature in ship.stored_features}
    assert features["Sex"].allowed == ("female", "male")
    assert features["Age"].max_null_share == pytest.approx(0.35)
    assert {name for name, f in features.items() if not f.used_by_model} == {"Name", "Ticket", "Cabin"}
    assert ship.gate.metric == "roc_auc"
    assert_fits(here, ship)
    assert_tidy(told.file.parent)


def test_wine_becomes_a_regression_keyed_by_row_numbers(here: Settings, wine_csv: Path) -> None:
    told = create_use_case(here, "wine", str(wine_csv), target="quality")
    wine = load_use_case("wine", here)
    assert wine.problem == "regression"
    assert [key.source_column for key in wine.entity.keys] == [ROW_NUMBER]
    names = {feature.name: feature.source_column for feature in wine.stored_features}
    assert names["fixed_acidity"] == "fixed acidity"
    assert names["ph"] == "pH"
    assert len(names) == 11
    assert told.rows == 1599
    assert wine.gate.metric == "rmse"
    assert_fits(here, wine)
    assert_tidy(told.file.parent)


def test_odd_names_become_names_and_keep_their_columns(here: Settings) -> None:
    odd = ["select", "🌱", "2nd floor", "class", "event_time", "Size", "日本" * 60, "a" * 130, 'quo"te\\']
    made = written(here, table(**{name: RNG.random(ROWS).round(3) for name in odd}))
    names = {feature.source_column: feature.name for feature in made.stored_features}
    assert set(odd) <= set(names)
    assert names["select"] == "select"
    # By its place in the table: size, shop, bought, select come before it.
    assert names["🌱"] == "column_5"
    assert names["class"] != "class"
    assert names["event_time"] != "event_time"
    assert names["size"] == "size"
    assert names["Size"] == "size_2"
    assert_fits(here, made)
    assert_tidy(Path(here.use_cases))


def test_types_follow_from_what_is_there(here: Settings) -> None:
    n = np.arange(ROWS)
    made = written(
        here,
        table(
            zip_code=[f"{i % 40:05d}" for i in n],
            huge=[10**18 + int(i) for i in n],
            index=n,
            paid=RNG.choice(["true", "false"], ROWS),
            gaps=[None if i % 4 else float(i) for i in n],
            words=["NA" if i % 5 else str(i % 7) for i in n],
            measure=["NA" if i % 5 else str(i) for i in n],
            note=[f"note {i}" for i in n],
            rare=["usual"] * (ROWS - 1) + ["once"],
        ),
    )
    features = {feature.name: feature for feature in made.stored_features}
    assert features["zip_code"].dtype == "category"
    assert features["huge"].dtype == "text"
    assert features["index"].used_by_model is False
    assert features["paid"].allowed == ("false", "true")
    assert (features["gaps"].dtype, features["gaps"].nullable) == ("float", True)
    assert (features["words"].dtype, features["words"].nullable) == ("int", True)
    assert (features["measure"].dtype, features["measure"].nullable) == ("float", True)
    assert (features["note"].dtype, features["note"].used_by_model) == ("text", False)
    assert features["rare"].allowed == ()  # there may be other values that are as rare
    assert_fits(here, made)


def test_columns_that_say_nothing_are_left_out_with_a_comment(here: Settings) -> None:
    made = written(here, table(always=1, nothing=None, endless=np.where(RNG.random(ROWS) < 0.5, np.inf, 1.0)))
    assert {feature.name for feature in made.stored_features} == {"size", "shop"}
    text = (Path(here.use_cases) / "made" / "__init__.py").read_text()
    assert 'Left out: "always": always holds "1".' in text
    assert 'Left out: "nothing": has no values.' in text


def test_a_time_makes_timed_parts_and_a_hold_out_of_the_newest(here: Settings) -> None:
    days = pd.date_range("2025-01-01", periods=ROWS).strftime("%Y-%m-%d")
    made = written(here, table(client_id=RNG.integers(1, 9, ROWS), day=days), keys=["client_id"], time="day")
    assert made.label.event_time == made.views[0].event_time == "day"
    assert made.split == "time"
    assert_fits(here, made)


def test_a_class_that_the_newest_rows_lack_makes_the_hold_out_a_stratified_one(here: Settings) -> None:
    days = pd.date_range("2025-01-01", periods=ROWS).strftime("%Y-%m-%d")
    frame = table(day=days, bought=np.where(np.arange(ROWS) < ROWS / 2, "b", "a"))
    assert written(here, frame, time="day").split == "stratified"


@pytest.mark.parametrize(
    ("values", "problem", "classes"),
    [
        (["no", "yes"], "binary", ("no", "yes")),
        (["true", "false"], "binary", ("false", "true")),
        (["often", "often", "seldom"], "binary", ("often", "seldom")),
        (["Poor", "Good", "Standard"], "multiclass", ("Good", "Poor", "Standard")),
        ([2, 1], "binary", ("1", "2")),
        ([1, 2, 3], "regression", ()),
        ([0.5, 1.25, 9.75], "regression", ()),
    ],
)
def test_the_target_decides_the_problem(
    here: Settings, values: list[Any], problem: str, classes: tuple[str, ...]
) -> None:
    made = written(here, table(bought=[values[i % len(values)] for i in range(ROWS)]))
    assert (made.problem, made.label.classes) == (problem, classes)
    assert_fits(here, made)


def test_whole_numbers_may_be_taken_as_classes(here: Settings) -> None:
    frame = table(bought=np.arange(ROWS) % 3)
    assert written(here, frame, problem="multiclass").label.classes == ("0", "1", "2")


def test_a_parquet_tables_own_types_count(here: Settings) -> None:
    frame = table(bought=RNG.random(ROWS) < 0.5, day=pd.date_range("2025-01-01", periods=ROWS), flag=True)
    frame["flag"] = RNG.random(ROWS) < 0.5
    path = here.home.parent / "table.parquet"
    frame.to_parquet(path)
    create_use_case(here, "made", str(path), target="bought", time="day")
    made = load_use_case("made", here)
    assert made.label.classes == ("False", "True")
    assert {f.name: f.dtype for f in made.stored_features}["flag"] == "int"
    assert_fits(here, made)


def test_more_columns_than_a_row_holds_are_cut_to_what_fits(here: Settings) -> None:
    wide = {f"c{i}": RNG.choice(["x", "y"], ROWS) for i in range(80)}
    made = written(here, table(**wide))
    assert 50 < len(made.stored_features) < 82
    text = (Path(here.use_cases) / "made" / "__init__.py").read_text()
    assert "more: does not fit into a row of the store" in " ".join(text.replace("\n#", "").split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "Bought"}, "did you mean 'bought'"),
        ({"target": "nothing_like_it"}, "it has size, shop"),
        ({"keys": ["buoght"]}, "--key: the table has no column"),
        ({"keys": ["bought"]}, "cannot be two of key, target and time"),
        ({"keys": ["shop"]}, "does not identify a row"),
        ({"time": "shop"}, "no ISO 8601 time"),
        ({"time": "size"}, "seconds, days or years"),
        ({"name": "titanic"}, "there is a use case 'titanic' already"),
        ({"name": "Not A Name"}, "not a valid name"),
        ({"problem": "regression", "target": "shop"}, "cannot be predicted as a number"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    here: Settings, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UseCaseError, match=message):
        written(here, table(), **options)
    folder = Path(here.use_cases)
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (1, "the same in every row"),
        (None, "has no value"),
        ([f"t{i}" for i in range(ROWS)], "different values; 50 classes at most"),
        ([["0", "1", "NA"][i % 3] for i in range(ROWS)], "words such as NA"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(here: Settings, target: Any, message: str) -> None:
    with pytest.raises(UseCaseError, match=message):
        written(here, table(bought=target))


def test_a_key_with_gaps_is_refused(here: Settings) -> None:
    with pytest.raises(UseCaseError, match="has no value in 1 of 400 rows"):
        written(here, table(code=[None, *range(1, ROWS)]), keys=["code"])


def test_a_table_without_a_column_for_the_model_is_refused(here: Settings) -> None:
    frame = pd.DataFrame({"note": [f"n{i}" for i in range(ROWS)], "bought": np.arange(ROWS) % 2})
    with pytest.raises(UseCaseError, match="tells the model anything"):
        written(here, frame)


def test_what_looks_like_numbers_or_dates_but_is_not_read_so_is_told(here: Settings) -> None:
    numbers = [f"{value:.2f}" for value in RNG.random(ROWS) * 100]
    told = notes(
        here,
        table(
            price=[value.replace(".", ",") for value in numbers],
            share=[f"{value} %" for value in numbers],
            day=[f"{1 + n % 28:02d}/{1 + n % 12:02d}/2026" for n in range(ROWS)],
            weight=[str(n % 7) if n % 5 else "?" for n in range(ROWS)],
        ),
    )
    for name, example in (("price", numbers[0].replace(".", ",")), ("share", "%"), ("day", "01/01/2026")):
        assert any(f'"{name}"' in note and example in note and "looks like" in note for note in told), name
    assert any('"weight" may hold numbers, but "?" is none' in note for note in told)


def test_what_is_no_number_at_all_is_not_doubted(here: Settings) -> None:
    codes = [f"{n % 90:05d}" for n in range(ROWS)]
    tickets = [f"A/5 {n}" if n % 3 == 0 else str(n) for n in range(ROWS)]
    times = pd.date_range("2026-01-01", periods=ROWS).astype(str)
    gaps = [None if n % 9 == 0 else n / 7 for n in range(ROWS)]
    told = notes(here, table(zip=codes, ticket=tickets, noted=times, gaps=gaps, year_2026=RNG.random(ROWS)))
    assert not [note for note in told if "looks like numbers" in note or "may hold" in note], told
    assert not [note for note in told if "look like values" in note], told


def test_a_table_without_a_header_line_is_doubted(here: Settings) -> None:
    path = here.home.parent / "bare.csv"
    table().to_csv(path, index=False, header=False)
    target = pd.read_csv(path, nrows=0).columns[2]
    told = create_use_case(here, "made", str(path), target=target)
    assert any("header line" in note for note in told.notes)


def test_what_might_be_a_key_is_named_when_no_name_says_so(here: Settings) -> None:
    told = notes(here, table(kunde=np.arange(ROWS)))
    assert any('--key "kunde"' in note for note in told)
    assert not any("--key" in note for note in notes(here, table(visits=np.arange(ROWS) // 2), "other"))


def test_a_refusal_names_what_stands_in_the_way(here: Settings) -> None:
    frame = pd.DataFrame({"price": [f"${n}" for n in range(ROWS)], "bought": np.arange(ROWS) % 2})
    with pytest.raises(UseCaseError, match="tells the model anything") as refused:
        written(here, frame)
    assert '"price" ("$0") looks like numbers' in refused.value.hint


def test_rows_that_repeat_exactly_are_no_duplicate_keys(here: Settings) -> None:
    frame = table(code=np.arange(ROWS))
    assert written(here, pd.concat([frame, frame.head(3)]), keys=["code"]).entity.key_names == ("code",)


def test_a_file_that_is_not_there_is_said_in_the_commands_words(here: Settings) -> None:
    with pytest.raises(SourceUnreachable, match="--from"):
        create_use_case(here, "made", str(here.home.parent / "gone.csv"), target="bought")


def test_few_rows_make_a_declaration_that_says_so(here: Settings) -> None:
    path = here.home.parent / "few.csv"
    table().head(20).to_csv(path, index=False)
    told = create_use_case(here, "made", str(path), target="bought")
    assert any("Not enough to train on yet" in note for note in told.notes)
    assert load_use_case("made", here).problem == "binary"


def test_a_second_use_case_gets_a_port_of_its_own_and_never_overwrites(here: Settings) -> None:
    first = written(here, table(), "first")
    second = written(here, table(), "second")
    assert first.serving.port != second.serving.port
    before = (Path(here.use_cases) / "first" / "__init__.py").read_text()
    with pytest.raises(UseCaseError, match="already"):
        written(here, table(more=RNG.random(ROWS)), "first")
    assert (Path(here.use_cases) / "first" / "__init__.py").read_text() == before


def test_a_failure_while_writing_leaves_nothing(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        return "USE_CASE = nonsense"

    monkeypatch.setattr("evergreen.workbench.new.render_declaration", broken)
    with pytest.raises(UseCaseError, match="nonsense"):
        written(here, table())
    assert list(Path(here.use_cases).iterdir()) == []
    with pytest.raises(UnknownUseCase):
        load_use_case("made", here)


_CELLS: list[Callable[[], st.SearchStrategy[Any]]] = [
    lambda: st.integers(-(10**17), 10**17),
    lambda: st.integers(0, 3),
    lambda: st.floats(allow_nan=True, allow_infinity=False),
    lambda: st.sampled_from(["a", "b", "NA", "-", "007", "1e5", "true", " x "]),
    lambda: st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
    lambda: st.dates().map(str),
    lambda: st.none() | st.integers(0, 9),
]


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Any table of 60 rows with a target of two classes."""
    letters = st.characters(exclude_categories=["Cs", "Cc"])
    names = draw(
        st.lists(
            st.text(letters, min_size=1, max_size=60).map(str.strip).filter(bool), max_size=5, unique=True
        )
    )
    columns: dict[str, Any] = {"steady": np.arange(60) % 7}
    for name in names:
        cell = draw(st.sampled_from(_CELLS))()
        few = draw(st.lists(cell, min_size=1, max_size=20))
        columns[name] = [few[i % len(few)] for i in range(60)]
    columns["goal"] = ["ja" if i % 2 else "nein" for i in range(60)]
    return pd.DataFrame(columns)


@examples(max_examples=20)
@given(frame=frames())
def test_any_table_makes_a_tidy_declaration_that_its_own_rows_keep(
    tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame
) -> None:
    folder = tmp_path_factory.mktemp("any")
    here = Settings(home=folder / "home", use_cases=str(folder / "usecases"))
    path = folder / "table.csv"
    frame.to_csv(path, index=False)
    try:
        create_use_case(here, "made", str(path), target="goal")
    except EvergreenError:
        return  # such a table is refused in so many words, by the tests above
    assert_fits(here, load_use_case("made", here))
    assert_tidy(folder / "usecases")


@pytest.mark.parametrize(
    ("place", "declared"),
    [
        ("/table.csv?year=2024&X-Amz-Signature=5ec4e7", "/table.csv?year=2024"),
        ("/table.csv?sv=2024&sig=5ec4e7", "/table.csv"),
        ("/table.csv?year=2024", "/table.csv?year=2024"),
    ],
)
def test_a_signed_address_is_declared_without_what_lets_others_in(
    here: Settings, place: str, declared: str
) -> None:
    with serving(table().to_csv(index=False).encode()) as address:
        told = create_use_case(here, "signed", address + place, target="bought")
    text = Path(told.file).read_text("utf-8")
    assert f'FileSource("{address}{declared}")' in text
    assert "5ec4e7" not in text + str(told)
    assert any("EVERGREEN_SOURCES" in note for note in told.notes) == ("5ec4e7" in place)


def test_a_password_in_an_address_is_not_declared(here: Settings) -> None:
    with serving(table().to_csv(index=False).encode()) as address:
        given = address.replace("://", "://kim:5ec4e7@")
        told = create_use_case(here, "signed", f"{given}/table.csv", target="bought")
    text = Path(told.file).read_text("utf-8")
    assert f'FileSource("{address}/table.csv")' in text
    assert "5ec4e7" not in text + str(told)
