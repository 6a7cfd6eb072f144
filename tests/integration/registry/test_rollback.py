"""Rollback with the real service, store and registry: its duration, its refusals, and after a kill."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from evergreen.errors import NoChampion, RegistryError, SignatureMismatch
from evergreen.loop.deployment.rollback import roll_back_champion
from evergreen.registry import champion_history, ledger
from evergreen.registry.champion import CHAMPION_ALIAS, read_champion
from evergreen.registry.succession import aliases
from evergreen.registry.succession.aliases import set_champion
from evergreen.store.connection.database import get_engine
from support.champions import promote, read_actions, read_champion_version
from support.command_line import CommandLine, Done, environment
from support.serving_world import Service, World, register_models, running
from support.waiting import eventually

# The documentation promises five seconds; a machine that runs all these servers at once may be slower.
GENEROUS_SECONDS = 9.0


@pytest.fixture(scope="module")
def service(made: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as it is by default: it asks for the champion every two seconds."""
    folder = tmp_path_factory.mktemp("service")
    with running(made, folder, more={"EVERGREEN_CHAMPION_POLL_SECONDS": "2"}) as started:
        yield started


def test_it_is_in_service_within_seconds_and_no_request_fails(line_up: World, service: Service) -> None:
    first, second = line_up.versions
    service.settle(second)
    line_up.settings.service_urls["parcel"] = service.url
    report = roll_back_champion(line_up.settings, "parcel", actor="ann", reason="complaints")
    assert (report.from_version, report.to_version) == (second, first)
    assert (report.actor, report.reason) == ("ann", "complaints")
    assert report.remark == ""
    sys.stdout.write(f"\nin service {report.seconds} s after the alias\n")
    assert report.seconds is not None
    assert report.seconds < GENEROUS_SECONDS
    with service.client() as client:
        assert client.predict(line_up.rows(1)[0])["model_version"] == first
    began = time.monotonic()
    roll_back_champion(line_up.settings, "parcel", to=second)
    sys.stdout.write(f"and forth in {time.monotonic() - began:.1f} s, all told\n")
    assert read_actions(line_up) == ["promote", "promote", "rollback", "rollback"]


def test_the_service_notices_a_champion_set_by_hand(line_up: World, service: Service) -> None:
    first, second = line_up.versions
    service.settle(second)
    client = MlflowClient(line_up.settings.mlflow_tracking_uri, line_up.settings.mlflow_tracking_uri)
    client.set_registered_model_alias("parcel", CHAMPION_ALIAS, str(first))
    eventually(lambda: read_actions(line_up) == ["promote", "promote", "external"], 20)
    line = ledger.read_entries(get_engine(line_up.settings), "parcel")[0]
    assert (line.from_version, line.to_version, line.actor) == (second, first, "unknown, by hand in MLflow")
    service.settle(first)


def test_a_service_that_is_down_is_only_a_remark(line_up: World) -> None:
    second = line_up.versions[1]
    report = roll_back_champion(line_up.settings, "parcel")
    assert report.seconds is None
    assert "address is not known" in report.remark
    line_up.settings.service_urls["parcel"] = "http://127.0.0.1:1"
    report = roll_back_champion(line_up.settings, "parcel", to=second)
    assert report.seconds is None
    assert "does not answer" in report.remark
    assert read_champion_version(line_up) == second


def test_it_goes_back_and_not_forth(line_up: World) -> None:
    roll_back_champion(line_up.settings, "parcel")
    with pytest.raises(NoChampion, match="no former champion"):
        roll_back_champion(line_up.settings, "parcel")
    assert read_champion_version(line_up) == line_up.versions[0]


def test_what_is_champion_already_is_no_rollback(line_up: World) -> None:
    with pytest.raises(RegistryError, match="is champion already: there is nothing to roll back"):
        roll_back_champion(line_up.settings, "parcel", to=line_up.versions[1])
    assert read_actions(line_up) == ["promote", "promote"]


