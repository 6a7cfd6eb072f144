"""What a model card tells of a candidate's evaluation, as typed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evergreen.pages.json_reader import Interval, JsonReader
from evergreen.pages.model_charts.quality import CalibrationBin, CurvePoint, GroupValue, SliceValues
from evergreen.training.judge.comparison import CONTESTANTS


@dataclass(frozen=True)
class ContestantFacts:
    """A model's metrics on the hold-out, and the 95 % intervals of those that have one."""

    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]


@dataclass(frozen=True)
class GainFacts:
    """What the candidate gains on a rival; `share` is that of resamples in which it is better."""

    value: float
    low: float | None
    high: float | None
    share: float | None

    @property
    def interval(self) -> Interval | None:
        """Both bounds, where they are known."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True)
class CalibrationFacts:
    """The correction (scale and bias of the raw scores), metrics and reliability bins before and after it."""

    scale: float | None
    bias: Sequence[float]
    before: Mapping[str, float]
    after: Mapping[str, float]
    bins_before: Sequence[CalibrationBin]
    bins_after: Sequence[CalibrationBin]

    @classmethod
    def from_json(cls, document: JsonReader) -> CalibrationFacts | None:
        """Read the part "calibration" of an evaluation; None where there is none."""
        if document.is_empty:
            return None
        return cls(
            scale=document.get_number("scale"),
            bias=document.get_number_list("bias"),
            before=document.get_numbers("before"),
            after=document.get_numbers("after"),
            bins_before=_read_bins(document, "bins_before"),
            bins_after=_read_bins(document, "bins"),
        )


@dataclass(frozen=True)
class GroupFacts:
    """A group of the hold-out's rows and its metrics; one that is not `judged` has too few rows."""

    name: str
    rows: int
    judged: bool
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class SliceFacts:
    """The groups by one feature; difference and ratio of each metric over the judged ones."""

    feature: str
    sensitive: bool
    metric: str
    groups: Sequence[GroupFacts]
    difference: Mapping[str, float]
    ratio: Mapping[str, float]

    @classmethod
    def from_json(cls, document: JsonReader) -> SliceFacts:
        """Read one of the part "slices" of an evaluation."""
        return cls(
            feature=document.get_text("feature") or "",
            sensitive=bool(document.get_flag("sensitive")),
            metric=document.get_text("metric") or "",
            groups=[
                GroupFacts(
                    name=each.get_text("name") or "",
                    rows=each.get_count("rows") or 0,
                    judged=each.get_flag("judged") is not False,
                    metrics=each.get_numbers("values"),
                )
                for each in document.get_objects("groups")
            ],
            difference=document.get_numbers("difference"),
            ratio=document.get_numbers("ratio"),
        )

    @property
    def chart_values(self) -> SliceValues:
        """The values of the slice's own metric, for its chart."""
        groups = [
            GroupValue(each.name, each.rows, each.judged, each.metrics.get(self.metric))
            for each in self.groups
        ]
        return SliceValues(self.feature, self.sensitive, self.metric, groups)


@dataclass(frozen=True)
class AnswerChange:
    """What so many logged requests were answered by the champion, and what the candidate answers."""

    champion: str | float | None
    candidate: str | float | None
    rows: int


@dataclass(frozen=True)
class ReplayFacts:
    """Logged requests that were answered again by the candidate, and how many answers change."""

    rows: int
    changed: int | None
    share: float | None
    mean_change: float | None
    champion_version: str | None
    examples: Sequence[AnswerChange]

    @classmethod
    def from_json(cls, document: JsonReader) -> ReplayFacts | None:
        """Read the part "replay" of an evaluation; None where no request was answered again."""
        rows = document.get_count("rows")
        if not rows:
            return None
        return cls(
            rows=rows,
            changed=document.get_count("changed"),
            share=document.get_number("share"),
            mean_change=document.get_number("mean_change"),
            champion_version=document.get_text("champion_version"),
            examples=[
                AnswerChange(each.get_value("champion"), each.get_value("candidate"), count)
                for each in document.get_objects("examples")
                if (count := each.get_count("rows"))
            ],
        )


@dataclass(frozen=True)
class EvaluationFacts:
    """How the candidate did on the hold-out, beside champion and baselines.

    `contestants` and `gains` are keyed by "candidate", "champion", "linear" and "dummy"; who took no part is
    missing.
    """

    metric: str | None
    contestants: Mapping[str, ContestantFacts]
    gains: Mapping[str, GainFacts]
    champion_version: str | None
    remark: str | None
    calibration: CalibrationFacts | None
    slices: Sequence[SliceFacts]
    replay: ReplayFacts | None
    importance: Mapping[str, float]
    learning_curve: Sequence[CurvePoint]
    size_bytes: float | None
    latency_ms: float | None

    @classmethod
    def from_json(cls, document: JsonReader) -> EvaluationFacts:
        """Read the part "evaluation" of the document."""
        intervals = document.get_object("intervals")
        return cls(
            metric=document.get_text("metric"),
            contestants={
                name: ContestantFacts(metrics, intervals.get_intervals(name))
                for name in CONTESTANTS
                if (metrics := document.get_numbers(name))
            },
            gains=_read_gains(document.get_object("gains")),
            champion_version=document.get_text("champion_version"),
            remark=document.get_text("remark"),
            calibration=CalibrationFacts.from_json(document.get_object("calibration")),
            slices=[SliceFacts.from_json(each) for each in document.get_objects("slices")],
            replay=ReplayFacts.from_json(document.get_object("replay")),
            importance=document.get_numbers("importance"),
            learning_curve=read_learning_curve(document),
            size_bytes=document.get_number("size_bytes"),
            latency_ms=document.get_number("latency_ms"),
        )


def read_learning_curve(document: JsonReader) -> list[CurvePoint]:
    """The points of the entry "learning_curve" that have a number of rows."""
    return [
        CurvePoint(rows, each.get_number("train"), each.get_number("holdout"))
        for each in document.get_objects("learning_curve")
        if (rows := each.get_number("rows"))
    ]


def _read_gains(document: JsonReader) -> dict[str, GainFacts]:
    gains = {}
    for name in CONTESTANTS[1:]:
        gain = document.get_object(name)
        value = gain.get_number("value")
        if value is not None:
            bounds = gain.get_number("low"), gain.get_number("high")
            gains[name] = GainFacts(value, *bounds, gain.get_number("share"))
    return gains


def _read_bins(document: JsonReader, name: str) -> list[CalibrationBin]:
    """The bins that hold rows."""
    bins = [
        (each.get_number("confidence"), each.get_number("accuracy"), each.get_number("rows"))
        for each in document.get_objects(name)
    ]
    return [
        CalibrationBin(sure, right, rows)
        for sure, right, rows in bins
        if rows and sure is not None and right is not None
    ]
