"""The ledger: append-only record of who became champion when, instead of whom, by whose hand and why.

It stands in a database of its own, `<platform's database>_ledger`, where the platform's user may read and add
lines but neither change nor delete them: MariaDB refuses, not this code. MariaDB also numbers each line and
says when it was written (`recorded_at`), beside the moment that the writer gives (`at`). See
sql/admin/ledger.sql.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.store.connection.database import DUPLICATE_KEY, get_error_code
from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.sql_files import get_ledger_schema

Action = Literal["promote", "reject", "rollback", "approve", "deny", "external", "erase"]

# The actions after which another version is champion, or none.
CHAMPION_CHANGES: tuple[Action, ...] = ("promote", "rollback", "external", "erase")

_COLUMNS = (
    *("id", "at", "use_case", "action", "from_version", "to_version"),
    *("training_run_id", "mlflow_run_id", "actor", "reason", "verdict"),
)
_RECORDED_AT = "recorded_at"
# The writer's clock and MariaDB's may differ by so much.
_CLOCK_TOLERANCE = timedelta(seconds=60)
# No number is left: of the trigger's sum, of its column, and of AUTO_INCREMENT in a ledger of before.
_IDS_EXHAUSTED_CODES = {1690, 1264, 167, 1467}
_EXCESSIVE_ID = 2**62
_UNIQUE_COLUMNS = ("use_case", "action", "training_run_id", "mlflow_run_id", "to_version")


@dataclass(frozen=True)
class Entry:
    """One line of the ledger, in aware UTC. `to_version` is None where nobody is champion afterwards.

    `at` is when it happened, as the writer says, `recorded_at` when MariaDB wrote the line: None in lines of
    before it did.
    """

    id: int
    at: datetime
    recorded_at: datetime | None
    use_case: str
    action: Action
    from_version: int | None
    to_version: int | None
    training_run_id: str | None
    mlflow_run_id: str | None
    actor: str
    reason: str
    verdict: Mapping[str, Any] | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the gate warned of; nothing in lines without a verdict, or of before there were warnings."""
        return tuple((self.verdict or {}).get("warnings", ()))

    @property
    def since(self) -> datetime:
        """From when on it counts: `at`, unless the line was not there yet, or is dated ahead."""
        return self.recorded_at if self.misdated and self.recorded_at else self.at

    @property
    def misdated(self) -> bool:
        """Whether the writer gives another moment than that of the writing: dated back, or ahead."""
        return self.recorded_at is not None and abs(self.recorded_at - self.at) > _CLOCK_TOLERANCE


