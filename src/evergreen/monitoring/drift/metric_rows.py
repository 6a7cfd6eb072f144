"""The figures of a comparison as rows of the table `drift_metric`."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence

from evergreen.monitoring.drift.figures.count_pairs import CountPairs
from evergreen.monitoring.drift.figures.statistics import Statistics
from evergreen.store.records.checks.drift import FeatureDrift
from evergreen.store.records.checks.drift_metric import SEVERITIES, DriftMetric, Severity
from evergreen.usecase import DriftPolicy


def build_metric_rows(
    policy: DriftPolicy,
    pairs: CountPairs,
    statistics: Statistics,
    rows: Mapping[str, int],
    features: Sequence[FeatureDrift],
    blind: Container[tuple[str, str]],
    drifted: bool | None,
) -> tuple[DriftMetric, ...]:
    """Every figure of every comparison; the rows of each slice; and how many features have drifted.

    p-values have no severity of their own: a change that is small may be certain. The PSI and the share of
    unseen names of a `blind` comparison, which cannot show a change, are "unknown".
    """
    count = sum(feature.drifted for feature in features)
    verdict: Severity = "unknown" if drifted is None else "drift" if drifted else "none"
    metrics = [DriftMetric("", "", "drifted_features", count, policy.min_features, verdict)]
    for name, number in rows.items():
        enough: Severity = "none" if number >= policy.min_rows else "unknown"
        metrics.append(DriftMetric(name, "", "rows", number, policy.min_rows, enough))
    # Plain lists: reading an element of an array costs many times as much.
    columns = zip(
        pairs.keys,
        statistics.psi.tolist(),
        statistics.psi_severity.tolist(),
        statistics.js_distance.tolist(),
        statistics.g_test_p.tolist(),
        statistics.ks_p.tolist(),
        statistics.missing_change.tolist(),
        statistics.missing_severity.tolist(),
        statistics.unseen_share.tolist(),
        statistics.unseen_severity.tolist(),
        strict=True,
    )
    level = statistics.level
    for (name, feature), psi, psi_place, js, g, ks, missing, missing_place, unseen, unseen_place in columns:
        severity: Severity = "unknown" if (name, feature) in blind else SEVERITIES[psi_place]
        metrics += (
            DriftMetric(name, feature, "psi", psi, policy.psi_threshold, severity),
            DriftMetric(name, feature, "js_distance", js, None, "none"),
            DriftMetric(name, feature, "g_test_p", _drop_nan(g), level, "none"),
            DriftMetric(
                name,
                feature,
                "missing_change",
                missing,
                policy.missing_threshold,
                SEVERITIES[missing_place],
            ),
        )
        if math.isnan(unseen):
            metrics.append(DriftMetric(name, feature, "ks_p", _drop_nan(ks), level, "none"))
        else:
            share_severity: Severity = "unknown" if (name, feature) in blind else SEVERITIES[unseen_place]
            metrics.append(
                DriftMetric(name, feature, "unseen_share", unseen, policy.unseen_threshold, share_severity)
            )
    return tuple(metrics)


def _drop_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
