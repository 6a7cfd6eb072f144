"""The replay: logged requests, predicted by candidate and champion. How many predictions would change?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.model.predict import predict_inputs
from evergreen.store.connection.missing import ignore_missing_table
from evergreen.store.predictions.prediction_log import read_recent_inputs
from evergreen.usecase import UseCase

# A predicted number has changed if it moved by more than this share of the standard deviation of the
# champion's predictions.
_CHANGED_SHARE = 0.1
_MOST_EXAMPLES = 6


@dataclass(frozen=True)
class ChangedAnswer:
    """So many `rows` for which the champion predicts one class and the candidate another."""

    champion: str
    candidate: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """Of `rows` requests so many `changed`, which is that `share`.

    For classes `examples` has the most frequent changes; for numbers `mean_change` has the mean of candidate
    minus champion.
    """

    rows: int
    champion_version: int
    examples: tuple[ChangedAnswer, ...] = ()
    mean_change: float | None = None
    changed: int = 0
    share: float

    def to_json(self) -> JsonObject:
        """The fields by their names; "mean_change" only for numbers."""
        document = write_document(self)
        if self.mean_change is None:
            del document["mean_change"]
        return document

    @staticmethod
    def from_json(document: object) -> ReplayResult:
        """What `to_json` returned, in this version or an earlier one, which may lack some of its keys."""
        return read_document(ReplayResult, document)


def replay_requests(
    database: sa.Engine, use_case: UseCase, candidate: Any, champion: LoadedModel | None, until: datetime
) -> ReplayResult | None:
    """Predict the last `gate.replay` logged online requests up to a moment with both models and compare.

    None without champion or requests.
    """
    if champion is None or not use_case.gate.replay:
        return None
    requests = _read_logged_requests(database, use_case, until)
    if not requests:
        return None
    columns = add_on_demand_columns(use_case, build_columns_from_rows(use_case, requests))
    before = predict_inputs(use_case, champion.model, columns).predictions
    after = predict_inputs(use_case, candidate, columns).predictions
    examples: tuple[ChangedAnswer, ...] = ()
    mean_change = None
    if use_case.label.classes:
        changed = before != after
        pairs = Counter(zip(before[changed].tolist(), after[changed].tolist(), strict=True))
        examples = tuple(
            ChangedAnswer(old, new, count) for (old, new), count in pairs.most_common(_MOST_EXAMPLES)
        )
    else:
        deviation = float(np.std(before))
        changed = np.abs(after - before) > (_CHANGED_SHARE * deviation if deviation > 0 else 0.0)
        mean_change = float(np.mean(after - before))
    return ReplayResult(
        rows=len(requests),
        champion_version=champion.version,
        examples=examples,
        mean_change=mean_change,
        changed=int(changed.sum()),
        share=float(changed.mean()),
    )


def _read_logged_requests(database: sa.Engine, use_case: UseCase, until: datetime) -> list[dict[str, Any]]:
    with ignore_missing_table():
        return read_recent_inputs(database, use_case, until=until, limit=use_case.gate.replay)
    return []
