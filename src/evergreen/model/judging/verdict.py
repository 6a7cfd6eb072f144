"""The gate's verdict on a candidate: its checks, and whether the candidate may become champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NotRequired, TypeAlias, TypedDict, cast

# A warning is shown wherever the verdict is, and rejects no candidate.
CheckResult = Literal["passed", "failed", "warning"]

# How many reasons the summary of a candidate that passed has.
_MOST_REASONS = 3


class CheckDocument(TypedDict):
    """`Check` as JSON. Documents of earlier versions have no `result`."""

    name: str
    result: NotRequired[CheckResult]
    passed: bool
    candidate: float | None
    wanted: float | None
    reason: str


VerdictValue: TypeAlias = str | bool | int | list[str] | list[dict[str, str | bool | float | None]] | None


class VerdictDocument(TypedDict):
    """`Verdict` as JSON; `warnings` are the reasons of the checks that warn."""

    passed: bool
    metric: str
    champion_version: int | None
    checks: list[CheckDocument]
    warnings: NotRequired[list[str]]
    summary: str


@dataclass(frozen=True)
class Check:
    """One comparison of the candidate's value with the one that the gate asks for, `wanted`.

    Each is None where it is not defined.
    """

    name: str
    result: CheckResult
    candidate: float | None
    wanted: float | None
    reason: str

    @property
    def passed(self) -> bool:
        """Whether it does not reject the candidate; a warning does not."""
        return self.result != "failed"

    def to_json(self) -> dict[str, str | bool | float | None]:
        """The check as JSON."""
        return {
            "name": self.name,
            "result": self.result,
            "passed": self.passed,
            "candidate": self.candidate,
            "wanted": self.wanted,
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, data: CheckDocument) -> Check:
        """The check that `to_json` wrote; records of versions without warnings have "passed" alone."""
        return cls(
            name=data["name"],
            result=data.get("result") or ("passed" if data["passed"] else "failed"),
            candidate=data["candidate"],
            wanted=data["wanted"],
            reason=data["reason"],
        )


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate may be promoted, and why.

    `metric` is the one that decides; `champion_version` is the champion that it was compared with, None
    without one.
    """

    metric: str
    champion_version: int | None
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no check has failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that reject the candidate."""
        return self._select_checks("failed")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that warn."""
        return self._select_checks("warning")

    @property
    def summary(self) -> str:
        """The reasons that decided, and every warning.

        For a candidate that passed the reasons are those of its first three passed checks, for one that was
        rejected those of all failed checks.
        """
        warning_text = "; ".join(check.reason for check in self.warnings)
        count = f"{len(self.warnings)} warning{'s' if len(self.warnings) > 1 else ''}"
        if not self.passed:
            text = "rejected: " + "; ".join(check.reason for check in self.failed)
            return f"{text}. {count}: {warning_text}" if warning_text else text
        reasons = "; ".join(check.reason for check in self._select_checks("passed")[:_MOST_REASONS])
        if not warning_text:
            return f"passed: {reasons}"
        return f"passed with {count}: {warning_text}" + (f". Reasons: {reasons}" if reasons else "")

    def to_json(self) -> dict[str, VerdictValue]:
        """The verdict as JSON."""
        return {
            "passed": self.passed,
            "metric": self.metric,
            "champion_version": self.champion_version,
            "checks": [check.to_json() for check in self.checks],
            "warnings": [check.reason for check in self.warnings],
            "summary": self.summary,
        }

    @classmethod
    def from_json(cls, data: object) -> Verdict:
        """The verdict that `to_json` wrote, in this version or an earlier one. `data` is decoded JSON."""
        document = cast("VerdictDocument", data)
        return cls(
            metric=document["metric"],
            champion_version=document["champion_version"],
            checks=tuple(Check.from_json(check) for check in document["checks"]),
        )

    def _select_checks(self, result: CheckResult) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.result == result)
