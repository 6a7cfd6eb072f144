"""The replay: logged requests, answered by candidate and champion. What would change?"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from evergreen.model.loaded_model import LoadedModel
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.store.connection.missing import ignore_missing_table
from evergreen.store.predictions.prediction_log import read_recent_inputs
from evergreen.training.judge.answers import score_model
from evergreen.usecase import UseCase

# A predicted number has changed if it moved by more than this share of the champion's answers' spread.
_MOVED = 0.1
_MOST_EXAMPLES = 6


def replay_requests(
    database: sa.Engine, use_case: UseCase, candidate: Any, champion: LoadedModel | None, until: datetime
) -> dict[str, Any] | None:
    """The last `gate.replay` logged online requests up to a moment, answered by both models.

    Returns {"rows", "changed", "share", "champion_version", "examples": [{"champion", "candidate", "rows"}]}
    (for numbers the examples are empty, and "mean_change" is added); None without champion or requests.
    """
    if champion is None or not use_case.gate.replay:
        return None
    rows = _read_logged_requests(database, use_case, until)
    if not rows:
        return None
    columns = add_on_demand_columns(use_case, build_columns_from_rows(use_case, rows))
    then = score_model(use_case, champion.model, columns).predictions
    now = score_model(use_case, candidate, columns).predictions
    told: dict[str, Any] = {"rows": len(rows), "champion_version": champion.version, "examples": []}
    if use_case.label.classes:
        changed = then != now
        pairs = Counter(zip(then[changed].tolist(), now[changed].tolist(), strict=True))
        told["examples"] = [
            {"champion": old, "candidate": new, "rows": count}
            for (old, new), count in pairs.most_common(_MOST_EXAMPLES)
        ]
    else:
        spread = float(np.std(then))
        changed = np.abs(now - then) > (_MOVED * spread if spread > 0 else 0.0)
        told["mean_change"] = float(np.mean(now - then))
    return {**told, "changed": int(changed.sum()), "share": float(changed.mean())}


def _read_logged_requests(database: sa.Engine, use_case: UseCase, until: datetime) -> list[dict[str, Any]]:
    with ignore_missing_table():
        return read_recent_inputs(database, use_case, until=until, limit=use_case.gate.replay)
    return []
