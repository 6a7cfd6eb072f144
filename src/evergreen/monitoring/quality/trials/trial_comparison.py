"""Which of two versions on trial is better: a difference of losses with a confidence sequence, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from evergreen.documents import JsonObject, write_document
from evergreen.monitoring.quality.trials.confidence_sequence import (
    LossSums,
    bound_paired_difference,
    bound_unpaired_difference,
    find_rows_needed,
)
from evergreen.store.records.trial_rows import Estimate

Basis = Literal["realised", "estimated", "none"]


@dataclass(frozen=True)
class TrialComparison:
    """The loss of the version `one` less that of `other`: less is better, so below 0 `one` is better.

    `loss` names it. `basis`: by outcomes, by estimates without outcomes, or by nothing yet. `paired`: both
    answered the same rows. `difference` has the ends of its 95 % confidence sequence, which holds at every
    look. `better` is the better version, None where that cannot be said yet; `rows_needed` is then how many
    rows in all it takes if the difference stays as it is (None: cannot be said), 0 where it is decided.
    """

    one: int
    other: int
    loss: str
    basis: Basis
    paired: bool
    difference: Estimate | None
    better: int | None
    rows_needed: int | None
    sentence: str

    @property
    def is_worse(self) -> bool:
        """Whether outcomes show that `one` is worse; estimates alone never say so."""
        return self.basis == "realised" and self.better == self.other

    def to_json(self) -> JsonObject:
        """The fields by name, for `evergreen trial status --json`."""
        return write_document(self)


@dataclass(frozen=True)
class LossPair:
    """The losses of two versions: of rows of their own, or with `paired` the differences on the same rows.

    `ratio`: how many rows of `one` were planned for a row of `other`. `bounded`: losses lie between 0 and 1.
    `bias` is a half-width that no number of rows makes smaller: what is not known of an estimate.
    """

    one: LossSums
    other: LossSums
    paired: LossSums | None
    ratio: float
    bounded: bool
    bias: float = 0.0

    @property
    def rows(self) -> int:
        """How many rows the difference is about."""
        return self.paired.rows if self.paired is not None else self.one.rows + self.other.rows

    def bound(self, factor: float = 1.0) -> Estimate:
        """The difference with its interval, had there been so many times as many rows."""
        if self.paired is not None:
            difference = bound_paired_difference(_scale(self.paired, factor), bounded=self.bounded)
        else:
            difference = bound_unpaired_difference(
                _scale(self.one, factor),
                _scale(self.other, factor),
                ratio=self.ratio,
                bounded=self.bounded,
            )
        if difference.low is None or difference.high is None:
            return difference
        return Estimate(
            difference.rows, difference.value, difference.low - self.bias, difference.high + self.bias
        )


def compare_losses(one: int, other: int, loss: str, basis: Basis, pair: LossPair) -> TrialComparison:
    """Compare two versions by their losses."""
    is_paired = pair.paired is not None
    if not pair.rows or (not is_paired and not (pair.one.rows and pair.other.rows)):
        sentence = (
            f"it cannot be said yet whether v{one} or v{other} is better: outcomes have not come for both"
        )
        return TrialComparison(one, other, loss, "none", is_paired, None, None, None, sentence)
    difference = pair.bound()
    better: int | None = None
    if difference.high is not None and difference.high < 0.0:
        better = one
    elif difference.low is not None and difference.low > 0.0:
        better = other
    needed = 0 if better is not None else _find_rows_needed(difference.value, pair)
    sentence = _describe(one, other, loss, basis, pair, difference, better, needed)
    return TrialComparison(one, other, loss, basis, is_paired, difference, better, needed, sentence)


def _find_rows_needed(difference: float, pair: LossPair) -> int | None:
    def compute_half_width(rows: int) -> float:
        bounds = pair.bound(rows / pair.rows)
        if bounds.low is None or bounds.high is None:
            return math.inf
        # The end that must pass 0; limits of the loss itself may have cut the other one.
        return bounds.high - bounds.value if difference < 0.0 else bounds.value - bounds.low

    return find_rows_needed(difference, compute_half_width, pair.rows)


def _describe(
    one: int,
    other: int,
    loss: str,
    basis: Basis,
    pair: LossPair,
    difference: Estimate,
    better: int | None,
    needed: int | None,
) -> str:
    kind = "rows with outcomes" if basis == "realised" else "rows without outcomes"
    on = f"on {pair.rows:,} {kind}" + (" that both answered" if pair.paired is not None else "")
    word = "estimated " if basis == "estimated" else ""
    interval = (
        "its interval is not known below 100 rows"
        if difference.low is None or difference.high is None
        else f"95 % confidence sequence {difference.low:+.3g} to {difference.high:+.3g}"
    )
    figures = f"{word}{loss} of v{one} less v{other}'s is {difference.value:+.3g} {on} ({interval})"
    blind = ", valid for covariate shift, blind to concept drift" if basis == "estimated" else ""
    if better is not None:
        worse = other if better == one else one
        return f"v{better} is better than v{worse}{' by estimate' if word else ''}: {figures}{blind}"
    text = f"it cannot be said yet whether v{one} or v{other} is better: {figures}{blind}"
    if needed is None:
        return f"{text}; " + (
            "more rows alone will not tell"
            if pair.bias
            else "both may be equal, and no number of rows would tell"
        )
    return f"{text}; if the difference stays as it is, about {_round(needed):,} rows will tell"


def _scale(sums: LossSums, factor: float) -> LossSums:
    if factor == 1.0:
        return sums
    return LossSums(max(1, round(sums.rows * factor)), sums.total * factor, sums.squares * factor)


def _round(rows: int) -> int:
    """A number of rows with two digits that count."""
    return int(float(f"{rows:.2g}"))
