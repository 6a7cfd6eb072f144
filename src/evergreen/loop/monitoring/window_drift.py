"""Drift of a window that a person chose, against a reference profile or another window: for
`evergreen drift`. It writes nothing: no check, no decision, no counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from evergreen.documents import JsonObject, write_document
from evergreen.errors import SettingsError
from evergreen.model.reference_profile import PREDICTION, SlicedProfiles
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.moments import is_future
from evergreen.monitoring.drift.chosen_windows import (
    ChosenWindow,
    WindowComparison,
    compare_with_profile,
    compare_with_window,
)
from evergreen.registry.champion import require_champion
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.channels import CHANNELS, TRAFFIC
from evergreen.store.records.checks.drift_metric import SEVERITIES, DriftMetric, Severity, get_worst_severity
from evergreen.usecase import Slice, UseCase
from evergreen.usecase.names import suggest_name
from evergreen.usecases import load_use_case


@dataclass(frozen=True)
class WindowRequest:
    """What to compare: a window of a version's predictions, and with what. Moments are aware UTC.

    `end` is by default the present, `start` the policy's `drift.window` before, `version` the champion. With
    `against_start` or `against_end` the predictions of `against_version` (by default the same version) in
    that window are the reference, else that version's reference profile; of one moment alone the other
    follows: the window ends where the first begins, or is as long as it. `slices` are "FEATURE", or
    "FEATURE=EDGE,EDGE" for a number; `channels` are those of the prediction log, () for `TRAFFIC`.
    """

    start: datetime | None = None
    end: datetime | None = None
    against_start: datetime | None = None
    against_end: datetime | None = None
    version: int | None = None
    against_version: int | None = None
    slices: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class SideFacts:
    """One side of a comparison: predictions of a version in a window (aware UTC), or the reference profile of
    a version, without moments. `rows` are the predictions, or the training rows."""

    model_version: int
    start: datetime | None
    end: datetime | None
    rows: int


@dataclass(frozen=True)
class FeatureFigures:
    """The figures of a feature, or of the predictions (`__prediction__`), in a slice ("": all rows), as in
    `DriftMetric`; None where one does not apply."""

    feature: str
    severity: Severity
    psi: float | None
    js_distance: float | None
    g_test_p: float | None
    ks_p: float | None
    missing_change: float | None
    unseen_share: float | None


@dataclass(frozen=True)
class SliceFigures:
    """A slice with its rows on both sides, and its features, the worst first: all of a warning or more, and
    at least the first."""

    slice: str
    severity: Severity
    rows: int
    reference_rows: int
    features: tuple[FeatureFigures, ...]


@dataclass(frozen=True)
class WindowDrift:
    """A window compared with a reference. `features` are over all rows, the worst first; `since` is the hour
    in which the drift began, where it can be told; `warnings` and `notes` are in words."""

    use_case: str
    severity: Severity
    drifted: bool | None
    reason: str
    window: SideFacts
    reference: SideFacts
    channels: tuple[str, ...]
    since: datetime | None
    features: tuple[FeatureFigures, ...]
    slices: tuple[SliceFigures, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> JsonObject:
        """The fields as JSON."""
        return write_document(self)


def measure_window_drift(settings: Settings, use_case_name: str, request: WindowRequest) -> WindowDrift:
    """Compare a window of the prediction log with a reference, by counts.

    Each call is a comparison of its own, corrected for the features and slices in it, not for other calls.
    Raises SettingsError for moments, slices or channels that do not fit, NoChampion where no version is
    named, StoreError for a version without a reference profile and for a window without predictions, and
    StoreUnreachable.
    """
    use_case, now = load_use_case(use_case_name, settings), datetime.now(UTC)
    channels = _choose_channels(request.channels)
    slices = [parse_slice(use_case, text) for text in request.slices]
    bounds = choose_bounds(use_case, request, now)
    version = request.version or require_champion(settings, use_case_name).version
    other_version = request.against_version or version
    database = get_engine(settings)
    window = ChosenWindow(version, *bounds.window, channels)
    if bounds.against is None:
        comparison = compare_with_profile(database, use_case, window, other_version, slices)
        reference = SideFacts(
            other_version, None, None, _count_profile_rows(comparison.reference).get(ALL_ROWS, 0)
        )
    else:
        other = ChosenWindow(other_version, *bounds.against, channels)
        comparison = compare_with_window(database, use_case, window, other, slices)
        counted = comparison.other
        assert counted is not None
        reference = SideFacts(other_version, counted.start, counted.end, counted.rows)
    return _build_window_drift(use_case_name, window, reference, comparison)


@dataclass(frozen=True)
class Bounds:
    """The bounds of a window, and of the one that it is compared with; None for a reference profile."""

    window: tuple[datetime, datetime]
    against: tuple[datetime, datetime] | None


def choose_bounds(use_case: UseCase, request: WindowRequest, now: datetime) -> Bounds:
    """The windows that a request means at the moment `now` (aware UTC). Raises SettingsError for one in the
    future or that ends where it begins or before."""
    for name in ("start", "end", "against_start", "against_end"):
        moment = getattr(request, name)
        if moment is not None and is_future(moment, now):
            raise SettingsError(
                f"{moment:%Y-%m-%dT%H:%M:%S} is in the future: it is {now:%Y-%m-%dT%H:%M:%S} UTC",
                hint="give a moment that has passed; left out, --to is the present",
            )
    end = request.end or now
    start = request.start or end - use_case.drift.window
    _check_order(start, end, "--from", "--to")
    if request.against_start is None and request.against_end is None:
        return Bounds((start, end), None)
    against_end = request.against_end or start
    against_start = request.against_start or against_end - (end - start)
    _check_order(against_start, against_end, "--against-from", "--against-to")
    return Bounds((start, end), (against_start, against_end))


def parse_slice(use_case: UseCase, text: str) -> Slice:
    """The slice that "FEATURE" or "FEATURE=EDGE,EDGE" means; of a declared slice its edges. Raises
    SettingsError for an unknown feature and for edges that are none."""
    feature, _, edge_text = text.partition("=")
    types = use_case.feature_types
    if feature not in types:
        raise SettingsError(
            f"{use_case.name} has no feature {feature!r} to slice by",
            hint=suggest_name(feature, types, f"its features: evergreen features {use_case.name}"),
        )
    is_number = types[feature] in ("int", "float")
    if not edge_text:
        declared = next((each for each in use_case.slices if each.feature == feature), None)
        inputs = {each.name for each in use_case.model_features}
        if is_number and feature not in inputs and not (declared and declared.edges):
            raise SettingsError(
                f"{feature} is a number that the model does not use, so its quartiles are not known",
                hint=f"say where to cut it: --slice {feature}=10,100",
            )
        return declared or Slice(feature)
    if not is_number:
        raise SettingsError(
            f"{feature} is a {types[feature]} and has no edges", hint=f"leave them out: --slice {feature}"
        )
    try:
        edges = sorted({float(edge) for edge in edge_text.split(",")})
    except ValueError:
        edges = [np.nan]
    if not np.isfinite(edges).all():
        raise SettingsError(
            f"{edge_text!r} are no edges to cut {feature} at", hint=f"write --slice {feature}=10,100"
        )
    return Slice(feature, tuple(edges))


def reaches_severity(severity: Severity, limit: Severity) -> bool:
    """Whether a severity is that of the limit, or more."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(limit)


