from dataclasses import replace

import pytest

from evergreen.model.reference_profile import FeatureProfile
from evergreen.monitoring.quality.outcome_faults import OutcomeFaults
from evergreen.monitoring.quality.prediction_quality import AnswerCounts, LabelledCounts, compute_quality
from evergreen.store.records.checks.quality_metric import EstimatedQuality, QualityEstimate

REFERENCE = FeatureProfile("__prediction__", "category", ("no", "yes"), (700, 300, 0, 0))
NOTHING = LabelledCounts()


def said(no, yes):
    return AnswerCounts(no + yes, {"no": no, "yes": yes}, None, (no, yes, 0, 0))


def test_with_labels_the_labelled_ones_are_judged(toy_use_case):
    found = compute_quality(toy_use_case, said(3, 1), LabelledCounts(3, 2 / 3), REFERENCE)
    assert (found.predictions, found.labelled) == (4, 3)
    assert found.metrics["accuracy"] == pytest.approx(2 / 3)
    assert found.reason == "accuracy 0.6667 on 3 labelled predictions"
    assert found.prediction_psi is None  # four rows tell nothing of a distribution


def test_without_labels_the_answers_are_compared_with_the_hold_outs(toy_use_case):
    same = compute_quality(toy_use_case, said(140, 60), NOTHING, REFERENCE)
    assert same.metrics["accuracy"] is None
    assert same.prediction_psi < 0.05
    moved = compute_quality(toy_use_case, said(20, 180), NOTHING, REFERENCE)
    assert moved.prediction_psi > 0.25
    assert moved.answers == {"no": 0.1, "yes": 0.9}
    assert moved.reason.startswith("no outcome was learned lately; PSI of the answers ")


def test_nothing_logged_is_no_verdict(toy_use_case):
    found = compute_quality(toy_use_case, AnswerCounts(), NOTHING, REFERENCE)
    assert found.reason == "no verdict: no outcome was learned lately, and 0 answers are few"
    assert found.answers == {}


def test_outcomes_without_a_prediction_are_told(toy_use_case):
    found = compute_quality(toy_use_case, said(3, 1), LabelledCounts(1, 1.0), REFERENCE, OutcomeFaults(1))
    assert found.orphans == 1
    assert found.reason == (
        "accuracy 1.0000 on 1 labelled predictions;"
        " of the outcomes, an id names a prediction that the log does not have"
    )
    many = compute_quality(toy_use_case, AnswerCounts(), NOTHING, REFERENCE, OutcomeFaults(orphans=1200))
    assert many.reason.endswith("; of the outcomes, 1,200 ids name predictions that the log does not have")


def test_every_fault_of_outcomes_is_told_in_words(toy_use_case):
    faults = OutcomeFaults(duplicates=1, contradictions=2, early=3, corrected=1)
    found = compute_quality(toy_use_case, said(1, 0), NOTHING, None, faults)
    assert found.notes == (
        "of the outcomes, a prediction has the same outcome more than once",
        "of the outcomes, 2 predictions have outcomes that contradict each other, of which the newest counts",
        "of the outcomes, 3 are older than its prediction: the clocks of two machines differ",
        "of the outcomes, a label was corrected, and the newest counts",
    )
    assert OutcomeFaults().describe() == ()


def test_an_estimate_is_told_with_its_band_and_its_trust(toy_use_case):
    estimate = QualityEstimate("accuracy", 0.8, 0.75, 0.85, 500, 0.9)
    for trusted, word in ((True, "trusted"), (False, "not trusted"), (None, "trust not yet known")):
        estimated = EstimatedQuality((estimate,), "valid", trusted, "")
        found = compute_quality(toy_use_case, said(1, 0), NOTHING, None, estimated=estimated)
        assert found.reason.endswith(
            f"; estimated without outcomes: accuracy 0.8000 (0.7500 to 0.8500), {word}"
        )
    none = compute_quality(toy_use_case, said(1, 0), NOTHING, None, estimated=EstimatedQuality((), "why"))
    assert "estimated" not in none.reason


def test_regression_is_judged_by_its_errors(toy_use_case):
    number = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    labelled = LabelledCounts(2, None, 1.5, 2.5)
    found = compute_quality(number, AnswerCounts(3, None, 4.0), labelled, None)
    assert found.metrics["mae"] == 1.5
    assert found.metrics["rmse"] == pytest.approx(2.5**0.5)
    assert found.answers == {"mean": 4.0}
