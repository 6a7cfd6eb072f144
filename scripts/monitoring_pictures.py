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
from typing import Any

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier
from playwright.sync_api import sync_playwright

from evergreen.model.matrix import Columns
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.model.reference_profile import PREDICTION, FeatureProfile, build_reference_profile
from evergreen.model.signature import list_model_inputs
from evergreen.monitoring.drift import compare_counts, judge_drift, measure_feature_drift
from evergreen.monitoring.report.build import CheckRecords, build_check_report
from evergreen.monitoring.report.document import CheckReport
from evergreen.monitoring.report.document_parts import (
    AlertLine,
    DecisionPart,
    Finding,
    PolicyCheck,
    QualityPart,
    QualityPoint,
    SliceFeature,
    SlicePart,
)
from evergreen.monitoring.report.time_line import PeriodCounts
from evergreen.pages.monitoring_report import render_monitoring_report
from evergreen.settings import Settings
from evergreen.store.records.drift import DriftReport, Quality, RefusedShare
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case
from evergreen.usecases.credit_score.simulator import draw

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DAYS, RECESSION_DAY = 31, 24
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
    reports = [build_drift_report(use_case, reference, days, starts, n) for n in range(7, DAYS + 1)]
    report = reports[-1]
    decisions = {each.as_of: (False, f"no, because {each.reason}") for each in reports[:-1]}
    decisions[report.as_of] = (True, f"yes, because {report.reason}")
    answers = np.concatenate([day.answers for day in days[-7:]])
    return build_check_report(
        CheckRecords(
            use_case=use_case,
            report=report,
            profiles=reference,
            former=reports[:-1],
            decisions=decisions,
            counts=PeriodCounts(starts, timedelta(days=1), rows, counts),
            prediction=compare_counts(reference[PREDICTION], reference[PREDICTION].count(answers), policy),
            promoted_at=starts[0],
            slices=build_slices(days),
            quality=build_quality(days, starts, holdout),
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
                    PolicyCheck("drift", "passed", "drift at this check and at the one before"),
                    PolicyCheck("minimum sample", "passed", "4,900 predictions, 500 are needed"),
                    PolicyCheck("cooldown", "passed", "the last promotion was 31 days ago"),
                    PolicyCheck("new labels", "passed", "16,800 new labels since the last training"),
                    PolicyCheck("budget", "passed", "no retraining in the last 7 days, 2 are allowed"),
                    PolicyCheck("realised quality drop", "skipped", "no outcome of the recession is known"),
                ),
                {"champion": "v3", "predictions": "4,900", "breaches in a row": "2", "new labels": "16,800"},
            ),
            alerts=(AlertLine(report.as_of, "drift", "webhook", "sent", report.reason),),
        )
    )


def build_drift_report(
    use_case: UseCase, reference: dict[str, FeatureProfile], days: Sequence[Day], starts: Any, end: int
) -> DriftReport:
    """The drift report of the check at the beginning of day `end`, over the week before."""
    week = days[end - 7 : end]
    columns = {name: np.concatenate([day.columns[name] for day in week]) for name in week[0].columns}
    features = measure_feature_drift(use_case, reference, columns)
    rows = sum(len(day.truth) for day in week)
    as_of = starts[0] + timedelta(days=end)
    drifted, reason = judge_drift(use_case.drift, features, rows, as_of - timedelta(days=7))
    answers = np.concatenate([day.answers for day in week])
    shares = {name: float((answers == name).mean()) for name in use_case.label.classes}
    return DriftReport(
        id=f"0d9e7a52-5a0f-5d2c-9a52-{end:012d}",
        use_case=use_case.name,
        as_of=as_of,
        model_version=3,
        window_start=as_of - timedelta(days=7),
        window_end=as_of,
        row_count=rows,
        drifted=drifted,
        reason=reason,
        features=tuple(features),
        quality=Quality(rows, 0, {"accuracy": None}, None, shares, ""),
        refused=(RefusedShare("age", "greater_than_equal", 87, 0.017),),
    )


def build_quality(days: Sequence[Day], starts: Sequence[datetime], holdout: float) -> QualityPart:
    """Realised accuracy by day until outcomes end, and the estimate by the model's confidence."""
    realised, estimated = [], []
    for start, day in zip(starts, days, strict=True):
        end = start + timedelta(days=1)
        right, sure = day.answers == day.truth, day.confidence
        for points, share, known in (
            (realised, float(right.mean()), start < END - timedelta(days=LABEL_DAYS)),
            (estimated, float(sure.mean()), True),
        ):
            if known:
                wide = 1.96 * float(np.sqrt(share * (1 - share) / len(right)))
                points.append(QualityPoint(start, end, share, share - wide, share + wide, len(right), 3))
    week = np.concatenate([day.confidence for day in days[-7:]])
    known = np.concatenate([(d.answers == d.truth) for d in days[-7 - LABEL_DAYS : -LABEL_DAYS]])
    wide = 1.96 * float(np.sqrt(known.mean() * (1 - known.mean()) / len(known)))
    return QualityPart(
        metric="accuracy",
        less_is_better=False,
        reason=f"accuracy {known.mean():.4f} on {len(known):,} outcomes; the last week's are not known yet",
        value=float(known.mean()),
        low=float(known.mean()) - wide,
        high=float(known.mean()) + wide,
        rows=len(known),
        estimate=float(week.mean()),
        estimate_low=float(week.mean()) - 0.012,
        estimate_high=float(week.mean()) + 0.012,
        estimate_rows=len(week),
        holdout=holdout,
        trusted=True,
        trust="the estimate lay within its band on 22 of the last 24 days with outcomes: it is trusted",
        realised=tuple(realised),
        estimated=tuple(estimated),
    )


def build_slices(days: Sequence[Day]) -> tuple[SlicePart, ...]:
    """Three age groups, with the accuracy of the last week whose outcomes are known."""
    parts = []
    for name, low, high in (("under 25", 0, 25), ("25 to 40", 25, 40), ("40 or more", 40, 200)):
        rows, right = 0, []
        for number, day in enumerate(days):
            chosen = (day.columns["age"] >= low) & (day.columns["age"] < high)
            rows += int(chosen.sum()) if number >= DAYS - 7 else 0
            if DAYS - 7 - LABEL_DAYS <= number < DAYS - LABEL_DAYS:
                right.append((day.answers == day.truth)[chosen])
        hits = np.concatenate(right)
        wide = 1.96 * float(np.sqrt(hits.mean() * (1 - hits.mean()) / len(hits)))
        top = (SliceFeature("outstanding_debt", 0.8, "drift"), SliceFeature("credit_mix", 0.5, "drift"))
        parts.append(
            SlicePart(
                f"age={name}",
                rows,
                "drift",
                top,
                float(hits.mean()),
                float(hits.mean()) - wide,
                float(hits.mean()) + wide,
                len(hits),
            )
        )
    return tuple(parts)


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
