"""What the tests of the gate share: evaluations with figures of candidate and champion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from evergreen.training.judge.evaluation import Evaluation


def slice_figures(difference: float | None, ratio: float | None) -> dict[str, Any]:
    """The slice `segment` of two groups that are large enough, measured by accuracy."""
    group = {"name": "g", "rows": 50, "judged": True, "values": {"accuracy": 0.8}}
    return {
        "feature": "segment",
        "sensitive": True,
        "metric": "accuracy",
        "groups": [group, group],
        "difference": {"accuracy": difference},
        "ratio": {"accuracy": ratio},
    }


@pytest.fixture(scope="session")
def duel() -> Callable[..., Evaluation]:
    """A function that makes the evaluation of a candidate beside champion v4, by their accuracies.

    `own` and `champions` are further figures of each: metrics, and "difference", "ratio", "mb" and "ms".
    Without a champion's accuracy there is none; without `champions` there are none of its figures, as in
    evaluations of before they were measured.
    """

    def make(
        candidate: float,
        champion: float | None = None,
        *,
        own: Mapping[str, Any] | None = None,
        champions: Mapping[str, Any] | None = None,
        linear: float = 0.0,
        dummy: float = 0.0,
        gain: Mapping[str, float] | None = None,
        **more: Any,
    ) -> Evaluation:
        other = ("difference", "ratio", "mb", "ms")

        def metrics(accuracy: float, figures: Mapping[str, Any] | None) -> dict[str, float]:
            known = {k: v for k, v in (figures or {}).items() if k not in other and v is not None}
            return {"accuracy": accuracy, **known}

        def slices(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
            return [slice_figures(figures.get("difference", 0.0), figures.get("ratio", 1.0))]

        mine = own or {}
        document: dict[str, Any] = {
            "candidate": metrics(candidate, own),
            "champion": None if champion is None else metrics(champion, champions),
            "linear": {"accuracy": linear},
            "dummy": {"accuracy": dummy},
            "champion_version": None if champion is None else 4,
            "remark": "",
            "gains": {
                "champion": gain or {"value": 0.01, "low": 0.0, "high": 0.02, "share": 1.0, "better": 1.0}
            },
            "slices": slices(mine),
            "size_bytes": round(mine.get("mb", 0.1) * 1e6),
            "latency_ms": mine.get("ms", 0.1),
            "replay": None,
        }
        if champions is not None:
            document["champion_slices"] = slices(champions)
            document["champion_footprint"] = {
                "size_bytes": round(champions.get("mb", 0.1) * 1e6),
                "latency_ms": champions.get("ms", 0.1),
            }
        return Evaluation.from_json({**document, **more})

    return make
