"""Verdicts: how they are summed up, and that those of before there were warnings are read."""

from __future__ import annotations

import json

import pytest

from evergreen.model.judging.verdict import Check, Verdict

OLD = {
    "passed": False,
    "metric": "accuracy",
    "champion_version": 4,
    "checks": [
        {"name": "beats champion", "passed": True, "candidate": 0.8, "wanted": 0.7, "reason": "better"},
        {"name": "latency", "passed": False, "candidate": None, "wanted": 50.0, "reason": "too slow"},
    ],
    "summary": "rejected: too slow",
}


def verdict(*results):
    checks = [Check(f"c{n}", result, 0.0, 0.0, f"r{n}") for n, result in enumerate(results)]
    return Verdict("accuracy", None, tuple(checks))


@pytest.mark.parametrize(
    ("results", "summary"),
    [
        (["passed"] * 5, "passed: r0; r1; r2"),
        (["warning", *["passed"] * 4], "passed with 1 warning: r0. Reasons: r1; r2; r3"),
        (["passed", "warning", "warning"], "passed with 2 warnings: r1; r2. Reasons: r0"),
        (["warning"], "passed with 1 warning: r0"),
        (["passed", "failed", "failed"], "rejected: r1; r2"),
        (["failed", "warning", "passed"], "rejected: r0. 1 warning: r1"),
        (["failed", "warning", "warning"], "rejected: r0. 2 warnings: r1; r2"),
    ],
)
def test_the_summary_has_what_decided_and_every_warning(results, summary):
    found = verdict(*results)
    assert found.summary == found.to_json()["summary"] == summary
    assert found.passed is summary.startswith("passed")
    assert found.to_json()["warnings"] == [c.reason for c in found.checks if c.result == "warning"]


def test_a_verdict_of_before_there_were_warnings_is_read():
    found = Verdict.from_json(OLD)
    assert [check.result for check in found.checks] == ["passed", "failed"]
    assert (found.passed, found.summary, found.champion_version) == (False, "rejected: too slow", 4)
    passed = {**OLD, "passed": True, "checks": OLD["checks"][:1]}
    assert Verdict.from_json(passed).passed


def test_readers_of_before_find_what_they_know():
    """Whoever reads `passed` of verdict and checks is told no warning as a failure."""
    told = json.loads(json.dumps(verdict("passed", "warning", "failed").to_json()))
    assert [check["passed"] for check in told["checks"]] == [True, True, False]
    assert [check["result"] for check in told["checks"]] == ["passed", "warning", "failed"]
    assert told["passed"] is False
    assert set(OLD) <= set(told)
    assert all(set(OLD["checks"][0]) <= set(check) for check in told["checks"])
