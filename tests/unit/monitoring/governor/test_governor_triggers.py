from dataclasses import replace
from datetime import timedelta

import pytest

from evergreen.monitoring.governor.inputs import GovernorInputs, LabelCounts, PastRetrain
from evergreen.monitoring.governor.triggers import evaluate_triggers
from evergreen.usecase import RetrainPolicy
from support.governor_inputs import DAY, DRIFT, DRIFTED, NOW, QUIET, build_estimate, build_realised


def read_result(name: str, inputs: GovernorInputs, **policy: object) -> tuple[str, str]:
    checks = {check.name: check for check in evaluate_triggers(RetrainPolicy(**policy), inputs)}
    return checks[name].result, checks[name].text


def test_every_trigger_is_evaluated_in_its_order():
    assert [check.name for check in evaluate_triggers(RetrainPolicy(), QUIET)] == [
        *("manual", "realised drop", "estimated drop", "drift", "growth", "new data", "schedule")
    ]


def test_a_person_may_ask():
    assert read_result("manual", QUIET) == ("idle", "nobody asked for it")
    assert read_result("manual", replace(QUIET, manual_reason="new prices")) == (
        *("fired", "a person asked for it: new prices"),
    )


def test_drift_fires_from_the_declared_number_of_breaches_on():
    assert read_result("drift", DRIFTED) == ("fired", "2 of 27 features drifted")
    assert read_result("drift", DRIFTED, breaches=2) == (
        *("idle", "2 of 27 features drifted in 1 of 2 checks in succession"),
    )
    again = replace(DRIFTED, drift=replace(DRIFT, breaches=2))
    assert read_result("drift", again, breaches=2)[0] == "fired"
    assert read_result("drift", DRIFTED, on_drift=False)[0] == "off"


@pytest.mark.parametrize(
    ("severity", "result"), [("none", "idle"), ("warning", "idle"), ("unknown", "unknown")]
)
def test_less_than_drift_is_no_reason(severity, result):
    inputs = replace(QUIET, drift=replace(DRIFT, severity=severity, breaches=0))
    assert read_result("drift", inputs)[0] == result


def test_drift_that_was_not_measured_is_unknown():
    assert read_result("drift", replace(QUIET, drift=None)) == ("unknown", "drift was not measured")


def test_drift_is_no_reason_where_the_outcomes_of_its_time_show_no_drop():
    drift = replace(DRIFT, since=NOW - 2 * DAY)
    inputs = replace(QUIET, drift=drift, realised=build_realised(0.8, 0.8, 0.8))
    assert read_result("drift", inputs)[0] == "idle"
    assert "600 outcomes since it began show no drop" in read_result("drift", inputs)[1]
    few = replace(inputs, realised=build_realised(0.8, 0.8, rows=10))
    assert read_result("drift", few)[0] == "fired"
    earlier = replace(inputs, drift=replace(drift, since=NOW))
    assert read_result("drift", earlier)[0] == "fired"


def test_drift_waits_for_outcomes_that_come_soon_and_not_for_late_ones():
    drifted = replace(QUIET, drift=replace(DRIFT, since=NOW - DAY))
    soon = replace(drifted, labels=LabelCounts(newest=NOW - 7 * DAY))
    assert read_result("drift", soon)[0] == "idle"
    assert "are waited for, which come 7 d late" in read_result("drift", soon)[1]
    late = replace(drifted, labels=LabelCounts(newest=NOW - 30 * DAY))
    assert read_result("drift", late)[0] == "fired"
    assert read_result("drift", soon, label_patience=timedelta(days=6))[0] == "fired"
    long_since = replace(soon, drift=replace(DRIFT, since=NOW - 29 * DAY))
    assert read_result("drift", long_since)[0] == "fired"


def test_drift_is_answered_once():
    drift = replace(DRIFT, since=NOW - 5 * DAY)
    inputs = replace(QUIET, drift=drift, retrains=(PastRetrain(NOW - 4 * DAY, "drift", "promoted"),))
    assert read_result("drift", inputs)[0] == "idle"
    rejected = replace(inputs, retrains=(PastRetrain(NOW - 4 * DAY, "drift", "rejected"),))
    assert read_result("drift", rejected)[0] == "fired"
    before = replace(inputs, retrains=(PastRetrain(NOW - 6 * DAY, "drift", "promoted"),))
    assert read_result("drift", before)[0] == "fired"


