"""Who was champion when, and whom a rollback goes back to: compared with a plain model in Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from evergreen.registry import champion_history, ledger
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.tables.sql_files import get_ledger_schema
from support.own_servers import Database

START = datetime(2026, 7, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

Step = tuple[str, int | None]


@pytest.fixture
def database(settings: Settings) -> sa.Engine:
    engine = get_engine(settings)
    apply_migrations(engine)
    return engine


class Writer(Protocol):
    def __call__(self, use_case_name: str, steps: list[Step]) -> None: ...


@pytest.fixture
def write(mariadb: Database, database: sa.Engine) -> Writer:
    """Writes a line a minute, each recorded when it happened.

    A promotion that was "cut short" was killed before it set the alias.
    """

    def write(use_case_name: str, steps: list[Step]) -> None:
        write_lines(database, use_case_name, steps)
        mariadb.administer(
            f"UPDATE {get_ledger_schema(str(database.url.database))}.promotion SET recorded_at = at"
            f" WHERE use_case = '{use_case_name}'"
        )

    return write


def write_lines(database: sa.Engine, use_case_name: str, steps: list[Step]) -> None:
    former = None
    for minute, (action, version) in enumerate(steps):
        ledger.append_entry(
            database,
            use_case_name=use_case_name,
            action="promote" if action == "cut short" else action,  # type: ignore[arg-type]
            from_version=former,
            to_version=version,
            training_run_id=None,
            actor="test",
            reason="",
            at=START + minute * MINUTE,
        )
        former = former if action in ("reject", "cut short") else version


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["promote", "cut short", "rollback", "external", "reject"]), st.integers(1, 4)
        ),
        st.tuples(st.sampled_from(["external", "erase"]), st.none()),
    ),
    max_size=8,
)


@given(histories=st.lists(STEPS, min_size=1, max_size=3), moment=st.integers(-1, 9))
@rules(max_examples=60)
def test_who_served_at_a_moment(
    database: sa.Engine, write: Writer, histories: list[list[Step]], moment: int
) -> None:
    """The champion of a moment is what the changes until then, one after the other, lead to.

    One that was cut short is a change only as long as it may still be finished: while it is the last.
    """
    _SEEN[0] += 1
    names = [f"case_{_SEEN[0]}_{number}" for number in range(len(histories))]
    for name, steps in zip(names, histories, strict=True):
        write(name, steps)
    at = START + moment * MINUTE
    versions = {
        name: line.to_version
        for name, line in champion_history.read_champions_at(database, at).items()
        if name in names
    }
    expected = {}
    for name, steps in zip(names, histories, strict=True):
        present = None
        for minute, (action, version) in enumerate(steps[: moment + 1]):
            overtaken = any(later != "reject" for later, _ in steps[minute + 1 :])
            if action != "reject" and not (action == "cut short" and overtaken):
                present = version
        if present is not None:
            expected[name] = present
        assert {
            k: v.to_version for k, v in champion_history.read_champions_at(database, at, name).items()
        } == ({name: present} if present is not None else {})
    assert versions == expected


_SEEN = [0]


def test_a_promotion_that_was_cut_short_and_overtaken_never_served(
    database: sa.Engine, write: Writer
) -> None:
    steps: list[Step] = [("promote", 1), ("cut short", 2), ("external", 3), ("erase", None), ("cut short", 1)]
    write("toy", steps)

    def served(minute: float) -> int | None:
        line = champion_history.read_champions_at(database, START + minute * MINUTE, "toy").get("toy")
        return line.to_version if line else None

    assert [served(minute) for minute in (0.5, 1.5, 2.5, 3.5, 4.5)] == [1, 1, 3, None, 1]
    write("another", [("promote", 1), ("cut short", 2)])
    assert (
        champion_history.read_champions_at(database, START + 1.5 * MINUTE)["another"].to_version == 2
    )  # may still be finished


@pytest.mark.parametrize(
    ("steps", "former"),
    [
        ([], None),
        ([("promote", 1)], None),
        ([("promote", 1), ("promote", 2)], 1),
        ([("promote", 1), ("promote", 2), ("reject", 3)], 1),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2)], 1),
        ([("promote", 1), ("promote", 2), ("rollback", 1)], None),
        ([("promote", 1), ("promote", 2), ("rollback", 1), ("promote", 3)], 1),
        ([("promote", 1), ("promote", 2), ("rollback", 1), ("rollback", 2)], 1),
        ([("promote", 1), ("external", 7)], 1),
        ([("promote", 1), ("promote", 2), ("external", None)], 2),
        ([("promote", 1), ("promote", 2), ("erase", None)], None),
        ([("promote", 1), ("promote", 2), ("erase", None), ("promote", 1)], None),
        ([("promote", 1), ("erase", None), ("promote", 1), ("promote", 2)], 1),
        ([("promote", 1), ("cut short", 2), ("promote", 3)], 1),
        ([("promote", 1), ("cut short", 2), ("reject", 4), ("cut short", 3), ("promote", 4)], 1),
        ([("promote", 1), ("cut short", 2)], 1),
        ([("cut short", 1), ("promote", 2)], None),
    ],
)
def test_whom_a_rollback_goes_back_to(
    database: sa.Engine, write: Writer, steps: list[Step], former: int | None
) -> None:
    write("toy", steps)
    assert champion_history.find_former_champion(database, "toy") == former


def test_a_demo_taken_again_as_of_the_same_moment_has_lines_of_its_own(
    database: sa.Engine, write: Writer
) -> None:
    def trained(mlflow_run: str) -> ledger.Entry:
        return ledger.append_entry(
            database,
            use_case_name="toy",
            action="promote",
            from_version=None,
            to_version=1,
            training_run_id="a" * 36,
            mlflow_run_id=mlflow_run,
            actor="gate",
            reason="good",
        )

    first = trained("one")
    assert trained("one") == first
    write("toy", [("erase", None)])
    assert ledger.find_entry(database, "toy", "promote", training_run_id="a" * 36) is None
    again = trained("two")
    assert again.id > first.id
    assert ledger.find_entry(database, "toy", "promote", to_version=1) == again
    assert (
        ledger.find_entry(database, "toy", "promote", training_run_id="a" * 36, mlflow_run_id="one") is None
    )
