"""Golden rows: the same model is known by them, another one is not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from evergreen.errors import StoreError
from evergreen.model.golden_rows import GOLDEN_ROW_COUNT, TOLERANCE, build_golden_rows, find_golden_difference
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.serving.http.examples import draw_requests
from evergreen.store.records.model_record import GoldenRow, GoldenRows
from evergreen.usecase import OnDemandFeature, UseCase
from support.answering import fit


def golden(use_case: UseCase, loaded: LoadedModel, count: int = 300) -> GoldenRows:
    columns = build_columns_from_rows(use_case, draw_requests(use_case, count, seed=4))
    return build_golden_rows(use_case, loaded.model, add_on_demand_columns(use_case, columns))


def changed(rows: GoldenRows, **values: Any) -> GoldenRows:
    """The same golden rows with another answer to the third."""
    third = replace(rows.rows[2], **values)
    return replace(rows, rows=(*rows.rows[:2], third, *rows.rows[3:]))


def test_a_model_gives_its_golden_rows_the_same_answers_also_after_they_were_stored(parcel: UseCase) -> None:
    model = fit(parcel)
    rows = golden(parcel, model)
    assert len(rows.rows) == GOLDEN_ROW_COUNT
    assert set(rows.rows[0].inputs) == {feature.name for feature in parcel.stored_features}
    assert any(value is None for row in rows.rows for value in row.inputs.values())
    stored = GoldenRows.from_json(json.loads(json.dumps(rows.to_json())))
    assert stored == rows
    assert find_golden_difference(parcel, model, stored) == ""


def test_few_rows_are_golden_rows_too(parcel: UseCase) -> None:
    model = fit(parcel)
    assert [len(golden(parcel, model, count).rows) for count in (1, 7)] == [1, 7]


def test_another_model_is_told_by_the_number_of_rows_and_the_first_of_them(parcel: UseCase) -> None:
    rows = golden(parcel, fit(parcel))
    text = find_golden_difference(parcel, fit(parcel, seed=2), rows)
    assert text.startswith("20 of 20 golden rows, the first is row 1: its probabilities differ by up to 0.")


@pytest.mark.parametrize(("shift", "differs"), [(TOLERANCE / 2, False), (TOLERANCE * 2, True)])
def test_the_tolerance_is_the_one_on_record(parcel: UseCase, shift: float, differs: bool) -> None:
    model = fit(parcel)
    rows = golden(parcel, model)
    shares = rows.rows[2].probabilities
    assert shares is not None
    moved = changed(rows, probabilities={name: share + shift for name, share in shares.items()})
    assert bool(find_golden_difference(parcel, model, moved)) is differs
    assert find_golden_difference(parcel, model, replace(moved, tolerance=1e-3)) == ""


def test_another_class_differs_also_where_the_probabilities_are_the_same(parcel: UseCase) -> None:
    model = fit(parcel)
    rows = golden(parcel, model)
    own = rows.rows[2].prediction
    other = "no" if own == "yes" else "yes"
    text = find_golden_difference(parcel, model, changed(rows, prediction=other))
    assert text == f"1 of 20 golden rows, the first is row 3: it answers '{own}' instead of '{other}'"


def test_not_a_number_is_never_the_same_answer(parcel: UseCase) -> None:
    model = fit(parcel)
    rows = changed(golden(parcel, model), probabilities={"no": float("nan"), "yes": float("nan")})
    assert "row 3" in find_golden_difference(parcel, model, rows)


def test_numbers_may_differ_in_proportion_to_their_size(
    parcel: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [1_000_000.0005, 3.0]

    class Predictions:
        def list_answers(self) -> list[Any]:
            return [type("Answer", (), {"prediction": each, "probabilities": None}) for each in answers]

    monkeypatch.setattr("evergreen.model.golden_rows.predict_rows", lambda *_: Predictions())
    rows = GoldenRows((GoldenRow({}, 1_000_000.0, None), GoldenRow({}, 3.0, None)), TOLERANCE)
    model = fit(parcel)
    assert find_golden_difference(parcel, model, rows) == ""
    answers[1] = 3.1
    text = find_golden_difference(parcel, model, rows)
    assert text == "1 of 2 golden rows, the first is row 2: it answers 3.1 instead of 3"


def test_an_on_demand_feature_that_computes_otherwise_shows(parcel: UseCase) -> None:
    model = fit(parcel)
    rows = golden(parcel, model)

    def density(weight: Any, volume: Any) -> Any:
        return volume / weight

    def broken(weight: Any, volume: Any) -> Any:
        raise ValueError("no")

    heavy = parcel.on_demand[1]
    other = replace(parcel, on_demand=(OnDemandFeature(density), heavy))
    assert "its probabilities differ" in find_golden_difference(other, model, rows)
    broken.__name__ = "density"
    failing = replace(parcel, on_demand=(OnDemandFeature(broken), heavy))
    with pytest.raises(StoreError, match="'density' of 'parcel' failed"):
        find_golden_difference(failing, model, rows)
