"""Which version is better, in words: decided, not yet, never, and by estimate only."""

from __future__ import annotations

import json

from evergreen.monitoring.quality.trials.confidence_sequence import LossSums
from evergreen.monitoring.quality.trials.trial_comparison import LossPair, compare_losses

NOTHING = LossSums(0, 0.0, 0.0)


def wrong(rows: int, share: float) -> LossSums:
    return LossSums(rows, share * rows, share * rows)


def unpaired(one: LossSums, other: LossSums, bias: float = 0.0) -> LossPair:
    return LossPair(one, other, None, 1.0, bounded=True, bias=bias)


def test_a_clear_difference_names_the_better_version() -> None:
    compared = compare_losses(
        3, 2, "share of wrong answers", "realised", unpaired(wrong(4_000, 0.1), wrong(4_000, 0.2))
    )
    assert (compared.better, compared.rows_needed, compared.is_worse) == (3, 0, False)
    assert compared.sentence.startswith(
        "v3 is better than v2: share of wrong answers of v3 less v2's is -0.1 on 8,000 rows with outcomes"
    )
    json.dumps(compared.to_json())
    back = compare_losses(
        2, 3, "share of wrong answers", "realised", unpaired(wrong(4_000, 0.2), wrong(4_000, 0.1))
    )
    assert (back.better, back.is_worse) == (3, True)


def test_what_cannot_be_said_yet_tells_how_many_rows_will() -> None:
    compared = compare_losses(3, 2, "loss", "realised", unpaired(wrong(500, 0.18), wrong(500, 0.20)))
    assert compared.better is None
    assert compared.rows_needed is not None
    assert compared.rows_needed > 1_000
    assert compared.sentence.startswith("it cannot be said yet whether v3 or v2 is better: ")
    assert "if the difference stays as it is, about " in compared.sentence
    # The promise holds: so many rows of the same kind decide.
    half = compared.rows_needed // 2 + 1
    later = compare_losses(3, 2, "loss", "realised", unpaired(wrong(half, 0.18), wrong(half, 0.20)))
    assert later.better == 3


def test_equal_versions_are_never_told_apart() -> None:
    compared = compare_losses(3, 2, "loss", "realised", unpaired(wrong(9_000, 0.2), wrong(9_000, 0.2)))
    assert (compared.better, compared.rows_needed) == (None, None)
    assert compared.sentence.endswith("both may be equal, and no number of rows would tell")


def test_paired_differences_need_fewer_rows() -> None:
    # In 500 rows both are wrong alike but for 40, of which the challenger is right in 35.
    pair = LossPair(NOTHING, NOTHING, LossSums(500, 5.0 - 35.0, 40.0), 1.0, bounded=True)
    compared = compare_losses(3, 2, "share of wrong answers", "realised", pair)
    assert compared.better == 3
    assert "500 rows with outcomes that both answered" in compared.sentence
    same = compare_losses(3, 2, "loss", "realised", unpaired(wrong(500, 0.14), wrong(500, 0.20)))
    assert same.better is None


def test_an_estimate_says_so_and_never_condemns() -> None:
    compared = compare_losses(3, 2, "loss", "estimated", unpaired(wrong(9_000, 0.3), wrong(9_000, 0.2), 0.02))
    assert (compared.better, compared.is_worse) == (2, False)
    assert compared.sentence.startswith("v2 is better than v3 by estimate: estimated loss of v3")
    assert compared.sentence.endswith("valid for covariate shift, blind to concept drift")
    vague = compare_losses(3, 2, "loss", "estimated", unpaired(wrong(9_000, 0.23), wrong(9_000, 0.2), 0.04))
    assert (vague.better, vague.rows_needed) == (None, None)
    assert vague.sentence.endswith("more rows alone will not tell")


def test_without_outcomes_of_both_nothing_is_said() -> None:
    for pair in (
        unpaired(NOTHING, wrong(10, 0.2)),
        unpaired(wrong(10, 0.2), NOTHING),
        LossPair(NOTHING, NOTHING, NOTHING, 1.0, bounded=True),
    ):
        compared = compare_losses(3, 2, "loss", "realised", pair)
        assert (compared.basis, compared.difference, compared.better) == ("none", None, None)
        assert compared.sentence == (
            "it cannot be said yet whether v3 or v2 is better: outcomes have not come for both"
        )


def test_few_numbers_have_no_interval() -> None:
    sums = LossSums(50, 500.0, 6_000.0)
    compared = compare_losses(
        3, 2, "mean absolute error", "realised", LossPair(sums, sums, None, 1.0, bounded=False)
    )
    assert compared.better is None
    assert "its interval is not known below 100 rows" in compared.sentence