def test_who_was_never_champion_is_refused(line_up: World) -> None:
    with pytest.raises(RegistryError, match="version 99 of parcel has never been champion") as refused:
        roll_back_champion(line_up.settings, "parcel", to=99)
    assert "roll back to one that has been: 1, 2" in refused.value.hint
    assert read_champion_version(line_up) == line_up.versions[1]


def read_lines_of_people(line_up: World) -> list[ledger.Entry]:
    """The ledger without a service's refusals, which another test's service may add at any moment."""
    entries = ledger.read_entries(get_engine(line_up.settings), "parcel")
    return [entry for entry in entries if entry.action != "refuse"]


def test_a_model_that_no_longer_fits_or_loads_is_refused(line_up: World, tmp_path: Path) -> None:
    second = line_up.versions[1]
    misfit, lost = (
        register_models(line_up.settings, line_up.use_case, tmp_path / name, [1], classes=classes)[0]
        for name, classes in (("misfit", ("early", "late")), ("lost", ()))
    )
    for version, former in ((misfit, second), (lost, misfit), (second, lost)):
        promote(line_up, version, former)
    for file in (tmp_path / "lost").rglob("model.cb"):
        file.write_bytes(b"no model")
    before = read_lines_of_people(line_up)
    with pytest.raises(SignatureMismatch, match="does not fit the declaration"):
        roll_back_champion(line_up.settings, "parcel", to=misfit)
    with pytest.raises(RegistryError, match="is not a CatBoost model"):
        roll_back_champion(line_up.settings, "parcel", to=lost)
    assert read_lines_of_people(line_up) == before
    assert read_champion_version(line_up) == second


class Killed(BaseException):
    """A kill: no handler of the code under test catches it."""


