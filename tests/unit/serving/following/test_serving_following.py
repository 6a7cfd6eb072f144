"""When a changed declaration is checked and taken over, what is refused, and when that is tried again."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from evergreen.serving.following.checked_declaration import CheckedDeclaration
from evergreen.serving.following.exchange_folder import (
    ExchangeFolder,
    FollowerState,
    SuccessorReport,
    WorkerModel,
)
from evergreen.serving.following.fingerprint import Fingerprint, compute_fingerprint
from evergreen.serving.following.follower import DeclarationFollower, ServiceParts
from evergreen.serving.following.refusal import DeclarationRefusal

BROKEN = DeclarationRefusal("__init__.py:3: SyntaxError", "mend that line")
UNSUITED = DeclarationRefusal("version 1 does not fit", "train it again")
TABLES = DeclarationRefusal("the tables are not as it declares them", "apply", "new", passing=True)


def name(text: str) -> Fingerprint:
    return frozenset([(text, 0, 0, 0)])


@dataclass
class Desk:
    """The parts of a service that a test sets by hand; what the follower did is on record."""

    files: str = "first"
    checked: CheckedDeclaration = field(default_factory=lambda: CheckedDeclaration("held"))
    outcome: str | DeclarationRefusal = "new"
    champion: str = "1 run"
    now: float = 0.0
    checks: list[str] = field(default_factory=list)
    takeovers: int = 0
    told: list[FollowerState] = field(default_factory=list)

    def follow(self) -> DeclarationFollower:
        def check(held: str) -> CheckedDeclaration:
            self.checks.append(held)
            return self.checked

        def take_over() -> str | DeclarationRefusal:
            self.takeovers += 1
            return self.outcome

        parts = ServiceParts(
            lambda: name(self.files), check, take_over, lambda: self.champion, self.told.append
        )
        return DeclarationFollower("held", name("first"), parts, clock=lambda: self.now)

    def change(self, follower: DeclarationFollower, files: str) -> None:
        """Write the files, and let them settle."""
        self.files = files
        follower.step()
        follower.step()


def test_nothing_is_checked_while_the_files_stay() -> None:
    desk = Desk()
    follower = desk.follow()
    for _ in range(5):
        follower.step()
    assert desk.checks == []


def test_files_that_are_still_written_are_waited_for() -> None:
    desk = Desk(checked=CheckedDeclaration("new"))
    follower = desk.follow()
    for number in range(4):
        desk.files = f"written {number}"
        follower.step()
    assert desk.checks == []
    follower.step()
    assert (desk.checks, desk.takeovers) == (["held"], 1)
    follower.step()
    assert desk.takeovers == 1
    assert desk.told == [FollowerState(takeovers=1)]


def test_an_edit_that_changes_nothing_for_a_service_starts_no_worker() -> None:
    desk = Desk()
    desk.change(desk.follow(), "another comment")
    assert (desk.checks, desk.takeovers, desk.told) == (["held"], 0, [])


def test_what_was_taken_over_is_what_the_next_change_is_compared_with() -> None:
    desk = Desk(checked=CheckedDeclaration("new"))
    follower = desk.follow()
    desk.change(follower, "second")
    desk.change(follower, "third")
    assert desk.checks == ["held", "new"]


def test_a_broken_declaration_is_told_once_and_tried_again_when_it_changes() -> None:
    desk = Desk(checked=CheckedDeclaration("", BROKEN))
    follower = desk.follow()
    desk.change(follower, "broken")
    desk.now, desk.champion = 3600.0, "2 run"
    follower.step()
    desk.change(follower, "as broken")
    (state,) = desk.told
    assert (state.takeovers, desk.takeovers, len(desk.checks)) == (0, 0, 2)
    assert state.refusal is not None
    assert (state.refusal.reason, state.refusal.hint) == (BROKEN.reason, BROKEN.hint)
    assert state.refusal.at
    desk.checked = CheckedDeclaration("new")
    desk.change(follower, "mended")
    assert desk.told[1:] == [FollowerState(takeovers=1)]


def test_a_change_that_is_undone_is_refused_no_longer() -> None:
    desk = Desk(checked=CheckedDeclaration("", BROKEN))
    follower = desk.follow()
    desk.change(follower, "broken")
    desk.checked = CheckedDeclaration("held")
    desk.change(follower, "first")
    assert desk.told[1:] == [FollowerState()]
    assert desk.takeovers == 0


def test_one_that_suits_no_model_is_tried_again_with_the_next_champion() -> None:
    desk = Desk(checked=CheckedDeclaration("new"), outcome=UNSUITED)
    follower = desk.follow()
    desk.change(follower, "fewer")
    desk.now = 3600.0
    follower.step()
    assert desk.takeovers == 1
    assert desk.told[0].refusal is not None
    assert desk.told[0].refusal.declaration == "new"
    desk.champion, desk.outcome = "2 run", "new"
    follower.step()
    assert desk.takeovers == 2
    assert desk.told[1:] == [FollowerState(takeovers=1)]


def test_what_may_pass_by_itself_is_tried_again_after_a_while() -> None:
    desk = Desk(checked=CheckedDeclaration("new", TABLES))
    follower = desk.follow()
    desk.change(follower, "more")
    follower.step()
    assert len(desk.checks) == 1
    desk.now, desk.checked = 60.0, CheckedDeclaration("new")
    follower.step()
    assert (len(desk.checks), desk.takeovers) == (2, 1)


def test_a_change_is_not_forgotten_when_following_fails() -> None:
    def fail(_: FollowerState) -> None:
        raise OSError("no space left")

    follower = DeclarationFollower(
        "held",
        name("first"),
        ServiceParts(lambda: name("second"), lambda _: CheckedDeclaration("", BROKEN), str, str, fail),
    )
    follower.step()
    for _ in range(2):
        with pytest.raises(OSError, match="no space left"):
            follower.step()


def test_a_fingerprint_differs_after_every_change_of_a_file(tmp_path: Path) -> None:
    module = tmp_path / "__init__.py"
    module.write_text("a = 1\n")
    (tmp_path / "part").mkdir()
    seen = [compute_fingerprint(tmp_path)]

    def changed() -> bool:
        seen.append(compute_fingerprint(tmp_path))
        return seen[-1] not in seen[:-1]

    assert not changed()
    status = module.stat()
    draft = tmp_path / "draft"
    draft.write_text("a = 2\n")
    os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
    draft.replace(module)  # as large and as old as before
    assert changed()
    (tmp_path / "part" / "rules.py").write_text("b = 1\n")
    assert changed()
    module.unlink()
    assert changed()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "rules.pyc").write_bytes(b"\0")
    (tmp_path / ".rules.py.swp").write_bytes(b"\0")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert not changed()
    assert compute_fingerprint(tmp_path / "nowhere") == frozenset()


def test_parent_and_workers_read_what_the_other_wrote(tmp_path: Path) -> None:
    folder = ExchangeFolder(tmp_path)
    assert folder.read_follower_state() is None
    assert folder.read_worker_model() == WorkerModel()
    assert folder.read_successor_report(7) is None
    for state in (FollowerState(), FollowerState(2, TABLES)):
        folder.write_follower_state(state)
        assert folder.read_follower_state() == state
    folder.write_worker_model(WorkerModel("3 run", 3))
    assert folder.read_worker_model() == WorkerModel("3 run", 3)
    for report in (SuccessorReport("new"), SuccessorReport("new", UNSUITED)):
        folder.write_successor_report(7, report)
        assert folder.read_successor_report(7) == report
    folder.mark_retired(7)
    assert folder.is_retired(7)
    folder.forget_worker(7)
    assert not folder.is_retired(7)
    assert folder.read_successor_report(7) is None


@pytest.mark.parametrize("content", ["", "{", '"'])
def test_a_spoilt_file_reads_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "follower.json").write_text(content)
    assert ExchangeFolder(tmp_path).read_follower_state() is None
