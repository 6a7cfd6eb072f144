"""Alerts on the real MariaDB: written once, delivered to every target, tried again, and never in the way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from evergreen.errors import SettingsError
from evergreen.loop.monitoring import alerts as alerting
from evergreen.monitoring.alerts import outbox
from evergreen.monitoring.alerts.alert import Alert
from evergreen.monitoring.alerts.outbox import KEPT_FOR, deliver_pending, raise_alerts
from evergreen.monitoring.alerts.targets import Target, parse_targets
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.connection.locks import hold_lock
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.checks.alert import list_alerts, list_alerts_of_check
from evergreen.store.records.checks.drift import DriftReport, save_report
from support.alert_receiver import Receiver, receiving

NOW = datetime(2026, 7, 12, 8, tzinfo=UTC)
DAY = timedelta(days=1)
DRIFT = Alert("toy", "drift", "v3", "error", "3 of 6 features drifted.", "evergreen decisions toy")


@pytest.fixture
def store(settings: Settings) -> sa.Engine:
    engine = get_engine(settings)
    apply_migrations(engine)
    return engine


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def build_targets(*urls: str) -> tuple[Target, ...]:
    return parse_targets(SecretStr(" ".join(urls)))


def build_dead_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"json://127.0.0.1:{server.getsockname()[1]}/hook"


def raise_one(store: sa.Engine, alert: Alert = DRIFT, at: datetime = NOW, repeat: timedelta = DAY) -> int:
    return len(raise_alerts(store, [alert], at, now=at, repeat_after=repeat))


def test_the_same_thing_is_not_told_again_within_the_declared_time(store: sa.Engine) -> None:
    assert raise_one(store) == 1
    assert raise_one(store) == 0
    assert raise_one(store, at=NOW + DAY - timedelta(seconds=1)) == 0
    assert raise_one(store, replace(DRIFT, subject="v4"), NOW + timedelta(hours=1)) == 1
    assert raise_one(store, replace(DRIFT, use_case="other"), NOW + timedelta(hours=1)) == 1
    assert raise_one(store, at=NOW + DAY) == 1
    assert [each.as_of for each in list_alerts(store, "toy")] == [NOW + DAY, NOW + timedelta(hours=1), NOW]
    assert [each.subject for each in list_alerts_of_check(store, "toy", NOW)] == ["v3"]


def test_a_daily_check_tells_daily_also_when_it_is_early(store: sa.Engine, settings: Settings) -> None:
    now = datetime.now(UTC)
    raise_one(store, at=now - DAY + timedelta(minutes=20))
    report = DriftReport("r1", "toy", now, 3, now - DAY, now, 600, True, "3 of 6 features drifted")
    save_report(store, report)
    assert alerting.tell_people(settings, "toy", now)["alerts"] == ["Evergreen, toy: drift (v3)"]


def test_what_happened_once_is_told_once(store: sa.Engine) -> None:
    rejection = replace(DRIFT, kind="rejected_candidate", subject="v9")
    assert raise_one(store, rejection) == 1
    assert raise_one(store, rejection, NOW + 100 * DAY) == 0


def test_a_delivered_alert_is_not_sent_again(store: sa.Engine, receiver: Receiver) -> None:
    raise_one(store)
    targets = build_targets(receiver.build_url())
    assert deliver_pending(store, targets, now=NOW).sent == 1
    assert deliver_pending(store, targets, now=NOW).sent == 0
    [body] = receiver.bodies
    assert body["title"] == "Evergreen, toy: drift (v3)"
    assert body["message"].splitlines() == [
        "3 of 6 features drifted.",
        "Next: evergreen decisions toy",
        "As of 2026-07-12 08:00 UTC.",
    ]
    [record] = list_alerts(store, "toy")
    assert (record.status, record.attempts, record.tried_at) == ("sent", 1, NOW)
    assert record.results == {"1 (json)": "sent"}


def test_a_target_that_is_down_gets_it_at_the_next_run_and_the_others_only_once(
    store: sa.Engine, receiver: Receiver
) -> None:
    raise_one(store)
    with receiving() as late:
        late.status = 500
        targets = build_targets(receiver.build_url(), late.build_url())
        first = deliver_pending(store, targets, now=NOW)
        assert (first.sent, first.waiting) == (0, 1)
        assert first.trouble is not None
        assert "500" in first.trouble["2 (json)"]
        late.status = 200
        assert deliver_pending(store, targets, now=NOW + DAY).sent == 1
        assert (len(receiver.bodies), len(late.bodies)) == (1, 2)
    [record] = list_alerts(store, "toy")
    assert (record.status, record.attempts) == ("sent", 2)
    assert record.results == {"1 (json)": "sent", "2 (json)": "sent"}


def test_a_dead_target_is_waited_for_once_in_a_run_and_given_up_after_a_week(store: sa.Engine) -> None:
    for version in range(5):
        raise_one(store, replace(DRIFT, subject=f"v{version}"))
    targets = build_targets(build_dead_url())
    assert deliver_pending(store, targets, now=NOW).waiting == 5
    assert deliver_pending(store, targets, now=NOW + KEPT_FOR).waiting == 5
    late = NOW + KEPT_FOR + timedelta(seconds=1)
    assert deliver_pending(store, targets, now=late).waiting == 0
    assert {each.status for each in list_alerts(store, "toy")} == {"failed"}
    assert deliver_pending(store, targets, now=late).waiting == 0


def test_many_that_wait_for_a_dead_target_do_not_keep_new_ones_from_the_others(
    store: sa.Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_BATCH", 2)
    targets = build_targets(receiver.build_url(), build_dead_url())
    for version in range(3):
        raise_one(store, replace(DRIFT, subject=f"v{version}"), NOW + version * timedelta(hours=1))
        deliver_pending(store, targets, now=NOW + version * timedelta(hours=1))
    assert [body["title"][-3:-1] for body in receiver.bodies] == ["v0", "v1", "v2"]


def test_without_targets_alerts_are_kept_and_never_sent_later(store: sa.Engine, receiver: Receiver) -> None:
    raise_one(store)
    assert deliver_pending(store, (), now=NOW).waiting == 0
    assert [each.status for each in list_alerts(store, "toy")] == ["no_target"]
    deliver_pending(store, build_targets(receiver.build_url()), now=NOW)
    assert receiver.bodies == []


def test_a_run_that_has_no_time_left_leaves_the_rest_to_the_next(
    store: sa.Engine, receiver: Receiver
) -> None:
    raise_one(store)
    targets = build_targets(receiver.build_url())
    assert deliver_pending(store, targets, now=NOW, seconds=0.0).waiting == 1
    assert receiver.bodies == []
    assert deliver_pending(store, targets, now=NOW).sent == 1


def test_deliveries_of_two_processes_do_not_mix(store: sa.Engine, receiver: Receiver) -> None:
    raise_one(store)
    targets = build_targets(receiver.build_url())
    with store.connect() as connection, hold_lock(connection, "alert-delivery"):
        assert deliver_pending(store, targets, now=NOW).sent == 0
    assert receiver.bodies == []
    assert deliver_pending(store, targets, now=NOW).sent == 1


def test_a_text_longer_than_its_column_is_cut(store: sa.Engine) -> None:
    long = replace(DRIFT, subject="ü" * 500, sentence="x" * 70_000)
    assert raise_one(store, long) == 1
    assert raise_one(store, long, NOW + timedelta(hours=1)) == 0
    [record] = list_alerts(store, "toy")
    assert (len(record.subject), len(record.body)) == (191, 16_000)


def test_an_address_that_is_none_stops_no_run_but_the_test_command(
    store: sa.Engine, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    raise_one(store)
    wrong = settings.model_copy(update={"alert_urls": SecretStr("pigeon://S3CRETS3CRET")})
    alerting.deliver_waiting(wrong, NOW)
    assert "no alert can be sent" in caplog.text
    assert "S3CRET" not in caplog.text
    assert [each.status for each in list_alerts(store, "toy")] == ["pending"]
    with pytest.raises(SettingsError, match="address 1"):
        alerting.send_test_message(wrong)
    with pytest.raises(SettingsError, match="nobody to tell"):
        alerting.send_test_message(settings)


def test_the_test_message_goes_to_every_target(settings: Settings, receiver: Receiver) -> None:
    urls = SecretStr(f"{receiver.build_url()} {build_dead_url()}")
    results = alerting.send_test_message(settings.model_copy(update={"alert_urls": urls}))
    assert results["1 (json)"] == "sent"
    assert results["2 (json)"] != "sent"
    assert receiver.bodies[0]["title"] == "Evergreen: test"


def test_a_check_whose_target_is_down_goes_on_and_keeps_what_is_to_be_told(
    store: sa.Engine, settings: Settings
) -> None:
    report = DriftReport("r1", "toy", NOW, 3, NOW - DAY, NOW, 600, True, "3 of 6 features drifted")
    save_report(store, report)
    down = settings.model_copy(update={"alert_urls": SecretStr(build_dead_url())})
    told = alerting.tell_people(down, "toy", NOW)
    assert told == {"alerts": ["Evergreen, toy: drift (v3)"]}
    [record] = list_alerts(store, "toy")
    assert (record.severity, record.status) == ("error", "pending")
    assert record.results is not None
    assert "Connection error" in record.results["1 (json)"]