def test_a_realised_drop_is_told_with_its_size_and_beginning():
    result, text = read_result("realised drop", replace(QUIET, realised=build_realised(0.8, 0.7, 0.7)))
    assert result == "fired"
    assert text == (
        "accuracy of 600 labelled rows since 2026-07-08 is 0.100 worse than the 0.800 at the training"
    )
    assert read_result("realised drop", replace(QUIET, realised=build_realised(0.8, 0.9)))[0] == "idle"
    expected = replace(QUIET, realised=build_realised(0.8, 0.6, expected=0.8))
    assert read_result("realised drop", expected) == (
        *("fired", "accuracy of 300 labelled rows since 2026-07-09 is 0.200 worse than is expected of them"),
    )


def test_losses_of_numbers_are_told_in_standard_deviations_of_the_label():
    realised = replace(build_realised(1.3, 1.3), metric="mae", less_is_better=True)
    assert read_result("realised drop", replace(QUIET, realised=realised)) == (
        "fired",
        "mae of 600 labelled rows since 2026-07-08 is 0.500 standard deviations of the label worse than"
        " the 0.800 at the training",
    )
    estimated = replace(build_estimate(0.9), metric="rmse", less_is_better=True)
    text = read_result("estimated drop", replace(QUIET, estimated=estimated))[1]
    assert text.startswith("rmse is estimated as 0.900 (")
    assert ") standard deviations of the label after " in text


def test_a_realised_drop_needs_outcomes_enough_of_them_and_a_declaration():
    few = replace(QUIET, realised=build_realised(0.0, 0.0, rows=40))
    assert read_result("realised drop", few)[0] == "unknown"
    assert read_result("realised drop", few, min_sample=80)[0] == "fired"
    assert read_result("realised drop", QUIET)[0] == "unknown"
    assert read_result("realised drop", replace(QUIET, realised=build_realised()))[0] == "unknown"
    assert read_result("realised drop", few, on_realised_drop=False)[0] == "off"


def test_an_estimated_drop_counts_where_the_whole_band_lies_beyond_it():
    assert read_result("estimated drop", replace(QUIET, estimated=build_estimate(0.77)))[0] == "fired"
    assert read_result("estimated drop", replace(QUIET, estimated=build_estimate(0.785)))[0] == "idle"
    one_of_two = replace(QUIET, estimated=build_estimate(0.70))
    assert read_result("estimated drop", one_of_two, breaches=2)[0] == "idle"


def test_an_estimate_that_was_wrong_before_is_not_trusted():
    result, text = read_result(
        "estimated drop", replace(QUIET, estimated=build_estimate(0.70, trusted=False))
    )
    assert (result, text) == ("unknown", "the estimated accuracy is not trusted: it was 0.06 off last week")


def test_an_estimated_loss_is_worse_when_it_is_greater():
    loss = replace(build_estimate(0.83), less_is_better=True)
    assert read_result("estimated drop", replace(QUIET, estimated=loss))[0] == "fired"
    loss = replace(build_estimate(0.77), less_is_better=True)
    assert read_result("estimated drop", replace(QUIET, estimated=loss))[0] == "idle"


def test_growth_counts_the_rows_since_the_change_that_was_answered():
    answered = PastRetrain(NOW - 4 * DAY, "realised drop", "promoted", drift_since=NOW - 6 * DAY)
    inputs = replace(QUIET, retrains=(answered,), labels=LabelCounts(training=600, available=1_800))
    assert read_result("growth", inputs, on_growth=3)[0] == "fired"
    assert read_result("growth", inputs, on_growth=3.1)[0] == "idle"
    assert read_result("growth", inputs, on_growth=3, enough_rows=600)[0] == "idle"
    assert read_result("growth", inputs, on_growth=0)[0] == "off"
    rejected = replace(inputs, retrains=(replace(answered, outcome="rejected"),))
    assert read_result("growth", rejected)[0] == "idle"
    barely = replace(inputs, labels=LabelCounts(training=0, available=299))
    assert read_result("growth", barely, on_growth=3)[0] == "idle"


def test_new_rows_count_where_they_are_declared():
    new_rows = replace(QUIET, new_rows=True)
    assert read_result("new data", new_rows)[0] == "off"
    assert read_result("new data", new_rows, on_new_data=True)[0] == "fired"
    assert read_result("new data", QUIET, on_new_data=True)[0] == "idle"


def test_the_schedule_counts_from_the_last_training_or_decision():
    assert read_result("schedule", QUIET)[0] == "off"
    assert read_result("schedule", QUIET, every=40 * DAY) == (
        *("fired", "the last training was 40 d ago, and one is due every 40 d"),
    )
    lately = replace(QUIET, retrains=(PastRetrain(NOW - DAY, "manual", "rejected"),))
    assert read_result("schedule", lately, every=40 * DAY)[0] == "idle"
    assert read_result("schedule", replace(QUIET, scheduled=True))[0] == "fired"
    assert read_result("schedule", replace(QUIET, trained_at=None), every=DAY)[0] == "unknown"
