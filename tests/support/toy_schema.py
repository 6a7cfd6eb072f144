"""The toy with another declaration, and what its tables hold then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from evergreen.usecase import Feature, UseCase
from support.toy_loads import JULY, JUNE, fact, facts, labels, load

FACTS, ONLINE, LOG = "toy__facts", "toy__facts__online", "toy__prediction"


def declaring(use_case: UseCase, *features: Feature, without: tuple[str, ...] = ()) -> UseCase:
    """The toy with these features instead of those of the same names, or after all others, less `without`."""
    view = use_case.views[0]
    new = {feature.name: feature for feature in features}
    kept = tuple(new.pop(f.name, f) for f in view.features if f.name not in without)
    return replace(use_case, views=(replace(view, features=(*kept, *new.values()), name="facts"),))


def rows(database: sa.Engine, statement: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def log_prediction(database: sa.Engine, age: int = 40) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO {LOG} (prediction_id, predicted_at, model_version, channel, age, prediction)"
            f" VALUES (UUID(), NOW(6), 1, 'online', {age}, 'yes')"
        )


def fill(database: sa.Engine, use_case: UseCase) -> None:
    """Client 1 in two versions of June 1st, client 2 in one; a label and a logged prediction."""
    load(
        database,
        use_case,
        JUNE,
        {
            "facts": facts(fact(1, JUNE, 40.0, "fine"), fact(2, JUNE, 50.0, "7")),
            "label": labels((1, JUNE, "yes")),
        },
    )
    load(database, use_case, JULY, {"facts": facts(fact(1, JUNE, 41.0, "fine"))})
    log_prediction(database)