def _choose_channels(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in CHANNELS:
            raise SettingsError(
                f"there is no channel {name!r}",
                hint=suggest_name(name, CHANNELS, f"there are {', '.join(sorted(CHANNELS))}"),
            )
    return tuple(dict.fromkeys(names)) or TRAFFIC


def _check_order(start: datetime, end: datetime, start_option: str, end_option: str) -> None:
    if start >= end:
        raise SettingsError(
            f"the window begins at {start:%Y-%m-%dT%H:%M:%S} and ends at {end:%Y-%m-%dT%H:%M:%S} UTC, "
            "which is not later",
            hint=f"give a {start_option} before {end_option}",
        )


def _build_window_drift(
    use_case_name: str, window: ChosenWindow, reference: SideFacts, comparison: WindowComparison
) -> WindowDrift:
    result, counted = comparison.result, comparison.window
    figures = _arrange_figures(result.metrics)
    reference_rows = _count_profile_rows(comparison.reference)
    rows = {each.slice: int(each.value or 0) for each in result.metrics if each.metric == "rows"}
    slices = [
        _build_slice_figures(name, some, rows.get(name, 0), reference_rows.get(name, 0))
        for name, some in figures.items()
        if name != ALL_ROWS
    ]
    return WindowDrift(
        use_case=use_case_name,
        severity=result.severity,
        drifted=result.drifted,
        reason=result.reason,
        window=SideFacts(window.version, counted.start, counted.end, counted.rows),
        reference=reference,
        channels=window.channels,
        since=comparison.since,
        features=tuple(figures.get(ALL_ROWS, ())),
        slices=tuple(sorted(slices, key=lambda each: _rank_figures(each.features[0]))),
        warnings=result.warnings,
        notes=comparison.notes,
    )


def _build_slice_figures(
    name: str, features: Sequence[FeatureFigures], rows: int, reference_rows: int
) -> SliceFigures:
    changed = [each for each in features if reaches_severity(each.severity, "warning")]
    return SliceFigures(
        slice=name,
        severity=get_worst_severity([each.severity for each in features]),
        rows=rows,
        reference_rows=reference_rows,
        features=tuple(changed or features[:1]),
    )


def _arrange_figures(metrics: Sequence[DriftMetric]) -> dict[str, list[FeatureFigures]]:
    """The figures of each feature by slice, the worst first."""
    values: dict[tuple[str, str], dict[str, DriftMetric]] = {}
    for each in metrics:
        if each.feature:
            values.setdefault((each.slice, each.feature), {})[each.metric] = each
    figures: dict[str, list[FeatureFigures]] = {}
    for (name, feature), some in values.items():
        figures.setdefault(name, []).append(
            FeatureFigures(
                feature=feature,
                severity=get_worst_severity([each.severity for each in some.values()]),
                psi=_get_value(some, "psi"),
                js_distance=_get_value(some, "js_distance"),
                g_test_p=_get_value(some, "g_test_p"),
                ks_p=_get_value(some, "ks_p"),
                missing_change=_get_value(some, "missing_change"),
                unseen_share=_get_value(some, "unseen_share"),
            )
        )
    return {name: sorted(some, key=_rank_figures) for name, some in figures.items()}


def _get_value(metrics: Mapping[str, DriftMetric], name: str) -> float | None:
    return metrics[name].value if name in metrics else None


def _rank_figures(figures: FeatureFigures) -> tuple[int, float, bool, str]:
    """Orders the worst first: by severity, then PSI; of equals an input before the predictions."""
    severity = SEVERITIES.index(figures.severity)
    return -severity, -(figures.psi or 0.0), figures.feature == PREDICTION, figures.feature


def _count_profile_rows(profiles: SlicedProfiles) -> dict[str, int]:
    """The rows of a reference by slice: those of the inputs, because predictions are of a hold-out."""
    return {
        name: max((sum(each.counts) for feature, each in some.items() if feature != PREDICTION), default=0)
        for name, some in profiles.items()
    }
