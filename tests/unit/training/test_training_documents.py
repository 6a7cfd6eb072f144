"""The JSON of search results and evaluations: what was written is read, and written again byte by byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evergreen.training.judge.evaluation import Evaluation
from evergreen.training.search.search_result import SearchResult

# As training runs of earlier versions hold it in their columns.
SEARCH = """{"params": {"depth": 5, "learning_rate": 0.0949, "bootstrap_type": "MVS", "iterations": 17},
 "loss": 0.4411, "best_trial": 1, "seconds": 3.21,
 "calibration": {"scale": 1.05, "bias": [0.02, -0.01, -0.01]},
 "curve": {"trees": [1, 2], "train": [0.7, 0.6], "validation": [0.8, 0.7], "best": 17},
 "trials": [
  {"number": 0, "worker": 0, "state": "failed", "params": {}, "trees": 0, "loss": null, "seconds": 0.0},
  {"number": 1, "worker": 1, "state": "complete", "params": {"depth": 5, "bootstrap_type": "MVS"},
   "trees": 17, "loss": 0.4411, "seconds": 3.21}],
 "importance": {"depth": 0.3}, "sampler": "tpe", "pruner": "median",
 "space": [{"parameter": "depth", "values": "4 to 8"}, {"parameter": "bootstrap_type", "values": "MVS"}]}"""

EVALUATION = """{"metric": "accuracy", "candidate": {"accuracy": 0.83, "log_loss": 0.4},
 "champion": {"accuracy": 0.8},
 "linear": {"accuracy": 0.7}, "dummy": {"accuracy": 0.5},
 "intervals": {"candidate": {"accuracy": [0.82, 0.84]}, "champion": {"accuracy": [0.79, 0.81]}, "linear": {},
  "dummy": {}},
 "gains": {"champion": {"value": 0.03, "low": 0.01, "high": 0.05, "share": 0.99, "better": 1.0},
  "linear": null,
  "dummy": {"value": 0.33, "low": 0.3, "high": 0.35, "share": 1.0, "better": 1.0}},
 "resamples": 1000,
 "calibration": {"scale": 1.05, "bias": [0.02, -0.01], "before": {"log_loss": 0.44},
  "after": {"log_loss": 0.43},
  "bins_before": [{"confidence": 0.5, "accuracy": 0.4, "rows": 9}],
  "bins": [{"confidence": 0.6, "accuracy": 0.6, "rows": 9}]},
 "slices": [{"feature": "age", "sensitive": true, "metric": "accuracy",
  "groups": [{"name": "< 30", "rows": 40, "judged": true, "values": {"accuracy": 0.8, "recall": null}}],
  "difference": {"accuracy": null}, "ratio": {"accuracy": null}}],
 "champion_slices": [], "champion_version": 3, "remark": "judged by its twin", "train_rows": 48000,
 "holdout_rows": 12000, "holdout_from": "2026-06-01T00:00:00+00:00", "size_bytes": 812345,
 "latency_ms": 0.4123,
 "champion_footprint": {"size_bytes": 800000, "latency_ms": 0.4},
 "replay": {"rows": 1000, "champion_version": 3,
  "examples": [{"champion": "a", "candidate": "b", "rows": 40}],
  "changed": 130, "share": 0.13},
 "importance": {"age": 0.5, "visits": 0.1},
 "learning_curve": [{"share": 0.1, "rows": 4800, "train": 0.9, "holdout": 0.7}],
 "model_digest": "ab", "holdout_digests": ["cd"], "task_type": "CPU", "seconds": {"fitting": 1.0, "all": 2.0},
 "data": {"rows": 60000, "entities": 10000, "trained_until": "2026-08-01T00:00:00+00:00",
  "class_shares": {"a": 0.5, "b": 0.5}, "missing": {"age": 0.02}}}"""


def test_a_search_result_is_read_and_written_without_a_change() -> None:
    document = json.loads(SEARCH)
    assert json.dumps(SearchResult.from_json(document).to_json()) == json.dumps(document)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"champion": None, "champion_version": None, "champion_slices": None, "champion_footprint": None},
        {"calibration": None, "replay": None, "slices": [], "learning_curve": []},
        {
            "replay": {
                "rows": 9,
                "champion_version": 3,
                "examples": [],
                "mean_change": 0.5,
                "changed": 0,
                "share": 0.0,
            }
        },
    ],
    ids=["whole", "first", "plain", "numbers"],
)
def test_an_evaluation_is_read_and_written_without_a_change(changes: dict[str, Any]) -> None:
    document = {**json.loads(EVALUATION), **changes}
    assert json.dumps(Evaluation.from_json(document).to_json()) == json.dumps(document)


def test_documents_of_versions_that_recorded_less_are_read() -> None:
    search = json.loads(SEARCH)
    for key in ("best_trial", "calibration", "curve", "importance", "sampler", "pruner", "space"):
        del search[key]
    result = SearchResult.from_json({**search, "added later": 1})
    assert (result.loss, result.calibration, result.best_trial) == (0.4411, None, None)
    whole = json.loads(EVALUATION)
    needed = (
        "candidate",
        "champion",
        "linear",
        "dummy",
        "champion_version",
        "gains",
        "size_bytes",
        "latency_ms",
    )
    evaluation = Evaluation.from_json({name: whole[name] for name in needed} | {"added later": 1})
    assert evaluation.candidate == {"accuracy": 0.83, "log_loss": 0.4}
    assert (evaluation.champion_slices, evaluation.champion_footprint, evaluation.data) == (None, None, None)
    recorded_less = json.loads(EVALUATION)
    for part, keys in {"replay": ("examples", "changed"), "calibration": ("bins_before", "bins")}.items():
        for key in keys:
            del recorded_less[part][key]
    former = Evaluation.from_json(recorded_less)
    assert former.replay is not None
    assert (former.replay.examples, former.replay.changed) == ((), 0)
    assert former.calibration is not None
    assert (former.calibration.bins_before, former.calibration.bins) == ((), ())
    del whole["gains"]["champion"]["better"]
    gain = Evaluation.from_json(whole).comparison.gains["champion"]
    assert gain is not None
    assert gain.better is None
    assert Evaluation.from_json(whole).to_json() == whole
