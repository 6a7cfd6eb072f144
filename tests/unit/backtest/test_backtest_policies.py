"""Policies of a backtest by their names, and the line that declares one."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.backtest.policies import NamedPolicy, parse_duration, parse_policy, render_policy
from evergreen.errors import SettingsError, UseCaseError
from evergreen.usecase import QuietHours, RetrainPolicy

DAY = timedelta(days=1)
DECLARED = RetrainPolicy(cooldown=3 * DAY, window=90 * DAY)


def parse(name: str, every: timedelta = DAY) -> NamedPolicy:
    return parse_policy(name, DECLARED, every)


@pytest.mark.parametrize(
    ("text", "duration"),
    [("30min", DAY / 48), ("12h", DAY / 2), ("1d", DAY), ("2w", 14 * DAY), ("0.5d", DAY / 2), (" 1D ", DAY)],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "1", "d", "-1d", "0d", "1 fortnight", "1d2h"])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["99999999999d", "cooldown=99999999999w", f"every={'9' * 400}d"])
def test_a_duration_beyond_all_calendars_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is too long"):
        parse(text)


def test_named_policies() -> None:
    assert parse("declared").policy is DECLARED
    assert parse("default").policy == RetrainPolicy()
    assert (parse("never").kind, parse("never").policy.every) == ("never", None)
    assert (parse("30d").kind, parse("30d").policy.every) == ("fixed", 30 * DAY)
    assert parse("30d").policy.window == DECLARED.window
    assert parse("daily").policy.every == DAY
    # Checks that are further apart than a day cannot retrain every day.
    assert parse("daily", 7 * DAY).policy.every == 7 * DAY
    assert parse("daily", DAY / 24).policy.every == DAY


def test_fields_of_the_declared_policy_may_be_given() -> None:
    policy = parse(
        "cooldown=1d, weekly_budget=2,on_drift=no,window=since_drift,cost=none,min_drop=0.02"
    ).policy
    assert (policy.cooldown, policy.weekly_budget, policy.on_drift) == (DAY, 2, False)
    assert (policy.window, policy.cost, policy.min_drop) == ("since_drift", None, 0.02)
    assert parse("cooldown=0").policy.cooldown == timedelta(0)
    assert parse("window=60d").policy.window == 60 * DAY


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("nver", "no policy 'nver'", "never"),
        ("coldown=3d", "no 'coldown'", "cooldown"),
        ("weekly_budget=two", "weekly_budget=two is not a value", "RetrainPolicy"),
        ("on_drift=perhaps", "on_drift=perhaps is not a value", "RetrainPolicy"),
        ("cooldown=soon", "'soon' is not a duration", "30min"),
    ],
)
def test_unknown_policies_are_refused_with_what_there_is(text: str, message: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        parse(text)
    assert hint in raised.value.hint


def test_a_value_that_no_policy_has_is_refused_as_in_a_declaration() -> None:
    with pytest.raises(UseCaseError, match="weekly_budget"):
        parse("weekly_budget=0")


def test_policies_that_heed_the_calendar_only_need_no_evidence() -> None:
    assert parse("never").heeds_calendar_only
    assert parse("7d").heeds_calendar_only
    assert not parse("declared").heeds_calendar_only


durations = st.timedeltas(timedelta(0), timedelta(days=400))
positive = st.timedeltas(timedelta(microseconds=1), timedelta(days=400))


@given(
    st.builds(
        RetrainPolicy,
        on_drift=st.booleans(),
        cooldown=durations,
        window=st.one_of(st.none(), st.sampled_from(["all", "since_drift", "validated"]), positive),
        every=st.one_of(st.none(), positive),
        on_growth=st.sampled_from([0.0, 2.0, 3.5]),
        weekly_budget=st.one_of(st.none(), st.integers(1, 9)),
        candidate_windows=st.lists(positive, max_size=3).map(tuple),
        quiet_hours=st.sampled_from([(), (QuietHours(time(22), time(6, 30), "Europe/Berlin", (5, 6)),)]),
    )
)
def test_the_line_of_a_policy_declares_it(policy: RetrainPolicy) -> None:
    line = render_policy(policy)
    assert line.startswith("retrain=")
    assert line.endswith(",")
    names = {"RetrainPolicy": RetrainPolicy, "timedelta": timedelta, "time": time, "QuietHours": QuietHours}
    assert eval(line.removeprefix("retrain=").removesuffix(","), names) == policy
