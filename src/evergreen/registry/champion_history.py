"""Who was champion when, and whom a rollback goes back to: derived from the ledger's lines."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from evergreen.registry.ledger import (
    CHAMPION_CHANGES,
    CLOCK_TOLERANCE,
    RECORDED_AT,
    Entry,
    build_after_erase_condition,
    get_ledger_table,
    query_entries,
    query_newest_entry,
)
from evergreen.store.connection.times import to_naive_utc


def find_promotion_time(engine: sa.Engine, use_case_name: str, version: int) -> datetime | None:
    """When that version last became champion, by whatever action (aware UTC); None if never.

    A line that is dated ahead counts from when it was recorded.
    """
    lines = [line for line in read_champion_changes(engine, use_case_name) if line.to_version == version]
    return max((min(line.at, line.since) for line in lines), default=None)


def find_last_change(engine: sa.Engine, use_case_name: str) -> Entry | None:
    """The newest line after which another version was champion, or none was; None before the first."""
    table = get_ledger_table(engine)
    return query_newest_entry(engine, table.c.use_case == use_case_name, table.c.action.in_(CHAMPION_CHANGES))


def read_champion_changes(engine: sa.Engine, use_case_name: str) -> list[Entry]:
    """Every change of champion after the use case's last `erase`, oldest first, without that line itself."""
    table = get_ledger_table(engine)
    query = sa.select(table).where(
        table.c.use_case == use_case_name,
        table.c.action.in_(CHAMPION_CHANGES),
        build_after_erase_condition(table, use_case_name),
    )
    return query_entries(engine, query.order_by(table.c.id))


def find_former_champion(engine: sa.Engine, use_case_name: str) -> int | None:
    """The version that a rollback goes back to; None if there is none.

    That is the champion before the present one, or the last one when nobody is champion. A version that was
    rolled back is passed over, so a second rollback goes further back and not forth again. So is one whose
    promotion was cut short and overtaken.
    """
    # The present champion and those before it, oldest first, without versions that were rolled back.
    line_of_succession: list[int] = []
    present: int | None = None
    table = get_ledger_table(engine)
    changes = _select_effective_changes(
        table, table.c.use_case == use_case_name, build_after_erase_condition(table, use_case_name)
    )
    for line in query_entries(engine, sa.select(changes).order_by(changes.c.id)):
        present = line.to_version
        if present is None:
            continue
        if present in line_of_succession:
            del line_of_succession[line_of_succession.index(present) :]
        line_of_succession.append(present)
    if present is not None:
        line_of_succession.pop()
    return line_of_succession[-1] if line_of_succession else None


def read_champions_at(engine: sa.Engine, at: datetime, use_case_name: str | None = None) -> dict[str, Entry]:
    """By use case, the line that made its champion of that moment (aware); `to_version` is the champion.

    A use case that had no champion then is left out. A promotion that was cut short and overtaken, even
    after `at`, made no champion. A line that is dated back counts from when MariaDB recorded it.
    """
    table = get_ledger_table(engine)
    changes = _select_effective_changes(
        table, *([table.c.use_case == use_case_name] if use_case_name is not None else [])
    )
    since = _build_effective_time(changes)
    rank = sa.func.row_number().over(
        partition_by=changes.c.use_case, order_by=(since.desc(), changes.c.id.desc())
    )
    ranked = sa.select(changes, rank.label("age")).where(since <= to_naive_utc(at)).subquery()
    columns = [ranked.c[column.key] for column in table.c]
    lines = query_entries(engine, sa.select(*columns).where(ranked.c.age == 1))
    return {line.use_case: line for line in lines if line.to_version is not None}


def read_backdated_entries(engine: sa.Engine, at: datetime) -> list[Entry]:
    """The changes of champion that are dated `at` (aware) or before but were written later, oldest first.

    `read_champions_at` does not count them at that moment.
    """
    table = get_ledger_table(engine)
    query = sa.select(table).where(
        table.c.action.in_(CHAMPION_CHANGES),
        table.c.at <= to_naive_utc(at),
        _build_effective_time(table) > to_naive_utc(at),
    )
    return query_entries(engine, query.order_by(table.c.id))


def _build_effective_time(table: sa.FromClause) -> sa.ColumnElement[Any]:
    """`Entry.since` in SQL."""
    if RECORDED_AT not in table.c:
        return table.c.at
    recorded_at = table.c[RECORDED_AT]
    difference = sa.func.abs(sa.func.timestampdiff(sa.text("MICROSECOND"), table.c.at, recorded_at))
    return sa.case((difference > CLOCK_TOLERANCE // timedelta(microseconds=1), recorded_at), else_=table.c.at)


def _select_effective_changes(table: sa.TableClause, *conditions: sa.ColumnElement[bool]) -> sa.Subquery:
    """The changes of champion that took effect or still may: not those cut short and overtaken.

    A change was cut short when its process died between the ledger's line and the alias. The next change
    then starts from the same `from_version` as that line.
    """
    next_id = sa.over(sa.func.lead(table.c.id), partition_by=table.c.use_case, order_by=table.c.id)
    next_from = sa.over(
        sa.func.lead(table.c.from_version), partition_by=table.c.use_case, order_by=table.c.id
    )
    changes = (
        sa.select(table, next_id.label("next_id"), next_from.label("next_from_version"))
        .where(table.c.action.in_(CHAMPION_CHANGES), *conditions)
        .subquery()
    )
    cut_short = sa.and_(
        changes.c.next_id.is_not(None),
        changes.c.action != "erase",
        changes.c.next_from_version.is_not_distinct_from(changes.c.from_version),
        changes.c.to_version.is_distinct_from(changes.c.from_version),
    )
    columns = [changes.c[column.key] for column in table.c]
    return sa.select(*columns).where(sa.not_(cut_short)).subquery()
