"""Alerts reach a local server, and a target that is down or slow costs a reason and little time."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from evergreen.errors import SettingsError
from evergreen.monitoring.alerts.delivery import deliver_text
from evergreen.monitoring.alerts.targets import collect_warnings, parse_targets
from support.alert_receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def dead_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_webhook_gets_title_and_text(receiver: Receiver) -> None:
    targets = parse_targets(SecretStr(receiver.build_url("hooks/T0KEN")))
    assert deliver_text(targets, "Title", "Text") == {"1 (json)": "sent"}
    assert receiver.paths == ["/hooks/T0KEN"]
    [body] = receiver.bodies
    assert (body["title"], body["message"]) == ("Title", "Text")


def test_a_webhook_in_slacks_form_gets_a_text(receiver: Receiver) -> None:
    [target] = parse_targets(SecretStr(receiver.build_url(options="?:message=text")))
    assert deliver_text([target], "Title", "Text") == {target.name: "sent"}
    assert receiver.bodies[0]["text"] == "Text"


def test_one_target_that_is_down_keeps_none_of_the_others(receiver: Receiver) -> None:
    urls = f"json://127.0.0.1:{dead_port()}/hook {receiver.build_url()}"
    results = deliver_text(parse_targets(SecretStr(urls)), "Title", "Text")
    assert results["2 (json)"] == "sent"
    assert "Connection error" in results["1 (json)"]
    assert len(receiver.bodies) == 1


def test_a_refusal_is_told_without_the_address(receiver: Receiver) -> None:
    receiver.status = 403
    [target] = parse_targets(SecretStr(receiver.build_url("hooks/S3CRETS3CRET")))
    results = deliver_text([target], "Title", "Text")
    assert "403" in results[target.name]
    assert "S3CRET" not in results[target.name]


def test_a_target_that_answers_nothing_is_left_alone(silent_port: int) -> None:
    slow = parse_targets(SecretStr(f"json://127.0.0.1:{silent_port}/?rto=0.2&cto=0.2"))
    assert "Connection error" in deliver_text(slow, "Title", "Text")["1 (json)"]
    patient = parse_targets(SecretStr(f"json://127.0.0.1:{silent_port}/?rto=30"))
    assert deliver_text(patient, "Title", "Text", seconds=0.2) == {"1 (json)": "no answer after 0.2 s"}


@pytest.mark.parametrize(
    ("urls", "named"),
    [
        ("carrier-pigeon://S3CRETS3CRET", "address 1"),
        ("https://example.com/S3CRETS3CRET", r"address 1 .*\(https://\.\.\.\)"),
        ("json://127.0.0.1/ok S3CRETS3CRET://x", "address 2"),
        ("S3CRETS3CRET", "address 1"),
    ],
)
def test_an_address_that_is_none_is_named_by_its_place(urls: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        parse_targets(SecretStr(urls))
    assert "S3CRET" not in str(caught.value)


def test_no_address_is_no_target() -> None:
    assert parse_targets(SecretStr("")) == ()
    assert parse_targets(SecretStr("  ")) == ()


def test_nothing_of_an_address_reaches_a_log_or_a_representation(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    dead = f"json://user:Passw0rd99@127.0.0.1:{dead_port()}/S3CRETS3CRET"
    targets = parse_targets(SecretStr(f"{receiver.build_url('S3CRETS3CRET')} {dead}"))
    results = deliver_text(targets, "Title", "Text")
    for text in (caplog.text, repr(targets), str(results)):
        assert "S3CRET" not in text
        assert "Passw0rd99" not in text


@pytest.mark.parametrize(
    ("url", "said", "shown"),
    [
        ("pbul://o.S3CRETS3CRET", "o.S3CRETS3CRET", "***"),
        ("slack://S3CRETAAA/S3CRETBBB/S3CRETS3CRETS3CRETS3CRET", "at S3CRETAAA", "at ***"),
        ("json://user:S3CRET%20word@example.com/x", "S3CRET word at example.com", "*** at example.com"),
        ("json://user:S3CRET%2Fword@example.com/x", "S3CRET/word", "***"),
    ],
)
def test_only_a_host_is_shown_and_not_a_token_in_its_place(url: str, said: str, shown: str) -> None:
    [target] = parse_targets(SecretStr(url))
    assert target.hide_secrets(said) == shown


def test_what_another_thread_logs_is_not_told_of_a_target() -> None:
    with collect_warnings() as warnings:
        other = threading.Thread(target=lambda: logging.getLogger("apprise").warning("of another target"))
        other.start()
        other.join()
        logging.getLogger("apprise").warning("of this one")
    assert warnings == ["of this one"]
