"""Request, batch, file, replay and evaluation predict the same for the same rows, and log the same row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.loop.score import build_batch_rows
from evergreen.model.decision import set_class_weights
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.on_demand import (
    add_on_demand_columns,
    build_columns_from_frame,
    build_columns_from_rows,
)
from evergreen.model.predict import predict_inputs
from evergreen.scoring import file
from evergreen.settings import Settings
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.training.data.split import Cut
from evergreen.training.fit.fitting import Machine, fit_model
from evergreen.training.judge.answers import score_holdout
from evergreen.usecase import UseCase
from support.answering import answering
from support.toy_declaration import USE_CASE

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
PARAMS = {"iterations": 20, "depth": 3, "l2_leaf_reg": 3.0, "learning_rate": 0.2}
CASES = ("binary", "weighted", "multiclass", "regression")

LETTERS = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "client_id": st.integers(1, 2**53 - 1),
            "age": st.integers(0, 120),
            "visits": st.integers(0, 2**40),
            "spend": st.none() | st.floats(0, 1e9, allow_subnormal=False),
            "segment": st.none() | st.sampled_from(("web", "shop", "phone")),
            "mood": st.none()
            | st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8),
        }
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row["client_id"],
)


@cache
def fitted(case: str) -> tuple[UseCase, LoadedModel]:
    """The toy use case with a label of that kind, and a model of it."""
    classes = {"multiclass": ("a", "b", "c"), "regression": ()}.get(case, ("no", "yes"))
    use_case = replace(USE_CASE, label=replace(USE_CASE.label, classes=classes), drift=USE_CASE.drift)
    rng = np.random.default_rng(5)
    rows = [
        {
            "age": int(rng.integers(0, 100)),
            "visits": int(rng.integers(0, 20)),
            "spend": None if rng.random() < 0.1 else float(rng.gamma(2, 40)),
            "segment": rng.choice(["web", "shop", "phone", None]),
            "mood": rng.choice(["fine", "übel", None]),
        }
        for _ in range(300)
    ]
    columns = add_on_demand_columns(use_case, build_columns_from_rows(use_case, rows))
    signal = columns["age"] + rng.normal(0, 20, 300)
    label: Any = signal
    if classes:
        label = np.array(classes, dtype=object)[signal.argsort().argsort() * len(classes) // 300]
    model = fit_model(use_case, columns, label, PARAMS, Machine(1))
    weights = (1.0, 4.0) if case == "weighted" else ()
    if weights:
        set_class_weights(model, weights)
    return use_case, LoadedModel(3, "run", model, tuple(model.feature_names_), classes, weights)


@cache
def folder() -> Path:
    return Path(mkdtemp(prefix="evergreen-test-"))


def of_request(
    use_case: UseCase, loaded: LoadedModel, rows: Sequence[Any]
) -> tuple[list[Any], list[PredictionRow]]:
    """The service's answers, and the rows that it logs."""
    logged: list[PredictionRow] = []
    answers = answering(Settings(home=folder()), use_case, loaded, logged).answer_rows(rows, "online")
    return answers, logged


def of_file(use_case: UseCase, loaded: LoadedModel, frame: pd.DataFrame) -> pd.DataFrame:
    """The output of file scoring, with the default columns."""
    source, output = folder() / "rows.parquet", folder() / "scored.parquet"
    frame.to_parquet(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file, "load_use_case", lambda *_: use_case)
        patch.setattr(file, "require_champion", lambda *_: loaded)
        patch.setattr(file, "load_recorded_model", lambda *_: loaded)
        result = file.score_file(Settings(home=folder()), "toy", source, output)
    assert result["refused"] == 0
    return pd.read_parquet(output)


@pytest.mark.parametrize("case", CASES)
@settings(deadline=None, max_examples=10)
@given(rows=ROWS)
def test_every_path_predicts_and_logs_the_same(case: str, rows: list[dict[str, Any]]) -> None:
    use_case, loaded = fitted(case)
    kinds = {f.name: "Float64" if f.numeric else object for f in use_case.stored_features}
    frame = pd.DataFrame(rows).astype(kinds)
    answers, logged = of_request(use_case, loaded, rows)
    batch = build_batch_rows(use_case, loaded, frame, AS_OF)
    columns = add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
    everything = np.ones(len(rows), dtype=bool)
    evaluated = score_holdout(use_case, [loaded.model], columns, [Cut(~everything, everything)])
    replayed = predict_inputs(use_case, loaded.model, columns)
    scored = of_file(use_case, loaded, frame)

    expected = [answer["prediction"] for answer in answers]
    assert [row.prediction for row in batch] == expected
    assert scored["prediction"].tolist() == expected
    assert evaluated.predictions.tolist() == replayed.predictions.tolist() == expected
    if use_case.label.classes:
        shares = [list(answer["probabilities"].values()) for answer in answers]
        assert evaluated.probabilities is not None
        assert replayed.probabilities is not None
        assert evaluated.probabilities.tolist() == replayed.probabilities.tolist() == shares
        assert (
            scored[[f"probability_{name}" for name in use_case.label.classes]].to_numpy().tolist() == shares
        )
        assert scored["probability"].tolist() == [answer["probability"] for answer in answers]

    assert [row.channel for row in batch] == ["batch"] * len(rows)
    for request_row, batch_row, row in zip(logged, batch, rows, strict=True):
        assert request_row.inputs == row
        same = replace(batch_row, prediction_id=request_row.prediction_id, channel="online")
        assert same == request_row
        assert {name: type(value) for name, value in same.inputs.items()} == {
            name: type(value) for name, value in request_row.inputs.items()
        }
        assert PredictionRow.from_json(request_row.to_json()) == request_row
