"""The model card: what a decision needs is there, escaped, small, and needs neither script nor network."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from evergreen.training.card import render_model_card
from evergreen.usecase import TIMELESS

EVIL = '<b>"evil" & co'
MOST_BYTES = 150_000
Facts = dict[str, Any]


def scores(first: float) -> dict[str, float]:
    return {"accuracy": first, "log_loss": 1.2 - first}


def around(values: dict[str, float]) -> dict[str, list[float]]:
    return {name: [value - 0.01, value + 0.01] for name, value in values.items()}


def gain(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.004, "high": value + 0.004, "share": 0.997}


def multiclass(features: int = 6, trials: int = 12, classes: int = 3) -> Facts:
    names = [EVIL, *(f"class {n}" for n in range(1, classes))]
    inputs = [f"feature_{n}" for n in range(features)]
    own, champion, linear, dummy = scores(0.8312), scores(0.8245), scores(0.7903), scores(0.4521)
    return {
        "use_case": "credit_score",
        "title": "Credit score",
        "meaning": f"Predicts {EVIL}.",
        "problem": "multiclass",
        "entity": "customer",
        "version": 3,
        "training_run": "5b1d0c9e-3f2a",
        "mlflow_run": "0f8c2f6f",
        "as_of": "2026-09-01T00:00:00+00:00",
        "reason": "drift",
        "code_version": "0.1.0+gdb5062c",
        "model_digest": "ab" * 32,
        "data": {
            "digest": "cd" * 32,
            "rows": 60000,
            "train_rows": 48000,
            "holdout_rows": 12000,
            "holdout_from": "2026-06-01T00:00:00+00:00",
            "trained_until": "2026-08-01T00:00:00+00:00",
            "split": "time, share 0.2, seed 7",
            "read_at": "2026-09-01T00:03:00+00:00",
            "label": "credit_score",
            "classes": names,
            "class_shares": dict.fromkeys(names, 1 / classes),
            "features": [
                {"name": name, "type": "float", "meaning": EVIL * 5, "missing": 0.02} for name in inputs
            ],
            "on_demand": [{"name": inputs[0], "meaning": "A ratio.", "code": "a1b2c3d4e5f6"}],
        },
        "recipe": {"depth": 6, "learning_rate": 0.0948683, "iterations": 140, "class_weights": "none"},
        "evaluation": {
            "metric": "accuracy",
            "candidate": own,
            "champion": champion,
            "linear": linear,
            "dummy": dummy,
            "champion_version": 2,
            "remark": "judged by its twin",
            "intervals": {
                "candidate": around(own),
                "champion": around(champion),
                "linear": around(linear),
                "dummy": around(dummy),
            },
            "gains": {"champion": gain(0.0067), "linear": gain(0.0409), "dummy": gain(0.3791)},
            "calibration": {
                "scale": 1.0534,
                "bias": [0.021, -0.013, -0.008],
                "before": {"calibration_error": 0.0342, "log_loss": 0.4411},
                "after": {"calibration_error": 0.0112, "log_loss": 0.4321},
                "bins": [
                    {"confidence": sure / 10, "accuracy": sure / 11, "rows": 100 * sure}
                    for sure in range(4, 10)
                ],
            },
            "slices": [
                {
                    "feature": "age",
                    "sensitive": True,
                    "metric": "accuracy",
                    "groups": [
                        {
                            "name": EVIL,
                            "rows": 1210,
                            "judged": True,
                            "values": {"accuracy": 0.812, "recall": 0.8},
                        },
                        {
                            "name": "65 or more",
                            "rows": 23,
                            "judged": False,
                            "values": {"accuracy": None, "recall": None},
                        },
                    ],
                    "difference": {"accuracy": 0.022, "recall": None},
                    "ratio": {"accuracy": 0.974, "recall": None},
                }
            ],
            "size_bytes": 812345,
            "latency_ms": 0.4123,
            "replay": {
                "rows": 1000,
                "changed": 130,
                "share": 0.13,
                "champion_version": 2,
                "examples": [{"champion": EVIL, "candidate": "class 1", "rows": 40}],
            },
            "importance": {name: 1 / (n + 1) for n, name in enumerate(inputs)},
            "learning_curve": [
                {"share": share, "rows": int(48000 * share), "train": 0.9, "holdout": 0.7 + share / 10}
                for share in (0.25, 0.5, 1.0)
            ],
        },
        "search": {
            "sampler": "tpe",
            "trials": [
                {
                    "number": n,
                    "state": ("complete", "complete", "pruned", "failed")[n % 4],
                    "params": {"depth": 4 + n % 5, "learning_rate": 0.01 * (n + 1)},
                    "loss": None if n % 4 == 3 else 0.5 + math.sin(n) / 10,
                    "trees": 100 + n,
                    "seconds": 1.0,
                }
                for n in range(trials)
            ],
            "seconds": 41.2345,
            "space": [{"parameter": "depth", "values": "4 to 8"}],
            "importance": {"depth": 0.31},
        },
        "verdict": {
            "passed": True,
            "summary": "passed: all",
            "metric": "accuracy",
            "champion_version": 2,
            "checks": [
                {
                    "name": "beats champion",
                    "passed": True,
                    "candidate": 0.8312,
                    "wanted": 0.8245,
                    "reason": f"accuracy 0.8312 beats {EVIL}",
                },
                {
                    "name": "latency",
                    "passed": True,
                    "candidate": 0.41,
                    "wanted": 50.0,
                    "reason": "fast enough",
                },
            ],
        },
        "limits": ["It says nothing about real people.", EVIL],
    }


def without_champion() -> Facts:
    facts = multiclass()
    evaluation = facts["evaluation"]
    evaluation |= {"champion": None, "champion_version": None, "replay": None, "remark": ""}
    evaluation["intervals"]["champion"] = None
    evaluation["gains"]["champion"] = None
    facts["verdict"]["champion_version"] = None
    facts["version"] = None
    return facts


def regression() -> Facts:
    facts = without_champion()
    own, linear = {"mae": 21234.5, "rmse": 32110.2, "r2": 0.8312}, {"mae": 25210.2, "rmse": 36120.7}
    facts["problem"] = "regression"
    facts["data"] |= {"classes": [], "class_shares": None, "holdout_from": None}
    facts["evaluation"] |= {
        "metric": "rmse",
        "candidate": own,
        "linear": linear,
        "dummy": {"mae": 60210.2, "rmse": 81230.4, "r2": -0.0004},
        "intervals": {"candidate": {"rmse": [31000.0, 33220.0]}, "linear": None, "dummy": None},
        "gains": {"champion": None, "linear": None, "dummy": None},
        "calibration": None,
        "slices": [],
        "replay": {
            "rows": 10,
            "changed": 4,
            "share": 0.4,
            "champion_version": 2,
            "examples": [],
            "mean_change": -812.3,
        },
    }
    return facts


def binary() -> Facts:
    facts = multiclass(classes=2)
    facts["problem"] = "binary"
    facts["verdict"]["passed"] = False
    facts["verdict"]["checks"][1] |= {"passed": False, "candidate": None, "reason": "too slow"}
    facts["evaluation"]["replay"] = None
    return facts


def warned() -> Facts:
    """Three checks, of which one warns; each says its result."""
    facts = multiclass()
    checks = facts["verdict"]["checks"]
    for check in checks:
        check["result"] = "passed"
    reason = f"accuracy 0.8312 does not beat {EVIL}"
    linear = {"name": "beats linear", "result": "warning", "passed": True, "reason": reason}
    checks.insert(1, {**linear, "candidate": 0.8312, "wanted": 0.8412})
    return facts


def broken() -> Facts:
    """Numbers that are none, everywhere."""
    return json.loads(json.dumps(multiclass()), parse_float=lambda _: float("nan"))


KINDS: list[Callable[[], Facts]] = [multiclass, warned, without_champion, regression, binary, broken, dict]


class Text(HTMLParser):
    """What a reader sees, and whether every element is closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.seen.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.seen).split())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_card_is_one_safe_small_page(kind: Callable[[], Facts]) -> None:
    page = render_model_card(kind())
    assert len(page.encode()) < MOST_BYTES
    assert "<script" not in page
    assert not re.search(r"https?:|src=|@import|url\(|<img|href=\"(?!data:,)", page)
    assert '<b>"evil"' not in page
    read = Text(page)
    assert read.open == []
    assert not re.search(r"\b(nan|NaN|None|inf|Infinity)\b", page[page.index("</style>") :])
    assert read.said.count("Verdict") == 1


