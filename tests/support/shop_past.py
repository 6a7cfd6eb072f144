"""The past of a small shop, one visit an hour, for backtests: whether a visitor buys, or how much.

What makes a visitor buy turns round on day `CHANGE`; labels are known two days later.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from evergreen.backtest.past.requests import Requests
from evergreen.backtest.past.rows import build_rows
from evergreen.store.connection.arrow import MOMENT
from evergreen.store.history.labelled_history import LabelledHistory, join_history
from evergreen.store.history.query import build_query
from evergreen.usecase import (
    Between,
    Entity,
    Feature,
    FeatureView,
    FileSource,
    Gate,
    Key,
    Label,
    OnDemandFeature,
    Tuning,
    UseCase,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CHANGE = 30
ROWS_A_DAY = 24


def double_spend(spend):  # type: ignore[no-untyped-def]
    """Twice the money."""
    return spend * 2.0


SOURCE = FileSource("shop.csv")

SHOP = UseCase(
    name="shop",
    title="Shop",
    meaning="Will this visitor buy?",
    entity=Entity("visit", (Key("visit", "int", "The visit's number"),)),
    views=(
        FeatureView(
            "facts",
            SOURCE,
            (Feature("spend", "float", "Money before"), Feature("kind", "category", "How it came")),
            "What is known of a visit.",
            event_time="at",
        ),
    ),
    label=Label(
        "buys", SOURCE, "Did it buy?", classes=("no", "yes"), event_time="at", delay=timedelta(days=2)
    ),
    on_demand=(OnDemandFeature(double_spend),),
    tuning=Tuning(space=(Between("depth", 2, 4),), iterations=30, early_stopping_rounds=5),
    gate=Gate(metric="accuracy"),
)

BASKET = replace(
    SHOP,
    name="basket",
    label=replace(SHOP.label, name="basket", classes=()),
    gate=Gate(metric="mae"),
)


def day(number: float) -> datetime:
    """So many days after the first."""
    return START + number * DAY


def build_tables(
    use_case: UseCase, days: int, *, lag_days: float = 0.0, seed: int = 3
) -> dict[str, pa.Table]:
    """The tables of the store by name; every row was ingested `lag_days` after its event time."""
    rng = np.random.default_rng(seed)
    count = days * ROWS_A_DAY
    times = [START + number * timedelta(hours=1) for number in range(count)]
    spend = rng.normal(0.0, 1.0, count)
    turned = np.where(np.arange(count) < CHANGE * ROWS_A_DAY, 1.0, -1.0)
    score = turned * spend + rng.normal(0.0, 0.3, count)
    values = np.where(score > 0, "yes", "no") if use_case.label.classes else 100.0 * score
    kinds = [None if draw < 0.1 else "web" if draw < 0.6 else "shop" for draw in rng.random(count)]
    clocks = {
        "visit": pa.array(range(count), pa.int64()),
        "event_time": pa.array(times, MOMENT),
        "ingested_at": pa.array([time + lag_days * DAY for time in times], MOMENT),
    }
    label = pa.array(values.tolist(), pa.string() if use_case.label.classes else pa.float64())
    return {
        use_case.history_table(use_case.views[0]): pa.table(
            {**clocks, "spend": pa.array(spend), "kind": pa.array(kinds, pa.string())}
        ),
        use_case.label_table: pa.table({**clocks, use_case.label.name: label}),
    }


def build_history(
    use_case: UseCase = SHOP, days: int = 60, *, lag_days: float = 0.0, by_event: bool = False
) -> LabelledHistory:
    """The labelled history of these tables."""
    tables = build_tables(use_case, days, lag_days=lag_days)
    query = build_query(use_case, day(days + 1_000))
    return join_history(lambda part: [tables[part.table]], query, day(days), by_event=by_event)


def build_requests(
    use_case: UseCase = SHOP, days: int = 60, *, lag_days: float = 0.0, by_event: bool = False
) -> Requests:
    """The requests of that history."""
    history = build_history(use_case, days, lag_days=lag_days, by_event=by_event)
    return Requests(build_rows(use_case, history))
