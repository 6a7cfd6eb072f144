"""A fault, how large it is made, and what was seen of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.common.timing import say

if TYPE_CHECKING:
    from benchmarks.chaos.stand import Stand


@dataclass(frozen=True)
class Size:
    """How large the faults are: repetitions, seconds, requests a second where the load is even, and
    generated requests for each endpoint.

    `thorough` ones leave it to a later service to deliver what the first could not.
    """

    kills: int = 20
    kill_after: tuple[float, float] = (0.3, 4.0)
    outage_seconds: float = 60.0
    lock_seconds: float = 60.0
    swaps: int = 50
    stops: int = 5
    rate: float = 200.0
    trial_modes: tuple[str, ...] = ("canary", "shadow")
    disk_mb: int = 4
    fuzz_cases: int = 5_000
    seed: int = 11
    thorough: bool = True

    @property
    def pause(self) -> float:
        """How long things are left to themselves between two faults, in seconds."""
        return min(5.0, self.outage_seconds / 4)


FULL = Size()
QUICK = Size(
    kills=2,
    kill_after=(0.3, 1.0),
    outage_seconds=3.0,
    lock_seconds=3.0,
    swaps=6,
    stops=1,
    trial_modes=("canary",),
    disk_mb=1,
    fuzz_cases=20,
    thorough=False,
)


@dataclass
class Report:
    """What was seen of one fault.

    `acknowledged` predictions were answered with 200; of them `lost` are not in MariaDB, and `doubled` rows
    are there again. `failed` requests got another answer than they should, or none. `limits` says what must
    hold, by the name of the count or fact, and `broken` which of it did not, in sentences.
    """

    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    failed: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool | None:
        """Whether every promise was kept; None when the fault could not be made here."""
        return None if self.skipped else not self.broken

    def require(self, name: str, value: object, limit: str, holds: bool) -> None:
        """Note a fact and what it must be; what does not hold is a broken promise."""
        self.facts[name] = value
        self.limits[name] = limit
        if not holds:
            self.broken.append(f"{name} is {value}, and must be {limit}")

    def require_at_most(self, name: str, value: float, limit: float) -> None:
        self.require(name, value, f"at most {limit:g}", value <= limit)

    def require_at_least(self, name: str, value: float, limit: float) -> None:
        self.require(name, value, f"at least {limit:g}", value >= limit)

    def require_true(self, name: str, holds: bool) -> None:
        self.require(name, holds, "true", holds)

    def judge_counts(self, *, failed: int | None = 0) -> None:
        """There must have been predictions, none lost or doubled, and at most `failed` (None: any number)
        requests that failed."""
        counts = {"lost": 0, "doubled": 0, **({} if failed is None else {"failed": failed})}
        for name, most in counts.items():
            self.limits[name] = f"at most {most}"
            if (value := getattr(self, name)) > most:
                self.broken.append(f"{name} is {value:,}, and must be at most {most}")
        if not self.acknowledged:
            self.broken.append("nothing was predicted: the fault was not tried")

    def to_json(self) -> dict[str, Any]:
        return {
            "acknowledged": self.acknowledged,
            "lost": self.lost,
            "doubled": self.doubled,
            "failed": self.failed,
            "seconds": round(self.seconds, 1),
            "passed": self.passed,
            "limits": self.limits,
            "facts": self.facts,
            "broken": self.broken,
            **({"skipped": self.skipped} if self.skipped else {}),
        }


@dataclass(frozen=True)
class Fault:
    """A fault by its name, what must hold under it, and how it is made."""

    name: str
    promise: str
    make: Callable[[Stand, Size, Report], None]

    def attempt(self, stand: Stand, size: Size) -> Report:
        """Make the fault. An error on the way is a broken promise: what follows must be tried as well."""
        say(f"{self.name}: {self.promise}")
        report, began = Report(), time.monotonic()
        try:
            self.make(stand, size, report)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            report.broken.append(f"it could not be tried to its end: {type(error).__name__}: {error}")
        report.seconds = time.monotonic() - began
        verdict = {True: "kept", False: "BROKEN", None: "skipped"}[report.passed]
        say(f"  {verdict} after {report.seconds:.0f} s {report.skipped}{'; '.join(report.broken)}")
        return report
