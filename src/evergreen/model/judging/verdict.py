"""What the gate found: checks with three results, and whether the candidate may become champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# A warning is told wherever the verdict is, and rejects nobody.
CheckResult = Literal["passed", "failed", "warning"]

# So many reasons does the summary of a candidate that passed give.
_MOST_REASONS = 3


@dataclass(frozen=True)
class Check:
    """One comparison: `candidate` against `wanted` (None where a number is not defined)."""

    name: str
    result: CheckResult
    candidate: float | None
    wanted: float | None
    reason: str

    @property
    def passed(self) -> bool:
        """Whether it lets the candidate through: a warning does."""
        return self.result != "failed"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "result": self.result,
            "passed": self.passed,
            "candidate": self.candidate,
            "wanted": self.wanted,
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Check:
        """Records of before there were warnings have "passed" alone."""
        return cls(
            name=data["name"],
            result=data.get("result") or ("passed" if data["passed"] else "failed"),
            candidate=data["candidate"],
            wanted=data["wanted"],
            reason=data["reason"],
        )


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate may be promoted, and why. `champion_version` is whom it was compared with."""

    metric: str
    champion_version: int | None
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """No check has failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        return self._with("failed")

    @property
    def warnings(self) -> tuple[Check, ...]:
        return self._with("warning")

    @property
    def summary(self) -> str:
        """The reasons that decided, and every warning.

        Of a candidate that passed they are those of the first three checks that it passed; of one that was
        rejected those of all that it failed.
        """
        warned = "; ".join(check.reason for check in self.warnings)
        count = f"{len(self.warnings)} warning{'s' if len(self.warnings) > 1 else ''}"
        if not self.passed:
            told = "rejected: " + "; ".join(check.reason for check in self.failed)
            return f"{told}. {count}: {warned}" if warned else told
        reasons = "; ".join(check.reason for check in self._with("passed")[:_MOST_REASONS])
        if not warned:
            return f"passed: {reasons}"
        return f"passed with {count}: {warned}" + (f". Reasons: {reasons}" if reasons else "")

    def to_json(self) -> dict[str, Any]:
        """JSON-able; "warnings" are the reasons of the checks that warn."""
        return {
            "passed": self.passed,
            "metric": self.metric,
            "champion_version": self.champion_version,
            "checks": [check.to_json() for check in self.checks],
            "warnings": [check.reason for check in self.warnings],
            "summary": self.summary,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        """What `to_json` made, in this version or one before."""
        return cls(
            metric=data["metric"],
            champion_version=data["champion_version"],
            checks=tuple(Check.from_json(check) for check in data["checks"]),
        )

    def _with(self, result: CheckResult) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.result == result)
