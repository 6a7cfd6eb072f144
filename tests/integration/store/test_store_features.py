"""What `features.listing` tells of a store, on a real MariaDB."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.feature_list import describe_features
from evergreen.usecase import TIMELESS, Feature, FeatureSet, FileSource, SqlSource, UseCase
from support.toy_loads import DAY, JULY, JUNE, fact, facts, labels, load


def test_counts_shares_and_ages_are_those_of_the_rows(database: sa.Engine, toy_use_case: UseCase) -> None:
    first = facts(fact(1, JUNE, 40.0, "fine"), fact(2, JUNE, 50.0), fact(3, JUNE + DAY, 60.0))
    load(database, toy_use_case, JULY, {"facts": first, "label": labels((1, JUNE, "yes"))})
    # What a correction brings counts, and what it replaces does not.
    correction = facts(fact(2, JUNE, 51.0, "fine"))
    load(database, toy_use_case, JULY + DAY, {"facts": correction})
    found = describe_features(database, toy_use_case).to_json()
    assert json.loads(json.dumps(found)) == found
    view = found["views"][0]
    assert (view["rows"], view["keys"]) == (4, 3)
    assert view["newest_event_time"] == (JUNE + DAY).isoformat()
    assert found["newest_ingest"] == (JULY + DAY).isoformat()
    assert view["age_seconds"] == (JULY - JUNE).total_seconds()
    rates = {feature["name"]: feature["null_rate"] for feature in view["features"]}
    assert rates == {"age": 0.0, "visits": 0.0, "spend": 1.0, "segment": 1.0, "mood": 1 / 3}
    assert found["label"]["rows"] == 1
    assert found["label"]["age_seconds"] == (JULY + DAY - JUNE).total_seconds()


def test_the_declaration_is_told_whole(database: sa.Engine, toy_use_case: UseCase) -> None:
    chosen = FeatureSet("small", ("age", "spend_per_visit"), "What is known at once.")
    view = replace(toy_use_case.views[0], max_age=timedelta(days=40))
    found = describe_features(
        database, replace(toy_use_case, views=(view,), feature_sets=(chosen,), model_set="small")
    ).to_json()
    assert found["entity"] == {
        "name": "client",
        "keys": [{"name": "client_id", "type": "int", "meaning": "The client's number"}],
    }
    assert found["views"][0]["max_age_seconds"] == 40 * 86_400
    by_name = {feature["name"]: feature for feature in found["views"][0]["features"]}
    assert by_name["age"]["used_by_model"]
    assert by_name["age"]["feature_sets"] == ["small"]
    assert (by_name["age"]["minimum"], by_name["age"]["maximum"]) == (0, 120)
    assert not by_name["mood"]["used_by_model"]
    assert by_name["segment"]["allowed"] == ["web", "shop", "phone"]
    assert found["on_demand"] == [
        {
            "name": "spend_per_visit",
            "type": "float",
            "meaning": "Money spent per visit.",
            "used_by_model": True,
            "feature_sets": ["small"],
            "inputs": ["spend", "visits"],
        }
    ]
    assert found["feature_sets"][0]["given_to_model"]
    assert found["label"]["classes"] == ["no", "yes"]


def test_timeless_rows_have_no_age(database: sa.Engine, toy_use_case: UseCase) -> None:
    load(database, toy_use_case, JULY, {"facts": facts(fact(1, TIMELESS, 40.0))})
    view = describe_features(database, toy_use_case).to_json()["views"][0]
    assert (view["rows"], view["newest_event_time"], view["age_seconds"]) == (1, None, None)


def test_a_declaration_ahead_of_its_tables_is_listed(database: sa.Engine, toy_use_case: UseCase) -> None:
    load(database, toy_use_case, JULY, {"facts": facts(fact(1, JUNE, 40.0))})
    view = toy_use_case.views[0]
    grown = replace(view, features=(*view.features, Feature("height", "float", "")))
    found = describe_features(database, replace(toy_use_case, views=(grown,))).to_json()
    rates = {feature["name"]: feature["null_rate"] for feature in found["views"][0]["features"]}
    assert rates["height"] is None
    assert rates["age"] == 0.0


def test_an_empty_database_is_listed(settings: Settings, toy_use_case: UseCase) -> None:
    found = describe_features(get_engine(settings), toy_use_case).to_json()
    assert found["newest_ingest"] is None
    assert found["views"][0]["rows"] == 0
    assert {feature["null_rate"] for feature in found["views"][0]["features"]} == {None}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (FileSource("s3://me:secret@bucket/rows.csv"), "s3://me:***@bucket/rows.csv"),
        (SqlSource("postgresql://me:sec@ret@host/db", "SELECT 1"), "postgresql://me:***@host/db"),
        (SqlSource("bank", "SELECT 1"), "bank"),
    ],
)
def test_no_password_of_a_source_is_told(
    source: FileSource | SqlSource, told: str, database: sa.Engine, toy_use_case: UseCase
) -> None:
    view = replace(toy_use_case.views[0], source=source)
    assert describe_features(database, replace(toy_use_case, views=(view,))).views[0].source == told
