"""Drift between windows that a person chose: any two, of any versions, also in slices that nobody declared.

Nothing is written: neither a check, nor counts of hours that nobody counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.model.reference_profile import SlicedProfiles, load_sliced_profiles
from evergreen.model.signature import list_model_inputs
from evergreen.model.slice_groups import ALL_ROWS, SliceGroup, build_number_groups
from evergreen.monitoring.counts.logged_groups import (
    add_group_profiles,
    build_quarter_groups,
    find_logged_groups,
    recount_groups,
)
from evergreen.monitoring.counts.recount import recount_window
from evergreen.monitoring.counts.window import WindowCounts, read_window_counts
from evergreen.monitoring.drift.compare import compare_windows, rebase_profiles
from evergreen.monitoring.drift.onset import find_drift_onset
from evergreen.monitoring.drift.outliers import describe_outliers, find_outliers
from evergreen.monitoring.drift.result import DriftResult
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.predictions.counts import Counts, add_counts, read_logged_spans
from evergreen.usecase import Slice, UseCase

_MOST_SPANS = 3


@dataclass(frozen=True)
class ChosenWindow:
    """The predictions of a version with start <= predicted_at < end (aware UTC) in some channels."""

    version: int
    start: datetime
    end: datetime
    channels: tuple[str, ...] = TRAFFIC

    def __str__(self) -> str:
        """The window in words."""
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"

    @property
    def before(self) -> ChosenWindow:
        """The window of the same length that ends where this one begins."""
        return ChosenWindow(self.version, self.start - (self.end - self.start), self.start, self.channels)


@dataclass(frozen=True)
class WindowComparison:
    """A window compared with a reference profile or with another window.

    `window` is what was counted, which may begin and end with whole hours (see `WindowCounts`), and
    `reference` the counts that it was compared with; `other` is the counted other window, None for a profile.
    `since` is the hour in which the drift began, None without drift or where it cannot be told. `notes` are
    those of the result, and what is to be known of the windows.
    """

    result: DriftResult
    window: WindowCounts
    reference: SlicedProfiles
    other: WindowCounts | None
    since: datetime | None
    notes: tuple[str, ...]


def compare_with_profile(
    engine: sa.Engine, use_case: UseCase, window: ChosenWindow, version: int, slices: Sequence[Slice] = ()
) -> WindowComparison:
    """Compare a window with the reference profile of a version, which need not be the window's.

    The profile has no counts of `slices` that were not declared when the version was trained: their groups
    are compared with the window before, of the same length. Raises StoreError for a version without a
    profile and for a window without predictions, and StoreUnreachable.
    """
    profiles = _load_profiles(engine, use_case, version)
    counted = _count_window(engine, use_case, window, profiles, is_own=version == window.version)
    groups = _find_groups(engine, use_case, window, counted.rows, profiles, slices)
    notes = []
    reference = profiles
    if groups:
        earlier = _count_groups(engine, use_case, window.before, profiles, groups)
        reference = {**profiles, **rebase_profiles(add_group_profiles(profiles, groups), earlier)}
        features = ", ".join(dict.fromkeys(group.feature for group in groups))
        notes.append(
            f"version {version} has no reference for the slices of {features}: they are compared with the "
            f"window before, {window.before}"
        )
    notes += _describe_bounds(window, counted)
    return _compare(engine, use_case, window, counted, profiles, groups, reference, None, notes)


def compare_with_window(
    engine: sa.Engine,
    use_case: UseCase,
    window: ChosenWindow,
    other: ChosenWindow,
    slices: Sequence[Slice] = (),
) -> WindowComparison:
    """Compare a window with another one, which may lie before it or after, and may be of another version.
    Both are counted by the bins of the window's version.

    Raises what `compare_with_profile` raises, also for the other window.
    """
    profiles = _load_profiles(engine, use_case, window.version)
    counted = _count_window(engine, use_case, window, profiles, is_own=True)
    is_own = other.version == window.version
    counted_other = _count_window(engine, use_case, other, profiles, is_own=is_own)
    groups = _find_groups(engine, use_case, window, counted.rows, profiles, slices)
    earlier = add_counts(counted_other.counts, _count_groups(engine, use_case, other, profiles, groups))
    reference = rebase_profiles(add_group_profiles(profiles, groups), earlier)
    notes = [*_describe_bounds(window, counted), *_describe_bounds(other, counted_other)]
    if window.start < other.end and other.start < window.end:
        notes.append("the windows overlap: rows that are in both make them look alike")
    if counted_other.rows < use_case.drift.min_rows:
        notes.append(
            f"the reference window has only {counted_other.rows:,} predictions, so only large changes are "
            "told from chance"
        )
    return _compare(engine, use_case, window, counted, profiles, groups, reference, counted_other, notes)


def _compare(
    engine: sa.Engine,
    use_case: UseCase,
    window: ChosenWindow,
    counted: WindowCounts,
    profiles: SlicedProfiles,
    groups: Sequence[SliceGroup],
    reference: SlicedProfiles,
    other: WindowCounts | None,
    notes: Sequence[str],
) -> WindowComparison:
    """Compare a window that was counted by the bins of `profiles`, and its `groups`, with `reference`."""
    counts = add_counts(counted.counts, _count_groups(engine, use_case, window, profiles, groups))
    inputs = [feature.name for feature in list_model_inputs(use_case)]
    result = compare_windows(use_case.drift, reference, counts, since=counted.start, inputs=inputs)
    return WindowComparison(
        _add_outliers(engine, use_case, window, profiles, result),
        counted,
        reference,
        other,
        _find_onset(reference, counted, result),
        (*result.notes, *notes),
    )


def _load_profiles(engine: sa.Engine, use_case: UseCase, version: int) -> SlicedProfiles:
    profiles = load_sliced_profiles(engine, use_case.name, version)
    if not profiles.get(ALL_ROWS):
        raise StoreError(
            f"version {version} of {use_case.name} has no reference profile, whose bins predictions are "
            "counted by",
            hint="a version that Evergreen trained has one: choose another (--version, --against-version), "
            f"or train: evergreen train {use_case.name}",
        )
    return profiles


def _count_window(
    engine: sa.Engine, use_case: UseCase, window: ChosenWindow, profiles: SlicedProfiles, *, is_own: bool
) -> WindowCounts:
    """The counts of a window by the bins of profiles, which are those of its own version or not."""
    version, start, end, channels = window.version, window.start, window.end, window.channels
    if is_own:
        counted = read_window_counts(engine, use_case, version, profiles, start, end, channels, mend=False)
    else:
        rows, counts = recount_window(engine, use_case, version, profiles, start, end, channels)
        counted = WindowCounts(start, end, rows, counts)
    if not counted.rows:
        raise StoreError(
            f"version {version} of {use_case.name} has no predictions from {window} ({', '.join(channels)})",
            hint=_describe_spans(engine, use_case),
        )
    return counted


def _find_groups(
    engine: sa.Engine,
    use_case: UseCase,
    window: ChosenWindow,
    rows: int,
    profiles: SlicedProfiles,
    slices: Sequence[Slice],
) -> list[SliceGroup]:
    """The groups of slices that the profiles do not have. `rows` are in the window."""
    types = use_case.feature_types
    known = {group.feature for some in profiles.values() for each in some.values() if (group := each.group)}
    groups: dict[str, SliceGroup] = {}
    for each in slices:
        if each.edges:
            found = build_number_groups(each.feature, each.edges)
        elif each.feature in known:
            continue
        elif types[each.feature] in ("int", "float"):
            profile = profiles[ALL_ROWS].get(each.feature)
            found = build_quarter_groups(profile) if profile else []
        else:
            found = find_logged_groups(
                engine,
                use_case,
                each.feature,
                window.version,
                window.start,
                window.end,
                rows,
                window.channels,
            )
        groups.update({group.name: group for group in found if group.name not in profiles})
    return list(groups.values())


def _count_groups(
    engine: sa.Engine,
    use_case: UseCase,
    window: ChosenWindow,
    profiles: SlicedProfiles,
    groups: Sequence[SliceGroup],
) -> Counts:
    return recount_groups(
        engine, use_case, window.version, profiles, groups, window.start, window.end, window.channels
    )


def _add_outliers(
    engine: sa.Engine,
    use_case: UseCase,
    window: ChosenWindow,
    profiles: SlicedProfiles,
    result: DriftResult,
) -> DriftResult:
    outliers = find_outliers(
        engine, use_case, profiles[ALL_ROWS], window.version, window.start, window.end, window.channels
    )
    return replace(result, warnings=(*result.warnings, *describe_outliers(outliers)))


def _find_onset(reference: SlicedProfiles, counted: WindowCounts, result: DriftResult) -> datetime | None:
    drifted = [feature.feature for feature in result.features if feature.drifted]
    return find_drift_onset(reference, counted.hourly, counted.counts, drifted) if result.drifted else None


def _describe_bounds(window: ChosenWindow, counted: WindowCounts) -> list[str]:
    if (counted.start, counted.end) == (window.start, window.end):
        return []
    taken = ChosenWindow(window.version, counted.start, counted.end)
    return [f"of {window} whole hours were taken where an hour has many rows: {taken}"]


def _describe_spans(engine: sa.Engine, use_case: UseCase) -> str:
    """What the log holds, as a hint."""
    spans = read_logged_spans(engine, use_case.name)
    lines = [
        f"version {span.model_version} has {span.rows:,} ({span.channel}), "
        f"{span.first:%Y-%m-%d %H:%M} to {span.last:%Y-%m-%d %H:%M} UTC"
        for span in spans[:_MOST_SPANS]
    ]
    return (
        "the log holds: " + "; ".join(lines) if lines else "nothing is logged yet: ask the service something"
    )