def test_what_a_decision_needs_is_there_and_the_verdict_is_first() -> None:
    said = Text(render_model_card(multiclass())).said
    for wanted in (
        *("Credit score: version 3", "Passed", "All 2 checks passed.", "champion v2", "beats champion"),
        *("0.8312", "0.8245", "fast enough", "60,000", "48,000 to train", "2026-06-01 00:00 UTC"),
        *("+0.0067", "99.7%", "[0.8212, 0.8412]", "judged by its twin", "130", "13.0%", "sensitive"),
        *("1,210", "65 or more", "differ by 0.022", "0.0342", "0.0112", "feature_5", "a1b2c3d4e5f6"),
        *("12 trials by the tpe sampler in 41.2 s: 6 complete, 3 pruned, 3 failed", "4 to 8", "0.0949"),
        *("It says nothing about real people.", "ab" * 32, "cd" * 32, "0.1.0+gdb5062c", "5b1d0c9e-3f2a"),
    ):
        assert wanted in said, wanted
    assert said.count(EVIL) >= 5
    headings = [said.index(f" {name} ") for name in ("Verdict", "Data", "Metrics", "Limits", "Origin")]
    assert headings == sorted(headings)
    assert said.count("✓") == 2


def test_a_rejection_names_what_failed_first() -> None:
    said = Text(render_model_card(binary())).said
    assert "Rejected 1 of 2 checks failed: latency. Champion v2 stays." in said
    assert said.index("✗") < said.index("✓")
    assert "No logged requests were answered again" in said


