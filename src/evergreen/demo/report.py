"""The report of a demo, `demo.json`: the outcome of its tour, and the stages with their seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from evergreen.demo.stages import StageDocument, Tour
from evergreen.private import write_private_file


class TourOutcome(TypedDict, total=False):
    """The outcome of a tour, as it stands in `demo.json`.

    Requests were `sent` and `answered`, and their answers `logged`. The accuracies are those of the first and
    the second model after the drift, for a use case whose data can be made to drift; for these,
    `check_report` is the address of the report of the check that found the drift (or the command that shows
    it, where MLflow does not have it), and `governor_inputs` is what the decision to retrain was made of, in
    words. `example_key` is the key of a stored entity.
    """

    use_case: str
    simulated: dict[str, str]
    service: str
    example_key: dict[str, int | str]
    v1_accuracy_after_drift: float
    v2_accuracy_after_drift: float
    check_report: str
    governor_inputs: str
    sent: int
    answered: int
    logged: int
    champion_version: int


class DemoReport(TourOutcome, total=False):
    """The whole of `demo.json`; `verified`: whether every stage was."""

    verified: bool
    stages: list[StageDocument]
    total_seconds: float


def write_report(path: Path, tour: Tour, outcome: TourOutcome, *, verified: bool) -> DemoReport:
    """Write `demo.json` and return it: the outcome, whether every stage was verified, and the stages with
    their seconds."""
    report: DemoReport = {
        **outcome,
        "verified": verified,
        "stages": tour.as_json(),
        "total_seconds": round(tour.total_seconds, 1),
    }
    write_private_file(path, json.dumps(report, indent=2) + "\n")
    return report
