"""The gate: may this candidate become champion? A verdict with every check, its numbers and its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from evergreen.training.evaluation import LESS_IS_BETTER
from evergreen.usecase import UseCase


@dataclass(frozen=True)
class Check:
    """One comparison: `candidate` against `wanted` (None where a number is not defined)."""

    name: str
    passed: bool
    candidate: float | None
    wanted: float | None
    reason: str


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate may be promoted, and why. `champion_version` is whom it was compared with."""

    passed: bool
    metric: str
    champion_version: int | None
    checks: tuple[Check, ...]

    @property
    def summary(self) -> str:
        """In one sentence: all reasons when it passed, the failed ones when not."""
        told = [check.reason for check in self.checks if self.passed or not check.passed]
        return ("passed: " if self.passed else "rejected: ") + "; ".join(told)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "checks": [asdict(check) for check in self.checks], "summary": self.summary}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        return cls(
            passed=data["passed"],
            metric=data["metric"],
            champion_version=data["champion_version"],
            checks=tuple(Check(**check) for check in data["checks"]),
        )


def judge(
    use_case: UseCase,
    candidate: Mapping[str, float],
    baseline: Mapping[str, float],
    champion: Mapping[str, float] | None,
    champion_version: int | None = None,
    remark: str = "",
) -> Verdict:
    """Judge a candidate by metrics that all three got on the same hold-out.

    It must be better than the champion (without one, than the baseline) on `gate.metric`, by `gate.margin` at
    least: an equal model is no reason for a change, unless a negative margin says so. And it must reach
    `gate.floor` if one is set. `remark` is added to the comparison's reason.
    """
    gate = use_case.gate
    value = candidate.get(gate.metric)
    if champion is not None:
        rival, name, margin = champion.get(gate.metric), f"champion v{champion_version}", gate.margin
    else:
        rival, name = baseline.get(gate.metric), "the linear baseline"
        margin = gate.margin if gate.baseline_margin is None else gate.baseline_margin
    checks = [_beats(gate.metric, margin, value, rival, name, remark)]
    if gate.floor is not None:
        checks.append(_reaches(gate.metric, value, gate.floor))
    return Verdict(
        passed=all(check.passed for check in checks),
        metric=gate.metric,
        champion_version=champion_version if champion is not None else None,
        checks=tuple(checks),
    )


def _beats(
    metric: str, margin: float, value: float | None, rival: float | None, name: str, remark: str
) -> Check:
    label = "beats champion" if name.startswith("champion") else "beats baseline"
    if value is None or rival is None:
        return Check(label, False, value, rival, f"{metric} is not defined on this hold-out")
    gain = rival - value if metric in LESS_IS_BETTER else value - rival
    passed = gain > 0 if margin == 0 else gain >= margin
    if margin < 0 and gain <= 0:
        compared = f"is {'' if passed else 'not '}within {-margin:g} of"
        demand = ""
    else:
        compared = "beats" if passed else "does not beat"
        demand = f" by {margin:g}" if margin > 0 else ""
    reason = f"{metric} {value:.4f} {compared} {name}'s {rival:.4f}{demand}{f' ({remark})' if remark else ''}"
    return Check(label, passed, value, rival, reason)


def _reaches(metric: str, value: float | None, floor: float) -> Check:
    if value is None:
        return Check("reaches floor", False, None, floor, f"{metric} is not defined on this hold-out")
    passed = value <= floor if metric in LESS_IS_BETTER else value >= floor
    bound = "at most" if metric in LESS_IS_BETTER else "at least"
    reason = f"{metric} {value:.4f} is {'' if passed else 'not '}{bound} {floor:g}"
    return Check("reaches floor", passed, value, floor, reason)
