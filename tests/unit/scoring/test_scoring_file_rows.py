"""A file that is only scored is held to what its rows say, not to what an ingest must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from evergreen.scoring.file_rows import judge_rows
from evergreen.usecase import Contract, Freshness, RowCount, Rule
from support import toy_declaration

TOY = toy_declaration.USE_CASE


def not_too_old(age: np.ndarray) -> np.ndarray:
    """Nobody is older than 100."""
    return age <= 100


CONTRACT = Contract(
    rules=(Rule(not_too_old),),
    freshness=Freshness(timedelta(days=1), severity="error"),
    row_count=RowCount(severity="error"),
    max_rejected_share=1.0,
)
FACTS = replace(
    TOY.views[0],
    max_age=timedelta(days=3),
    contract=CONTRACT,
    features=tuple(replace(f, unique=f.name == "mood") for f in TOY.views[0].features),
)
STRICT = replace(TOY, views=(FACTS,))


def test_old_repeated_rows_are_scored(toy_source: Callable[..., pd.DataFrame]) -> None:
    raw = toy_source(10)
    raw["mood"], raw["segment"] = "fine", None
    rows = judge_rows(STRICT, pd.concat([raw, raw]), Path("rows.csv"))
    assert rows.sound["client_id"].tolist() == raw["client_id"].tolist() * 2
    assert not rows.refusals
    assert not rows.warnings


def test_a_row_that_breaks_a_rule_is_refused_in_its_words(toy_source: Callable[..., pd.DataFrame]) -> None:
    raw = toy_source(10)
    raw.loc[3, "age"] = 110
    rows = judge_rows(STRICT, raw, Path("rows.csv"))
    assert rows.refusals == {3: "age breaks the rule not_too_old: Nobody is older than 100."}
    assert rows.sound.index.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_a_row_of_several_views_is_refused_by_any_of_them(toy_source: Callable[..., pd.DataFrame]) -> None:
    facts = TOY.views[0]
    both = (
        replace(facts, features=facts.features[:2]),
        replace(facts, name="more", features=facts.features[2:]),
    )
    raw = toy_source(10).assign(segment="web").astype({"age": object, "client_id": object})
    raw.loc[1, "age"], raw.loc[1, "segment"] = "old", "fax"
    raw.loc[4, "segment"] = "fax"
    raw.loc[6, "client_id"] = None
    rows = judge_rows(replace(TOY, views=both), raw, Path("rows.csv"))
    assert rows.refusals == {
        1: "age is not a number; segment is not one of web, shop, phone",
        4: "segment is not one of web, shop, phone",
        6: "client_id has no value",
    }
    assert list(rows.frame.columns) == ["client_id", "age", "visits", "spend", "segment", "mood"]
    assert rows.frame.index.tolist() == list(range(10))
    assert rows.sound.index.tolist() == [0, 2, 3, 5, 7, 8, 9]
    assert rows.frame["visits"].tolist() == raw["visits"].tolist()
    assert rows.frame["age"].isna().tolist() == [number == 1 for number in range(10)]
