"""What a comparison of two windows found."""

from __future__ import annotations

from dataclasses import dataclass

from evergreen.store.records.checks.drift import FeatureDrift
from evergreen.store.records.checks.drift_metric import DriftMetric, Severity


@dataclass(frozen=True)
class DriftResult:
    """A window compared with a reference.

    `rows` is the number of the window's rows. `drifted` is None where they are too few for a verdict, and
    `reason` says why in words. `features` are the inputs over all rows in falling order of PSI, `prediction`
    the answers, None without counts of them. `metrics` are all figures, of the slices too. `warnings` are
    what reached the limits of a warning, `notes` what could not be measured, both in words.
    """

    rows: int
    drifted: bool | None
    reason: str
    features: tuple[FeatureDrift, ...]
    prediction: FeatureDrift | None
    metrics: tuple[DriftMetric, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def severity(self) -> Severity:
        """As `DriftReport.severity`."""
        if self.drifted:
            return "drift"
        return "warning" if self.warnings else "unknown" if self.drifted is None else "none"
