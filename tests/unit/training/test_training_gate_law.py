"""The law of the gate: it never leaves the worse model in service, and never lets a doubtful one in."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from evergreen.model.judging.verdict import Check, Verdict
from evergreen.training.judge.gate import judge_candidate
from evergreen.usecase import GATE_CHECKS, Floor, Gate, Slice
from support import toy_declaration

SHARES = st.floats(0.0, 1.0)
MAYBE = st.none() | SHARES
MARGINS = st.sampled_from([-0.05, 0.0, 0.05])
FIGURES = st.fixed_dictionaries(
    {
        "recall": MAYBE,
        "log_loss": MAYBE,
        "calibration_error": MAYBE,
        "difference": MAYBE,
        "ratio": MAYBE,
        "mb": st.floats(0.01, 3.0),
        "ms": st.floats(0.01, 5.0),
    }
)
LESS = {"log_loss", "calibration_error", "difference", "mb", "ms"}
RIVALS = st.fixed_dictionaries({"linear": SHARES, "dummy": SHARES})
CONFIDENCES = st.sampled_from([0.5, 0.95, 1.0])


def use_case(margin, confidence, **declared):
    gate = Gate(
        metric="accuracy",
        margin=margin,
        confidence=confidence,
        floors=(Floor("recall", 0.5), Floor("log_loss", 0.5)),
        calibration_error=0.05,
        model_mb=1.0,
        latency_ms=2.0,
        **declared,
    )
    slices = (Slice("segment", max_difference=0.1, min_ratio=0.8),)
    return replace(toy_declaration.USE_CASE, gate=gate, slices=slices)


def better_of(figures, others):
    """Of each figure the better one; what is not defined is the worst."""
    pairs = {name: (figures[name], others[name]) for name in figures}
    return {
        name: (min if name in LESS else max)((v for v in pair if v is not None), default=None)
        for name, pair in pairs.items()
    }


def sure(share):
    return {"value": 0.1, "low": 0.0, "high": 0.2, "share": share, "better": share}


@given(MARGINS, CONFIDENCES, SHARES, SHARES, FIGURES, FIGURES, RIVALS)
def test_who_surely_beats_the_champion_and_is_nowhere_worse_is_never_rejected(
    duel, margin, confidence, low, high, figures, others, rivals
):
    assume(high - low > max(margin, 0.0))
    own = better_of(figures, others)
    evaluation = duel(high, low, own=own, champions=others, gain=sure(confidence), **rivals)
    assert judge_candidate(use_case(margin, confidence), evaluation).passed


@given(MARGINS, CONFIDENCES, SHARES, SHARES, SHARES, FIGURES, FIGURES, RIVALS, st.booleans())
def test_who_does_not_surely_beat_the_champion_is_never_promoted(
    duel, margin, confidence, candidate, champion, share, figures, others, rivals, declared
):
    gain = candidate - champion
    assume(share < confidence or gain < margin or (margin == 0 and gain == 0))
    warn = GATE_CHECKS if declared else ()
    evaluation = duel(candidate, champion, own=figures, champions=others, gain=sure(share), **rivals)
    assert not judge_candidate(use_case(margin, confidence, warn=warn), evaluation).passed


@given(CONFIDENCES, SHARES, MAYBE, SHARES, FIGURES, FIGURES, RIVALS, st.sets(st.sampled_from(GATE_CHECKS)))
def test_a_warning_never_changes_who_passes(
    duel, confidence, candidate, champion, share, figures, others, rivals, warn
):
    evaluation = duel(candidate, champion, own=figures, champions=others, gain=sure(share), **rivals)
    verdict = judge_candidate(use_case(0.0, confidence), evaluation)
    warned = replace(verdict, checks=(*verdict.checks, Check("odd", "warning", 1.0, 0.0, "looks odd")))
    assert warned.passed == verdict.passed
    assert warned.summary.startswith("passed" if verdict.passed else "rejected")
    assert "looks odd" in warned.summary
    assert Verdict.from_json(warned.to_json()) == warned
    softer = judge_candidate(use_case(0.0, confidence, warn=tuple(warn)), evaluation)
    assert softer.passed or not verdict.passed, "declaring warnings rejects nobody who passed"
    harder = judge_candidate(use_case(0.0, confidence, hard=tuple(warn)), evaluation)
    assert verdict.passed or not harder.passed, "declaring checks hard lets nobody in who was rejected"
