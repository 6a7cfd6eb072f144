"""A line of champions for tests: versions promoted one after the other, in the ledger and in MLflow."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.registry import champion_history, ledger
from evergreen.registry.champion import read_champion
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.aliases import set_champion
from evergreen.store.connection.database import get_engine
from support.serving_world import World


def promote_all(made: World, versions: Sequence[int] | None = None) -> None:
    """Promote these versions (None: all of the world's) in their order; lines of before count no more."""
    versions = made.versions if versions is None else versions
    with lock_use_case(get_engine(made.settings), "parcel"):  # the service compares the alias with the ledger
        ledger.append_entry(
            get_engine(made.settings),
            use_case_name="parcel",
            action="erase",
            from_version=None,
            to_version=None,
            training_run_id=None,
            actor="test",
            reason="each test begins anew",
        )
        for version, former in zip(versions, [None, *versions], strict=False):
            promote(made, version, former)


def promote(made: World, version: int, former: int | None) -> ledger.Entry:
    """Make that version champion as the gate does."""
    line = ledger.append_entry(
        get_engine(made.settings),
        use_case_name="parcel",
        action="promote",
        from_version=former,
        to_version=version,
        training_run_id=None,
        actor="gate",
        reason="good",
    )
    set_champion(made.settings, "parcel", version, line.at)
    return line


def read_champion_version(made: World) -> int | None:
    """The champion's version in MLflow."""
    champion = read_champion(made.settings, "parcel")
    return champion.version if champion else None


def read_actions(made: World) -> list[str]:
    """The actions in the ledger that changed the champion since the test began, the oldest first."""
    changes = champion_history.read_champion_changes(get_engine(made.settings), "parcel")
    return [line.action for line in changes]
