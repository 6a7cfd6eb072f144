"""What a run must keep to pass: the share of failed requests, and two percentiles of the response time."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """Of a whole run: how many requests, the share of failed ones, and percentiles in milliseconds."""

    requests: int
    error_rate: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Check:
    """One limit beside what was measured."""

    name: str
    value: float
    limit: float
    unit: str

    @property
    def passed(self) -> bool:
        return self.value <= self.limit

    def describe(self) -> str:
        verdict = "pass" if self.passed else "FAIL"
        if self.unit == "%":
            return f"{self.name} {self.value:.2%} (at most {self.limit:.2%}): {verdict}"
        return f"{self.name} {self.value:,.0f} {self.unit} (at most {self.limit:,.0f}): {verdict}"


@dataclass(frozen=True)
class Limits:
    """The share of requests that may fail (0 to 1), and milliseconds, of which 0 is no limit."""

    error_rate: float = 0.0
    p95: float = 0.0
    p99: float = 0.0

    def judge(self, figures: Figures) -> list[Check]:
        """Each limit that there is. A run without any request passes none of them."""
        nothing = figures.requests == 0
        checks = [Check("errors", 1.0 if nothing else figures.error_rate, self.error_rate, "%")]
        for name, value, limit in (("p95", figures.p95, self.p95), ("p99", figures.p99, self.p99)):
            if limit:
                checks.append(Check(name, math.inf if nothing else value, limit, "ms"))
        return checks