def append_entry(
    engine: sa.Engine,
    *,
    use_case: str,
    action: Action,
    from_version: int | None,
    to_version: int | None,
    training_run_id: str | None,
    actor: str,
    reason: str,
    mlflow_run_id: str | None = None,
    verdict: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> Entry:
    """Append a line; return the line that stands.

    Of a training run (and its MLflow run) there is one line per (action, to_version): a second call finds the
    first one's. Lines without a training run are always new. `at` (aware) is when it happened; default: now.
    Raises StoreError when somebody has used up the numbers of lines.
    """
    values = {
        "at": to_naive_utc(at or datetime.now(UTC)),
        "use_case": use_case,
        "action": action,
        "from_version": from_version,
        "to_version": to_version,
        "training_run_id": training_run_id,
        "mlflow_run_id": mlflow_run_id,
        "actor": actor,
        "reason": reason,
        "verdict": json.dumps(verdict) if verdict is not None else None,
    }
    table = _get_table(engine)
    same = [table.c[name].is_not_distinct_from(values[name]) for name in _UNIQUE_COLUMNS]
    if training_run_id is not None and (standing := _read_newest(engine, *same)):
        return standing
    try:
        _insert_entry(engine, sa.insert(table).values(values))
    except sa.exc.IntegrityError as error:
        # Written by another process since it was looked for: ON DUPLICATE KEY would need the right to UPDATE.
        # A line without a training run is always new: what is taken then is its number.
        written = get_error_code(error) == DUPLICATE_KEY and training_run_id is not None
        if not written or (standing := _read_newest(engine, *same)) is None:
            raise
        return standing
    # The trigger sets the id, so LAST_INSERT_ID() does not report it, and INSERT ... RETURNING id needs a
    # right to that column which this user does not have.
    own = [table.c[name] == values[name] for name in ("at", "actor", "reason")]
    line = _read_newest(engine, *same, *own)
    assert line is not None
    return line


def read_entries(engine: sa.Engine, use_case: str, limit: int = 100) -> list[Entry]:
    """The newest lines of a use case, newest first."""
    table = _get_table(engine)
    wanted = sa.select(table).where(table.c.use_case == use_case).order_by(table.c.id.desc()).limit(limit)
    return _run_query(engine, wanted)


def find_entry(
    engine: sa.Engine,
    use_case: str,
    action: Action,
    *,
    training_run_id: str | None = None,
    mlflow_run_id: str | None = None,
    to_version: int | None = None,
) -> Entry | None:
    """The newest line of that action, of that training or to that version where one is given.

    Lines before an `erase` are not looked at: version numbers begin anew after one.
    """
    table = _get_table(engine)
    given = {
        "training_run_id": training_run_id,
        "mlflow_run_id": mlflow_run_id,
        "to_version": to_version,
    }
    wanted = [table.c[name] == value for name, value in given.items() if value is not None]
    return _read_newest(
        engine,
        table.c.use_case == use_case,
        table.c.action == action,
        _build_after_erase_condition(table, use_case),
        *wanted,
    )


def find_promotion_time(engine: sa.Engine, use_case: str, version: int) -> datetime | None:
    """When that version last became champion, in whatever way (aware UTC); None if never. A line that is
    dated ahead counts from when it was recorded."""
    lines = [line for line in read_champion_changes(engine, use_case) if line.to_version == version]
    at = [min(line.at, line.since) for line in lines]
    return max(at, default=None)


def find_last_change(engine: sa.Engine, use_case: str) -> Entry | None:
    """The newest line after which another version was champion, or none was; None before the first."""
    table = _get_table(engine)
    return _read_newest(engine, table.c.use_case == use_case, table.c.action.in_(CHAMPION_CHANGES))


def read_champion_changes(engine: sa.Engine, use_case: str) -> list[Entry]:
    """Every change of champion since the use case was last erased, oldest first; not the erasure itself."""
    table = _get_table(engine)
    mine = sa.and_(table.c.use_case == use_case, table.c.action.in_(CHAMPION_CHANGES))
    wanted = sa.select(table).where(mine, _build_after_erase_condition(table, use_case)).order_by(table.c.id)
    return _run_query(engine, wanted)


def find_former_champion(engine: sa.Engine, use_case: str) -> int | None:
    """To which version a rollback would go back: the champion before the present one; None if there is none.

    A version that was rolled back is not meant: a second rollback goes further back, and not forth again.
    Nor is one whose promotion was cut short and overtaken. When nobody is champion, it is the last one.
    """
    line_of_succession: list[int] = []
    present: int | None = None
    table = _get_table(engine)
    stood = _select_effective_changes(
        table, table.c.use_case == use_case, _build_after_erase_condition(table, use_case)
    )
    for line in _run_query(engine, sa.select(stood).order_by(stood.c.id)):
        present = line.to_version
        if present is None:
            continue
        if present in line_of_succession:
            del line_of_succession[line_of_succession.index(present) :]
        line_of_succession.append(present)
    if present is not None:
        line_of_succession.pop()
    return line_of_succession[-1] if line_of_succession else None


def read_champions_at(engine: sa.Engine, at: datetime, use_case: str | None = None) -> dict[str, Entry]:
    """By use case, the line that made its champion of that moment (aware): `to_version` is who it was.

    A use case that had none then, never or no longer, is left out. A promotion that was cut short and
    overtaken, be it later than `at`, made no champion.

    A line that is dated back counts from when MariaDB recorded it, so it takes nobody's place.
    """
    table = _get_table(engine)
    stood = _select_effective_changes(
        table, *([table.c.use_case == use_case] if use_case is not None else [])
    )
    since = _build_effective_time(stood)
    newest = sa.func.row_number().over(
        partition_by=stood.c.use_case, order_by=(since.desc(), stood.c.id.desc())
    )
    ranked = sa.select(stood, newest.label("age")).where(since <= to_naive_utc(at)).subquery()
    lines = _run_query(engine, sa.select(*(ranked.c[each.key] for each in table.c)).where(ranked.c.age == 1))
    return {line.use_case: line for line in lines if line.to_version is not None}


def read_backdated_entries(engine: sa.Engine, at: datetime) -> list[Entry]:
    """The changes of champion that are dated `at` (aware) or before and were written after it, oldest first.

    `read_champions_at` does not heed them.
    """
    table = _get_table(engine)
    wanted = [
        table.c.action.in_(CHAMPION_CHANGES),
        table.c.at <= to_naive_utc(at),
        _build_effective_time(table) > to_naive_utc(at),
    ]
    return _run_query(engine, sa.select(table).where(*wanted).order_by(table.c.id))


def _insert_entry(engine: sa.Engine, statement: sa.Insert) -> None:
    # MariaDB gives a line the number after the greatest: writers at the same time would be given the same, or
    # end in a deadlock.
    with engine.connect() as connection, hold_lock(connection, "ledger"):
        connection.rollback()
        try:
            connection.execute(statement)
        except sa.exc.IntegrityError:
            raise
        except sa.exc.DBAPIError as error:
            if get_error_code(error) in _IDS_EXHAUSTED_CODES:
                raise _build_ids_exhausted_error(engine) from error
            raise
        connection.commit()


def _build_ids_exhausted_error(engine: sa.Engine) -> StoreError:
    ledger = f"`{get_ledger_schema(str(engine.url.database))}`.promotion"
    next_one = f"SELECT MAX(id) + 1 AS id FROM {ledger} WHERE id < {_EXCESSIVE_ID}"  # noqa: S608
    renumber = f"UPDATE {ledger} SET id = (SELECT id FROM ({next_one}) AS next_one)"  # noqa: S608
    return StoreError(
        f"the ledger {ledger} has no number left for another line: one has a number near the greatest,"
        " which Evergreen never gives",
        hint="let an administrator look at that line, run sql/admin/ledger.sql again, after which MariaDB"
        " alone gives numbers, and give that line the next one:\n"
        f"{renumber} WHERE id >= {_EXCESSIVE_ID} ORDER BY id LIMIT 1;",
    )


def _get_table(engine: sa.Engine) -> sa.TableClause:
    schema = get_ledger_schema(str(engine.url.database))
    return _build_table(schema, _has_recorded_at(engine, schema))


@lru_cache(maxsize=8)
def _build_table(schema: str, tells_when_recorded: bool) -> sa.TableClause:
    # One object per ledger: conditions made of another would make MariaDB join the table with itself.
    names = (*_COLUMNS, _RECORDED_AT) if tells_when_recorded else _COLUMNS
    return sa.table("promotion", *(sa.column(name) for name in names), schema=schema)


# Ledgers that are known to have the column. Others get it when somebody runs ledger.sql again.
_ledgers_with_recorded_at: set[sa.URL] = set()


def _has_recorded_at(engine: sa.Engine, schema: str) -> bool:
    if engine.url not in _ledgers_with_recorded_at:
        columns = sa.table(
            "columns", sa.column("table_schema"), sa.column("table_name"), sa.column("column_name")
        )
        columns.schema = "information_schema"
        wanted = sa.select(sa.literal(1)).where(
            columns.c.table_schema == schema,
            columns.c.table_name == "promotion",
            columns.c.column_name == _RECORDED_AT,
        )
        with engine.connect() as connection:
            if connection.execute(wanted).first() is None:
                return False
        _ledgers_with_recorded_at.add(engine.url)
    return True


def _build_effective_time(table: sa.FromClause) -> sa.ColumnElement[Any]:
    """`Entry.since` in SQL."""
    if _RECORDED_AT not in table.c:
        return table.c.at
    recorded_at = table.c[_RECORDED_AT]
    difference = sa.func.abs(sa.func.timestampdiff(sa.text("MICROSECOND"), table.c.at, recorded_at))
    return sa.case(
        (difference > _CLOCK_TOLERANCE // timedelta(microseconds=1), recorded_at), else_=table.c.at
    )


def _select_effective_changes(table: sa.TableClause, *wanted: sa.ColumnElement[bool]) -> sa.Subquery:
    """The changes of champion that came to pass, or that may still: not those cut short and overtaken.

    Of such a line the alias was never set, so the next change found the champion of before still there.
    """
    succession: dict[str, Any] = {"partition_by": table.c.use_case, "order_by": table.c.id}
    after = sa.func.lead(table.c.id).over(**succession).label("after")
    found = sa.func.lead(table.c.from_version).over(**succession).label("found")
    changes = sa.select(table, after, found).where(table.c.action.in_(CHAMPION_CHANGES), *wanted).subquery()
    cut_short = sa.and_(
        changes.c.after.is_not(None),
        changes.c.action != "erase",
        changes.c.found.is_not_distinct_from(changes.c.from_version),
        changes.c.to_version.is_distinct_from(changes.c.from_version),
    )
    return sa.select(*(changes.c[each.key] for each in table.c)).where(sa.not_(cut_short)).subquery()


def _build_after_erase_condition(table: sa.TableClause, use_case: str) -> sa.ColumnElement[bool]:
    older = table.alias("erased")
    erased = sa.select(sa.func.coalesce(sa.func.max(older.c.id), 0)).where(
        older.c.use_case == use_case, older.c.action == "erase"
    )
    return table.c.id > erased.scalar_subquery()


def _read_newest(engine: sa.Engine, *wanted: sa.ColumnElement[bool]) -> Entry | None:
    table = _get_table(engine)
    found = _run_query(engine, sa.select(table).where(*wanted).order_by(table.c.id.desc()).limit(1))
    return found[0] if found else None


def _run_query(engine: sa.Engine, wanted: sa.Select[Any]) -> list[Entry]:
    with engine.connect() as connection:
        return [_parse_entry(row) for row in connection.execute(wanted)]


def _parse_entry(row: sa.Row[Any]) -> Entry:
    fields = dict(row._mapping)
    fields["at"] = to_aware_utc(fields["at"])
    recorded_at = fields.get(_RECORDED_AT)
    fields[_RECORDED_AT] = to_aware_utc(recorded_at) if recorded_at else None
    verdict = fields["verdict"]
    fields["verdict"] = json.loads(verdict) if isinstance(verdict, str | bytes) else verdict
    return Entry(**fields)
