"""A collector of the exporter: failures, slowness, and what is shown meanwhile."""

from __future__ import annotations

import logging

import pytest
import sqlalchemy as sa
from prometheus_client import generate_latest

from evergreen.errors import StoreError, StoreUnreachable
from evergreen.exporter.background import BackgroundCollector
from evergreen.exporter.run import build_registry
from evergreen.exporter.samples import Samples


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def read_rows(samples: Samples) -> None:
    samples.add("evergreen_label_rows", 7, "toy")


def fail(_samples: Samples) -> None:
    raise StoreUnreachable("MariaDB is away", hint="start it")


def show(*collectors: BackgroundCollector) -> list[str]:
    text = generate_latest(build_registry(collectors)).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_before_its_first_collection_a_part_is_down() -> None:
    assert show(BackgroundCollector("mariadb", read_rows, 60, 60)) == [
        'evergreen_exporter_up{collector="mariadb"} 0.0'
    ]


def test_a_failing_part_is_told_and_does_not_remove_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    collectors = (
        BackgroundCollector("tables", read_rows, 60, 60),
        BackgroundCollector("mariadb", fail, 60, 60),
    )
    with caplog.at_level(logging.INFO):
        for collector in collectors:
            collector.collect()
            collector.collect()
    page = show(*collectors)
    assert 'evergreen_label_rows{use_case="toy"} 7.0' in page
    assert 'evergreen_exporter_up{collector="tables"} 1.0' in page
    assert 'evergreen_exporter_up{collector="mariadb"} 0.0' in page
    # Told once, though it failed twice.
    assert [record.message for record in caplog.records] == ["mariadb cannot be read: MariaDB is away"]


def test_what_one_use_case_lacks_leaves_the_values_of_the_others() -> None:
    def read(samples: Samples) -> None:
        with samples.guard("checks of broken"):
            raise StoreError("no such column", hint="evergreen apply broken")
        read_rows(samples)

    collector = BackgroundCollector("mariadb", read, 60, 60)
    collector.collect()
    assert not collector.is_up
    assert 'evergreen_label_rows{use_case="toy"} 7.0' in show(collector)


def test_a_server_that_is_away_ends_the_collection() -> None:
    samples = Samples()
    with pytest.raises(StoreUnreachable), samples.guard("anything"):
        fail(samples)


def test_an_unexpected_error_ends_one_collection_and_not_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    def stumble(_samples: Samples) -> None:
        raise KeyError("the value of a row")

    collector = BackgroundCollector("airflow", stumble, 60, 60)
    collector.collect()
    assert not collector.is_up
    assert "KeyError" in caplog.text
    assert "the value of a row" not in caplog.text


def test_errors_of_sql_are_told_without_their_statement() -> None:
    samples = Samples()
    with samples.guard("checks of toy"):
        raise sa.exc.OperationalError("SELECT secret", {}, Exception("gone"))
    assert samples.troubles == ["checks of toy: OperationalError"]


def test_a_collection_that_takes_too_long_hides_the_former_values_until_it_ends() -> None:
    clock = Clock()
    seen: list[tuple[bool, list[str]]] = []

    def read(samples: Samples) -> None:
        read_rows(samples)
        if collector.last is not None:
            clock.now += 59
            seen.append((collector.is_up, show(collector)))
            clock.now += 2
            seen.append((collector.is_up, show(collector)))

    collector = BackgroundCollector("mariadb", read, 60, limit_seconds=60, clock=clock)
    collector.collect()
    collector.collect()
    assert [is_up for is_up, _ in seen] == [True, False]
    row = 'evergreen_label_rows{use_case="toy"} 7.0'
    assert [row in page for _, page in seen] == [True, False]
    assert collector.is_up
    assert row in show(collector)


def test_labels_must_be_those_of_the_family() -> None:
    with pytest.raises(ValueError, match="evergreen_label_rows has the labels"):
        Samples().add("evergreen_label_rows", 1, "toy", "facts")


def test_what_is_no_number_is_left_out() -> None:
    samples = Samples()
    samples.add("evergreen_label_rows", None, "toy")
    samples.add("evergreen_label_rows", float("nan"), "toy")
    samples.add_moment("evergreen_check_timestamp_seconds", None, "toy")
    assert samples.values == []
