"""The JSON of a logged prediction: read whatever version wrote it."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from evergreen.store.predictions.prediction_row import PredictionRow

ID = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
VALUES = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True).map("x_{}".format),
    st.none() | st.text(st.characters(codec="utf-8")) | st.integers() | st.floats(allow_nan=False),
    max_size=5,
)


@given(inputs=VALUES, on_demand=VALUES)
def test_a_row_is_what_was_written(
    inputs: dict[str, str | int | float | None], on_demand: dict[str, str | int | float | None]
) -> None:
    row = PredictionRow(ID, 3, "online", inputs, "yes", 0.75, {"no": 0.25, "yes": 0.75}, on_demand)
    assert PredictionRow.from_json(json.loads(json.dumps(row.to_json()))) == row


def test_a_row_of_before_has_no_on_demand_features() -> None:
    row = PredictionRow(ID, 3, "online", {"age": 1, "on_demand": "declared"}, 2.5)
    document = row.to_json()
    assert list(document)[-1] == "predicted_at"
    assert PredictionRow.from_json(document) == row
    computed = replace(row, on_demand={"age": 7.0})
    assert PredictionRow.from_json(computed.to_json()).inputs == row.inputs
