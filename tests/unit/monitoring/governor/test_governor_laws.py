"""What holds for every policy, whatever is known."""

import json
from dataclasses import replace
from datetime import timedelta

from hypothesis import given

from evergreen.documents import read_document
from evergreen.monitoring.governor.answer import RetrainAnswer
from evergreen.monitoring.governor.decide import decide
from evergreen.monitoring.governor.inputs import GovernorInputs, PastRetrain
from evergreen.monitoring.governor.limits import compute_backoff
from evergreen.monitoring.governor.quiet_hours import is_quiet
from evergreen.usecase import RetrainPolicy
from support.governor_inputs import DRIFTED, NOW
from support.governor_strategies import courses, inputs, policies

HOUR, WEEK = timedelta(hours=1), timedelta(days=7)


@given(policies, inputs)
def test_the_same_inputs_have_the_same_answer_also_from_their_record(policy, known):
    record = json.loads(json.dumps(known.to_json()))
    assert GovernorInputs.from_json(record) == known
    answer = decide(policy, known)
    assert decide(policy, GovernorInputs.from_json(record)) == answer
    assert RetrainAnswer.from_json(json.loads(json.dumps(answer.to_json()))) == answer


@given(policies, inputs)
def test_an_answer_is_what_its_checks_say(policy, known):
    answer = decide(policy, known)
    results = [check.result for check in answer.checks]
    assert answer.retrain == ("fired" in results and "blocked" not in results)
    assert answer.reason.startswith("yes, because " if answer.retrain else "no, because ")
    assert (answer.window is not None) == answer.retrain
    if answer.retrain:
        assert answer.window.candidates


@given(policies, inputs)
def test_nothing_but_a_person_breaks_a_limit(policy, known):
    answer = decide(policy, known)
    if not answer.retrain:
        return
    if not known.manual_reason:
        assert known.running_since is None
        moments = [retrain.as_of for retrain in known.retrains]
        assert all(moment <= known.as_of - policy.cooldown for moment in moments)
        assert not any(is_quiet(hours, known.as_of) for hours in policy.quiet_hours)
        if policy.weekly_budget is not None:
            used = sum(known.as_of - moment < WEEK for moment in moments)
            assert used < policy.weekly_budget


@given(policies, courses)
def test_no_week_has_more_retrains_than_the_budget_and_none_comes_within_the_cooldown(policy, course):
    """A champion whose inputs drift at every check, and whose retrains end in any way."""
    policy = replace(policy, on_drift=True, breaches=1)
    known, decided = DRIFTED, []
    for hours, outcome in course:
        known = replace(known, as_of=known.as_of + hours * HOUR)
        if decide(policy, known).retrain:
            wait = _compute_wait(policy, known.retrains)
            if decided:
                assert known.as_of - decided[-1] >= max(wait, policy.cooldown)
            decided.append(known.as_of)
            known = replace(known, retrains=(*known.retrains, PastRetrain(known.as_of, "drift", outcome)))
    if policy.weekly_budget is not None:
        for moment in decided:
            assert sum(moment - WEEK < other <= moment for other in decided) <= policy.weekly_budget


def _compute_wait(policy: RetrainPolicy, retrains: tuple[PastRetrain, ...]) -> timedelta:
    outcomes = [retrain.outcome for retrain in retrains]
    last = max((place for place, outcome in enumerate(outcomes) if outcome == "promoted"), default=-1)
    return compute_backoff(policy, len(outcomes) - 1 - last)


def test_documents_of_other_versions_are_readable():
    document = DRIFTED.to_json()
    del document["scheduled"], document["retrains"]
    assert GovernorInputs.from_json({**document, "phase_of_the_moon": 0.5}) == DRIFTED
    old = {"as_of": NOW.isoformat(), "trigger": "drift", "outcome": "promoted"}
    assert read_document(PastRetrain, old) == PastRetrain(NOW, "drift", "promoted")