def test_a_warning_has_a_look_of_its_own() -> None:
    page = render_model_card(warned())
    said = Text(page).said
    told = (
        "Passed with 1 warning 2 of 3 checks passed, beats linear warned. It may take the place of champion"
    )
    assert told in said
    assert 'class="verdict warned"' in page
    assert page.count('<span class="mark warn" title="warning">!</span>') == 1
    assert said.index("accuracy 0.8312 does not beat") < said.index("accuracy 0.8312 beats"), "warnings first"
    assert said.count("✓") == 2
    assert "✗" not in said
    for look in (".verdict.warned", ".mark.warn"):
        assert look in page, "the page brings the look along"


def test_a_rejection_tells_its_warnings_behind_what_failed() -> None:
    facts = warned()
    facts["verdict"]["passed"] = False
    facts["verdict"]["checks"][2] |= {"result": "failed", "passed": False}
    page = render_model_card(facts)
    said = Text(page).said
    assert "1 of 3 checks failed: latency; 1 warning: beats linear. Champion v2 stays." in said
    assert 'class="verdict rejected"' in page
    assert said.index("✗") < said.index("!") < said.index("✓")


def test_two_warnings_are_counted() -> None:
    facts = warned()
    facts["verdict"]["checks"][0]["result"] = "warning"
    said = Text(render_model_card(facts)).said
    assert "Passed with 2 warnings 1 of 3 checks passed, beats champion, beats linear warned." in said


def test_a_first_model_has_no_champion() -> None:
    said = Text(render_model_card(without_champion())).said
    assert "No champion was compared with it: it may go live." in said
    assert "champion v" not in said.replace("beats champion", "")
    assert "Changed answers" not in said
    assert "gain on the linear baseline" in said
    assert "Credit score: a candidate" in said


def test_regression_has_neither_classes_nor_calibration() -> None:
    said = Text(render_model_card(regression())).said
    assert "A number for each customer" in said
    assert "RMSE ↓" in said
    assert "32,110" in said
    assert "changes by -812.3" in said
    for absent in ("Classes", "Calibration", "Slices"):
        assert f" {absent} " not in said


def test_the_best_of_a_line_follows_the_metrics_direction() -> None:
    page = render_model_card(multiclass())
    line = page[page.index("log loss ↓") :]
    assert "<b>0.3688</b>" in line[: line.index("</tr>")]


def test_rows_without_a_time_tell_none() -> None:
    facts = multiclass()
    facts["data"]["trained_until"] = TIMELESS.isoformat()
    assert "trained until" not in Text(render_model_card(facts)).said


def test_calibration_shows_the_bins_before_it_if_they_are_known() -> None:
    facts = multiclass()
    assert "before the correction" not in render_model_card(facts)
    facts["evaluation"]["calibration"]["bins_before"] = [{"confidence": 0.5, "accuracy": 0.4, "rows": 9}]
    assert "before the correction" in render_model_card(facts)


def test_without_a_verdict_it_says_so() -> None:
    assert "Not judged" in Text(render_model_card({"title": "T"})).said


def test_a_part_at_a_time_may_be_missing() -> None:
    whole = multiclass()
    for name in whole:
        render_model_card({**whole, name: None})
    for name in whole["evaluation"]:
        render_model_card({**whole, "evaluation": {**whole["evaluation"], name: None}})
    for name in whole["data"]:
        render_model_card({**whole, "data": {**whole["data"], name: None}})
    for name in whole["search"]:
        render_model_card({**whole, "search": {**whole["search"], name: None}})


def test_the_widest_use_case_still_fits() -> None:
    facts = multiclass(features=900, trials=2_000, classes=50)
    one = facts["evaluation"]["slices"][0]
    group = {
        **one["groups"][0],
        "values": dict.fromkeys(("accuracy", "recall", "precision", "f1"), 0.81234),
    }
    facts["evaluation"]["slices"] = [{**one, "groups": [group] * 21}] * 15
    facts["limits"] = ["A long sentence. " * 60] * 60
    assert len(render_model_card(facts).encode()) < MOST_BYTES
