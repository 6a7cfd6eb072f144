"""What an upkeep says in words."""

from __future__ import annotations

from evergreen.loop.upkeep import UpkeepResult, describe_upkeep


def build_outcome(
    added: list[str], dropped: list[str], pruned: dict[str, int], history_from: str | None
) -> UpkeepResult:
    return UpkeepResult(
        use_case="toy",
        as_of="2026-08-01T12:00:00+00:00",
        partitions_added=added,
        partitions_dropped=dropped,
        versions_pruned=pruned,
        history_from=history_from,
        checks_pruned=0 if history_from is None else 3,
        alerts_pruned=0,
    )


def test_the_changes_are_counted_with_their_first_and_last_partition() -> None:
    days = ["p20260801", "p20260802", "p20260803"]
    outcome = build_outcome(days, ["p20260501"], {"a": 1200, "b": 34}, "2026-05-03T12:00:00+00:00")
    assert describe_upkeep(outcome) == (
        "partitions of the prediction log: 3 (p20260801 to p20260803) added, 1 (p20260501) dropped;"
        " 1,234 row versions that ended before 2026-05-03 pruned;"
        " details of 3 old checks and 0 old alerts dropped"
    )


def test_nothing_to_do_is_said_and_so_is_a_history_that_is_kept_for_ever() -> None:
    assert describe_upkeep(build_outcome([], [], {}, None)) == (
        "partitions of the prediction log: none added, none dropped;"
        " no row version pruned (EVERGREEN_HISTORY_DAYS is 0: all are kept);"
        " details of 0 old checks and 0 old alerts dropped"
    )
