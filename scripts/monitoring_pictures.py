"""Take the pictures of a monitoring report and of a backtest, of simulated data and without a stack.

Needs Debian's `chromium`. The report is that of credit_score in the demo's recession: a model is fitted on
stable months of the simulated bank, and answers a month of requests in which the recession begins. The
backtest is drawn from a JSON document that `evergreen backtest USE_CASE --json` printed:

    .venv/bin/python scripts/monitoring_pictures.py --report
    .venv/bin/python scripts/monitoring_pictures.py --backtest backtest.json
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier
from playwright.sync_api import sync_playwright

from evergreen.model.matrix import Columns
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.model.reference_profile import PREDICTION, FeatureProfile, build_reference_profile
from evergreen.model.signature import list_model_inputs
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.drift.compare import compare_windows, count_columns
from evergreen.monitoring.report.build import CheckRecords, build_check_report
from evergreen.monitoring.report.document import CheckReport
from evergreen.monitoring.report.document_parts import (
    AlertLine,
    DecisionPart,
    Finding,
    PolicyCheck,
    SliceFeature,
    SlicePart,
)
from evergreen.monitoring.report.time_line import PeriodCounts
from evergreen.pages.monitoring_report import render_monitoring_report
from evergreen.settings import Settings
from evergreen.store.records.checks.drift import DriftReport, Quality
from evergreen.store.records.checks.drift_evidence import RefusedShare
from evergreen.store.records.checks.quality_metric import EstimatedQuality, QualityEstimate, QualityMetric
from evergreen.store.records.trial_rows import estimate_share
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case
from evergreen.usecases.credit_score.simulator import draw

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DAYS, RECESSION_DAY = 31, 28
ROWS_A_DAY = 700
END = datetime(2026, 7, 1, 6, 0, tzinfo=UTC)
LABEL_DAYS = 7  # how late outcomes are in this picture


@dataclass(frozen=True)
class Day:
    """The requests of a day: inputs by column, answers with their confidence, and what came true."""

    columns: Columns
    answers: np.ndarray
    confidence: np.ndarray
    truth: np.ndarray


def simulate_days(use_case: UseCase) -> tuple[list[FeatureProfile], list[Day], float]:
    """The reference of a model fitted on stable months, a month of requests, and its hold-out accuracy."""
    columns, truth = simulate_rows(use_case, 6_000, seed=11, scenario="stable")
    holdout, holdout_truth = simulate_rows(use_case, 2_000, seed=12, scenario="stable")
    names = [feature.name for feature in list_model_inputs(use_case)]
    texts = [feature.name for feature in list_model_inputs(use_case) if not feature.numeric]
    model = CatBoostClassifier(
        iterations=250, depth=5, thread_count=2, verbose=0, random_seed=1, allow_writing_files=False
    )
    model.fit(build_frame(columns, names, texts), truth, cat_features=texts)

    def answer(inputs: Columns) -> tuple[np.ndarray, np.ndarray]:
        """Classes and the confidence in them."""
        chances = model.predict_proba(build_frame(inputs, names, texts))
        return model.classes_[chances.argmax(axis=1)].astype(object), chances.max(axis=1)

    days = []
    for number in range(DAYS):
        scenario = "recession" if number >= RECESSION_DAY else "stable"
        inputs, outcomes = simulate_rows(use_case, ROWS_A_DAY, seed=100 + number, scenario=scenario)
        days.append(Day(inputs, *answer(inputs), outcomes))
    answers, _ = answer(holdout)
    profiles = build_reference_profile(use_case, columns, answers)
    return profiles, days, float((answers == holdout_truth).mean())


def simulate_rows(use_case: UseCase, count: int, *, seed: int, scenario: str) -> tuple[Columns, np.ndarray]:
    """Requests of new simulated customers as columns with the computed features, and their scores."""
    rows, labels = draw(count, seed, scenario=scenario)
    columns = add_on_demand_columns(use_case, build_columns_from_frame(pd.DataFrame(rows), use_case))
    return columns, np.array(labels, dtype=object)


def build_frame(columns: Columns, names: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
    """The inputs as CatBoost takes them."""
    frame = pd.DataFrame({name: columns[name] for name in names})
    return frame.assign(**{name: frame[name].fillna("none").astype(str) for name in texts})


def build_example_report() -> CheckReport:
    """The report of the check on the morning after a week of recession."""
    use_case = load_use_case("credit_score", Settings())
    policy = replace(use_case.drift, psi_threshold=0.05, min_features=1)
    use_case = replace(use_case, drift=policy)
    profiles, days, holdout = simulate_days(use_case)
    reference = {profile.feature: profile for profile in profiles}
    starts = tuple(END - timedelta(days=DAYS - n) for n in range(DAYS))
    counts = {
        name: np.array(
            [profile.count(day.answers if name == PREDICTION else day.columns[name]) for day in days]
        )
        for name, profile in reference.items()
    }
    rows = tuple(len(day.truth) for day in days)
    reports = [build_drift_report(use_case, reference, days, starts, n, holdout) for n in range(7, DAYS + 1)]
    report = reports[-1]
    waiting = "no, because drift must be seen by 3 checks in succession, although "
    decisions = {
        each.as_of: (False, f"{waiting if each.drifted else 'no, because '}{each.reason}")
        for each in reports[:-1]
    }
    decisions[report.as_of] = (True, f"yes, because {report.reason}")
    return build_check_report(
        CheckRecords(
            use_case=use_case,
            report=report,
            profiles=reference,
            former=reports[:-1],
            decisions=decisions,
            counts=PeriodCounts(starts, timedelta(days=1), rows, counts),
            promoted_at=starts[0],
            slices=build_slices(days),
            quality_metrics=build_quality_metrics(days, starts),
            health=(
                Finding("view monthly_facts", "none", "the newest row is 2 days old; 62 days are declared"),
                Finding("view profile", "none", "the newest row is 1 day old"),
                Finding(
                    "training/serving skew", "none", "500 logged vectors are those of the store, bit for bit"
                ),
                Finding("error rate", "warning", "0.4 % of 21,714 requests were refused for their values"),
                Finding("prediction log", "none", "the counters of services and log agree"),
            ),
            decision=DecisionPart(
                True,
                f"yes, because {report.reason}",
                "drift",
                "the last 180 days",
                (
                    PolicyCheck("drift", "trigger", "fired", report.reason, "3 checks", "3 checks"),
                    PolicyCheck(
                        "realised drop", "trigger", "unknown", "no outcome of the recession is known"
                    ),
                    PolicyCheck("estimated drop", "trigger", "idle", "the estimate has not fallen"),
                    PolicyCheck("cooldown", "limit", "passed", "long ago enough", "31 days", "7 days"),
                    PolicyCheck("weekly budget", "limit", "passed", "none this week", "0", "2"),
                    PolicyCheck("new labels", "limit", "passed", "enough to learn from", "16,800", "1,000"),
                ),
                {"champion": "v3", "predictions": "4,900", "drift.breaches": "3", "new labels": "16,800"},
            ),
            alerts=(AlertLine(report.as_of, "drift", "webhook", "sent", report.reason),),
        )
    )


def build_drift_report(
    use_case: UseCase,
    reference: dict[str, FeatureProfile],
    days: Sequence[Day],
    starts: Sequence[datetime],
    end: int,
    holdout: float,
) -> DriftReport:
    """The drift report of the check at the beginning of day `end`, over the week before."""
    week = days[end - 7 : end]
    columns = {name: np.concatenate([day.columns[name] for day in week]) for name in week[0].columns}
    as_of = starts[0] + timedelta(days=end)
    answers = np.concatenate([day.answers for day in week])
    counts = count_columns(reference, {**columns, PREDICTION: answers})
    result = compare_windows(
        use_case.drift,
        {ALL_ROWS: reference},
        {ALL_ROWS: counts},
        check_number=end - 6,
        since=as_of - timedelta(days=7),
        inputs=[feature.name for feature in list_model_inputs(use_case)],
    )
    return DriftReport(
        id=f"0d9e7a52-5a0f-5d2c-9a52-{end:012d}",
        use_case=use_case.name,
        as_of=as_of,
        model_version=3,
        window_start=as_of - timedelta(days=7),
        window_end=as_of,
        row_count=result.rows,
        drifted=result.drifted,
        reason=result.reason,
        features=result.features,
        prediction=result.prediction,
        warnings=result.warnings,
        notes=result.notes,
        quality=build_quality(days[:end], answers, holdout),
        refused=(RefusedShare("age", "greater_than_equal", 87, 0.017),),
    )


def build_quality(days: Sequence[Day], answers: np.ndarray, holdout: float) -> Quality:
    """The quality at the end of these days: realised of those whose outcomes are known, and estimated."""
    judged = [day.answers == day.truth for day in days[-7 - LABEL_DAYS : -LABEL_DAYS]]
    known = np.concatenate([np.zeros(0, dtype=bool), *judged])
    confidence = np.concatenate([day.confidence for day in days[-7:]])
    estimate = estimate_share(len(confidence), float(confidence.mean()))
    assert estimate.low is not None
    assert estimate.high is not None
    ends = QualityEstimate(
        "accuracy", estimate.value, estimate.low - 0.01, estimate.high + 0.01, estimate.rows, holdout
    )
    right = float(known.mean()) if len(known) else None
    reason = "" if right is None else f"accuracy {right:.4f} on {len(known):,} labelled predictions"
    shares = {name: float((answers == name).mean()) for name in ("Poor", "Standard", "Good")}
    trust = "the estimate lay within its band on 22 of the last 24 days with outcomes"
    estimated = EstimatedQuality((ends,), "", trusted=True, trust_reason=trust)
    return Quality(len(answers), len(known), {"accuracy": right}, None, shares, reason, 0, estimated)


def build_quality_metrics(days: Sequence[Day], starts: Sequence[datetime]) -> list[QualityMetric]:
    """Accuracy by day, of all rows and of three age groups: realised until outcomes end, and estimated."""
    metrics = []
    for start, day in zip(starts, days, strict=True):
        for name, chosen in choose_groups(day).items():
            kinds: list[tuple[Literal["realised", "estimated"], np.ndarray]] = [
                ("estimated", day.confidence[chosen])
            ]
            if start < END - timedelta(days=LABEL_DAYS):
                kinds.append(("realised", (day.answers == day.truth)[chosen]))
            for kind, values in kinds:
                share = estimate_share(len(values), float(values.mean()))
                metrics.append(
                    QualityMetric(
                        *(3, start.date(), name, kind, "accuracy"),
                        *(share.value, share.low, share.high, share.rows, END),
                    )
                )
    return metrics


def choose_groups(day: Day) -> dict[str, np.ndarray]:
    """Which rows of a day are in each slice; "" are all."""
    age = day.columns["age"].astype(np.float64)
    groups = {"": age == age, "age=under 25": age < 25}
    return {**groups, "age=25 to 40": (age >= 25) & (age < 40), "age=40 or more": age >= 40}


def build_slices(days: Sequence[Day]) -> tuple[SlicePart, ...]:
    """Three age groups of the last week."""
    top = (SliceFeature("debt_to_income", 0.74, "drift"), SliceFeature("annual_income", 0.7, "drift"))
    week = [choose_groups(day) for day in days[-7:]]
    return tuple(
        SlicePart(name, sum(int(groups[name].sum()) for groups in week), "drift", top)
        for name in week[0]
        if name
    )


def take_picture(html: str, target: Path, width: int, height: int, dark: bool = False) -> None:
    """The upper part of a page as a PNG file."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "page.html"
        file.write_text(html, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        page.goto(file.as_uri())
        page.screenshot(path=target)
        browser.close()


def main(arguments: Sequence[str]) -> int:
    """Take the pictures that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--report", action="store_true", help="the picture of a monitoring report")
    parser.add_argument("--page", type=Path, help="also write the report's page to this file")
    parser.add_argument("--backtest", type=Path, help="the JSON document of a backtest")
    options = parser.parse_args(arguments)
    if options.report or options.page:
        page = render_monitoring_report(build_example_report().to_json())
        if options.page:
            options.page.write_text(page, encoding="utf-8")
        if options.report:
            take_picture(page, PICTURES / "monitoring-report.png", 1060, 1300)
    if options.backtest:
        from evergreen.pages.backtest_page import render_backtest_page

        document = json.loads(options.backtest.read_text(encoding="utf-8"))
        take_picture(render_backtest_page(document), PICTURES / "backtest.png", 1060, 1300)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