@pytest.mark.parametrize("after", [False, True], ids=["before the alias", "before the tag"])
def test_a_rollback_that_was_killed_is_finished_by_the_next(
    line_up: World, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    first, second = line_up.versions

    def deadly(*_: object, **__: object) -> None:
        if after:
            set_champion(line_up.settings, "parcel", first)  # the alias without the tag
        raise Killed

    with monkeypatch.context() as fault:
        fault.setattr(aliases, "set_champion", deadly)
        with pytest.raises(Killed):
            roll_back_champion(line_up.settings, "parcel", actor="ann", reason="complaints")
    assert read_champion_version(line_up) == (first if after else second)
    report = roll_back_champion(line_up.settings, "parcel", to=first if after else None, actor="bob")
    assert (report.to_version, report.actor) == (first, "ann")
    assert read_actions(line_up) == ["promote", "promote", "rollback"]
    champion = read_champion(line_up.settings, "parcel")
    assert champion is not None
    assert champion.promoted_at == ledger.read_entries(get_engine(line_up.settings), "parcel")[0].at


def test_a_promotion_that_was_cut_short_can_be_withdrawn(line_up: World) -> None:
    first, second = line_up.versions
    roll_back_champion(line_up.settings, "parcel")
    ledger.append_entry(
        get_engine(line_up.settings),
        use_case_name="parcel",
        action="promote",
        from_version=first,
        to_version=second,
        training_run_id=None,
        actor="gate",
        reason="killed before the alias",
    )
    report = roll_back_champion(line_up.settings, "parcel", to=first)
    assert (report.from_version, report.to_version) == (second, first)
    assert read_champion_version(line_up) == first
    line = champion_history.find_last_change(get_engine(line_up.settings), "parcel")
    assert line is not None
    assert line.to_version == first


def test_a_removed_champion_comes_back(line_up: World) -> None:
    client = MlflowClient(line_up.settings.mlflow_tracking_uri, line_up.settings.mlflow_tracking_uri)
    client.delete_registered_model_alias("parcel", CHAMPION_ALIAS)
    report = roll_back_champion(line_up.settings, "parcel")
    assert (report.from_version, report.to_version) == (None, line_up.versions[1])
    assert read_actions(line_up) == ["promote", "promote", "external", "rollback"]


@pytest.fixture
def typed(
    line_up: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    line = CommandLine(monkeypatch, capsys)
    return lambda *words, **more: line.run(
        *words, home=line_up.settings.home, **environment(line_up.settings), **more
    )


def test_the_commands_tell_it_to_people_and_to_scripts(line_up: World, typed: Callable[..., Done]) -> None:
    first, second = line_up.versions
    line_up.settings.home.mkdir(exist_ok=True)
    promoted = ledger.read_entries(get_engine(line_up.settings), "parcel")[0]
    command = typed("rollback", "parcel", "--reason", "complaints")
    assert command.returncode == 0, command.stderr
    assert f"v{first} is parcel's champion instead of v{second}" in command.stdout
    again = typed("rollback", "parcel")
    assert again.returncode == NoChampion.exit_code
    assert "no former champion" in again.stderr
    listing = typed("ledger", "parcel", "--limit", "2")
    assert listing.returncode == 0, listing.stderr
    header, newest, older = listing.stdout.splitlines()
    assert header.split() == ["time", "(UTC)", "actor", "action", "from", "to", "reason"]
    for word in ("rollback", f"v{second}", f"v{first}", "complaints", "@"):
        assert word in newest
    assert "gate" in older
    assert "Warning" not in listing.stdout
    facts = json.loads(typed("ledger", "parcel", "--json").stdout)
    assert facts["protected"] is True
    assert facts["warnings"] == []
    assert [line["action"] for line in facts["lines"]][:3] == ["rollback", "promote", "promote"]
    then = json.loads(typed("ledger", "at", promoted.at.isoformat(), "--json").stdout)
    assert [(line["use_case"], line["version"]) for line in then["served"]] == [("parcel", second)]
    assert f"v{second}" in typed("ledger", "at", promoted.at.isoformat()).stdout
    assert "No use case had a champion" in typed("ledger", "at", "2020-01-01").stdout
    back = json.loads(typed("rollback", "parcel", "--to", str(second), "--json").stdout)
    assert (back["use_case"], back["from"], back["to"]) == ("parcel", first, second)


def test_the_command_tells_how_long_it_took_until_the_service_answered(
    line_up: World, service: Service, typed: Callable[..., Done]
) -> None:
    first, second = line_up.versions
    line_up.settings.home.mkdir(exist_ok=True)
    service.settle(second)
    url = {"EVERGREEN_SERVICE_URLS": json.dumps({"parcel": service.url})}
    began = time.monotonic()
    facts = json.loads(typed("rollback", "parcel", "--json", **url).stdout)
    whole = time.monotonic() - began
    assert (facts["to"], facts["remark"]) == (first, "")
    assert 0 <= facts["seconds"] <= round(whole, 1)
    assert facts["seconds"] < GENEROUS_SECONDS
    printed = typed("rollback", "parcel", "--to", str(second), **url).stdout
    match = re.search(r"the service answered with it ([0-9.]+) s after the alias began to change", printed)
    assert match is not None, printed
    assert float(match[1]) < GENEROUS_SECONDS
    sys.stdout.write(
        f"\nin service {facts['seconds']} s after the alias began to change, and back: {printed}"
    )


def test_the_ledger_notices_a_change_by_hand_and_shows_what_it_can(
    line_up: World, typed: Callable[..., Done]
) -> None:
    line_up.settings.home.mkdir(exist_ok=True)
    client = MlflowClient(line_up.settings.mlflow_tracking_uri, line_up.settings.mlflow_tracking_uri)
    client.set_registered_model_alias("parcel", CHAMPION_ALIAS, str(line_up.versions[0]))
    assert "by hand in MLflow" in typed("ledger", "parcel").stdout
    assert read_actions(line_up) == ["promote", "promote", "external"]
