"""How a challenger is tried in service before it may become champion."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Literal

from evergreen.errors import UseCaseError
from evergreen.usecase.names import check_choice

TrialMode = Literal["shadow", "canary", "ab"]
# What deploy does with a candidate whose trial saw too few requests for a verdict.
WithoutVerdict = Literal["promote", "reject"]
# Two versions cannot have more than half of the keys each.
_MOST_AB_SHARE = 0.5


@dataclass(frozen=True)
class TrialLimits:
    """What ends a trial before its time; each worker of the service judges its own rows.

    `error_share`: the greatest share of the challenger's rows that it fails on, by an exception or by an
    answer that is not finite; fewer than three failures are never too many. Its last rows are judged as well:
    it may not fail on so many of them that chance does not explain it. `latency_ratio` and `latency_ms`: the
    challenger is too slow when the 95th percentile of its newest prediction times, one for each batch, is
    more than so many times the champion's and more than so many milliseconds. `mix_difference`: the greatest
    distance between the newest predictions of both (5,000, or `min_rows` if that is more, up to 100,000),
    from 0 to 1: the total variation distance of the classes' shares, or the Kolmogorov-Smirnov distance of
    numbers. One prediction of each is compared for each of the other's, so that both are of the same time,
    and they are judged from `min_rows` of each on. A trial whose time ends with fewer rows of the challenger,
    in all workers together, has no verdict. `answer_ms`: how long a request waits for the challenger before
    the champion answers it instead; one that takes longer once has failed.
    """

    error_share: float = 0.01
    latency_ratio: float = 5.0
    latency_ms: float = 20.0
    mix_difference: float = 0.25
    min_rows: int = 200
    answer_ms: float = 1000.0

    def __post_init__(self) -> None:
        for name in ("error_share", "mix_difference"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise UseCaseError(
                    f"the trial's {name} is {value:g}", hint="give a share from 0 to 1; 1 sets no limit"
                )
        for name in ("latency_ratio", "latency_ms"):
            value = getattr(self, name)
            if not value >= 0.0:
                raise UseCaseError(f"the trial's {name} is {value:g}", hint="give a number from 0 on")
        if not 1.0 <= self.answer_ms <= 60_000.0:
            raise UseCaseError(
                f"the trial's answer_ms is {self.answer_ms:g}", hint="give from 1 to 60000 milliseconds"
            )
        if self.min_rows < 1:
            raise UseCaseError(f"the trial's min_rows is {self.min_rows}", hint="give 1 or more")

    def to_json(self) -> dict[str, float]:
        """The limits by name, as a trial keeps them."""
        return {limit.name: getattr(self, limit.name) for limit in fields(self)}

    @classmethod
    def from_json(cls, document: dict[str, float]) -> TrialLimits:
        """The limits that `to_json` wrote; those that it does not have are the default."""
        names = {limit.name for limit in fields(cls)}
        values = {name: value for name, value in document.items() if name in names}
        return cls(**values)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Trial:
    """How versions of a use case are tried.

    "shadow": the challenger answers every single request too, off the path, and only the log has its answer.
    "canary": it answers the requests of a `share` of the keys, the same keys for the whole trial. "ab": the
    same as the canary, but what counts is the comparison at the end; a test of two versions that are not
    champion is started by hand, and each has that `share`, so it is 0.5 at most. A trial ends after
    `duration`, or as soon as the challenger is beyond one of the `limits`. `without_verdict`: what deploy
    does with a candidate that passed the gate, and whose trial saw too few rows: "promote" it with a warning,
    or "reject" it. Raises UseCaseError.
    """

    mode: TrialMode = "shadow"
    share: float = 0.1
    duration: timedelta = timedelta(hours=1)
    limits: TrialLimits = field(default_factory=TrialLimits)
    without_verdict: WithoutVerdict = "promote"

    def __post_init__(self) -> None:
        check_choice(self.mode, TrialMode, "the mode of a trial")
        check_choice(self.without_verdict, WithoutVerdict, "what follows a trial without verdict")
        if not 0.0 < self.share <= 1.0:
            raise UseCaseError(
                f"the share of a trial is {self.share:g}",
                hint="give a share above 0 and up to 1, such as 0.1 for a tenth of the keys",
            )
        if self.mode == "ab" and self.share > _MOST_AB_SHARE:
            raise UseCaseError(
                f"the share of each version of an A/B test is {self.share:g}", hint="give 0.5 at most"
            )
        if not timedelta(seconds=1) <= self.duration <= timedelta(days=90):
            raise UseCaseError(
                f"the duration of a trial is {self.duration}", hint="give from a second to 90 days"
            )
