"""The checks of an ingest as a whole: shares of missing values, uniqueness, freshness and the row count."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.usecase import EVENT_TIME, FeatureView, Label, UseCase
from evergreen.validation.casting import TIMESTAMP_TYPE
from evergreen.validation.distinct import MEMORY_BYTES, RepeatedValues, hash_identities
from evergreen.validation.report import MAX_EXAMPLES, Failure, build_failure

# The column of a failure that concerns no single column.
ALL_ROWS = "(all rows)"
# How many standard deviations the share of missing values may lie above the declared one: in a small ingest
# of sound data, 2 of 10 values are easily missing where 15 % are usual.
_TOLERANCE = 3.0


class WholeIngestChecks:
    """Counts over the clean rows of one part, and the checks on them.

    `as_of` is the moment of the ingest, which freshness is measured from; `usual_rows` the row count of an
    ordinary ingest. Without them these two checks are left out.
    """

    def __init__(
        self,
        use_case: UseCase,
        part: FeatureView | Label,
        as_of: datetime | None,
        usual_rows: float | None,
    ) -> None:
        features = part.features if isinstance(part, FeatureView) else ()
        self.rows = 0
        self._keys = use_case.entity.key_names
        self._contract = part.contract
        self._usual_rows = usual_rows
        self._nullable = [feature for feature in features if feature.nullable]
        self._nulls = dict.fromkeys((feature.name for feature in self._nullable), 0)
        unique = [feature for feature in features if feature.unique]
        self._unique = [(feature, RepeatedValues(MEMORY_BYTES // len(unique))) for feature in unique]
        self._as_of = as_of if part.event_time is not None and part.contract.freshness else None
        # A file may hold rows that are true only after `as_of`; this ingest does not load them.
        self._until = as_of and as_of - (part.delay if isinstance(part, Label) else timedelta(0))
        self._newest: datetime | None = None

    def add(self, clean: pa.Table) -> None:
        """Count the rows of a clean batch."""
        self.rows += clean.num_rows
        for name in self._nulls:
            self._nulls[name] += clean[name].null_count
        if self._unique:
            identities = hash_identities(clean, self._keys)
            for feature, repeats in self._unique:
                repeats.add(clean[feature.name].combine_chunks(), identities)
        if self._as_of is not None:
            times = clean[EVENT_TIME]
            until = pa.scalar(self._until, TIMESTAMP_TYPE)
            newest = pc.max(times.filter(pc.less_equal(times, until))).as_py()
            if newest is not None:
                self._newest = max(newest, self._newest or newest)

    def list_failures(self, raw_rows: int) -> Iterator[Failure]:
        """The checks that all batches together break; `raw_rows` counts the rows before any was left out."""
        for feature in self._nullable:
            share, nulls = feature.max_null_share, self._nulls[feature.name]
            if nulls > share * self.rows + _TOLERANCE * (self.rows * share * (1 - share)) ** 0.5:
                check = f"more than {share:.0%} have no value"
                yield Failure(feature.name, check, nulls, severity=feature.severity)
        for feature, repeats in self._unique:
            count, examples = repeats.count_repeats(MAX_EXAMPLES)
            if count:
                yield build_failure(feature.name, "is not unique", count, examples, feature.severity)
        yield from self._check_freshness()
        usual, expected = self._usual_rows, self._contract.row_count
        if expected is not None and usual is not None:
            least, most = expected.least * usual, expected.most * usual
            if not least <= raw_rows <= most:
                check = (
                    f"{raw_rows:,} rows came, of usually {usual:,.0f}"
                    f" ({expected.least:.0%} to {expected.most:.0%} are expected)"
                )
                yield Failure(ALL_ROWS, check, raw_rows, severity=expected.severity)

    def _check_freshness(self) -> Iterator[Failure]:
        """A failure where the newest event time is older than declared, or there is none."""
        freshness = self._contract.freshness
        if freshness is None or self._as_of is None:
            return
        if self._newest is None:
            check = f"no row of the time until {self._as_of:%Y-%m-%d %H:%M}, so none is fresh"
            yield Failure(EVENT_TIME, check, 0, severity=freshness.severity)
        elif self._as_of - self._newest > freshness.within:
            check = f"the newest is {self._as_of - self._newest} old, and may be {freshness.within}"
            yield build_failure(EVENT_TIME, check, self.rows, [self._newest], freshness.severity)
