"""Clean rows into the feature store: history, online vectors and labels in one transaction.

The history has two clocks: a row's `event_time`, and `ingested_at`, the moment of the run that loaded it. A
row is inserted when it differs from what the store knew of that key and event time as of the run's moment. So
a late row or a correction is a new row, earlier moments still read what they knew, and a second run of the
same moment writes the same rows.

Moments may be loaded in any order, with one limit: a row that changes nothing is not written, so a value that
changes and later changes back is recorded only when its moments are loaded in order.

Rows later than all rows of a table are new without a comparison: they are loaded straight into it, in the
order of its primary key. Other rows are loaded into a temporary table, where the server compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa

from evergreen.errors import StoreError, ValidationFailed
from evergreen.ingest import staging
from evergreen.ingest.loading import quarantine
from evergreen.ingest.loading.bulk import ContentDigest, drop_temporary_table, fill_temporary_table, load_rows
from evergreen.ingest.loading.chunks import Chunk, write_chunks
from evergreen.ingest.loading.frame_rows import build_row_sorter
from evergreen.ingest.loading.news import (
    INCOMING_TABLE,
    count_stored_rows,
    insert_changed_rows,
    refresh_online_table,
)
from evergreen.ingest.loading.references import IncomingKeys
from evergreen.ingest.loading.sorter import RowSorter
from evergreen.ingest.run_report import RunColumns
from evergreen.ingest.scratch import open_scratch_folder
from evergreen.sources.ahead import read_ahead
from evergreen.store.connection.database import get_bulk_engine
from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.records.ingest_run import get_ingest, update_ingest
from evergreen.store.tables import declared
from evergreen.store.tables.table_state import count_change
from evergreen.usecase import EVENT_TIME, LABEL, FeatureView, Label, UseCase
from evergreen.validation.report import Failure, Report

if TYPE_CHECKING:
    from typing import TypeAlias

    import pandas as pd
    import pyarrow as pa

    from evergreen.validation.checker import RejectedRow

    Rows: TypeAlias = RowSorter | pa.Table | pd.DataFrame

# With fewer rows than this, comparing each one is quicker than finding the newest row of the table.
_FEW = 10_000
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class LoadedPart:
    """The outcome of loading one part.

    `rows` of the table have the run's moment as `ingested_at`; `digest` is of all clean rows. `changed`:
    whether a table changed. `left_out` rows repeat others or are corrected by a later input. `failures` are
    the checks that only the load can make.
    """

    rows: int
    digest: str
    changed: bool
    left_out: int = 0
    failures: tuple[Failure, ...] = ()


LoadJudge = Callable[[Mapping[str, LoadedPart]], RunColumns]


def load_parts(
    engine: sa.Engine,
    use_case: UseCase,
    run_id: str,
    parts: Mapping[str, Rows],
    *,
    rejected: Mapping[str, Iterable[RejectedRow]] | None = None,
    judge: LoadJudge | None = None,
) -> dict[str, int]:
    """Write the clean rows of one ingest run (by view name, and "label"); return each part's number of rows
    that have the run's moment as `ingested_at`.

    A rerun counts the same as the first run. In the same transaction the `rejected` rows go to the
    quarantine, the run becomes 'loaded' and its staged rows are deleted. Loads of one use case wait for each
    other.

    `judge` is called with the outcome of each part before anything is committed. It returns more columns for
    the run's record, or raises, and then nothing is loaded. Without it, any error (rows that differ under one
    key, keys that a reference does not find) raises ValidationFailed. Raises StoreError for rows of an
    unknown part or without their columns, StoreUnreachable.
    """
    run = get_ingest(engine, run_id)
    unknown = sorted(set(parts) - set(use_case.parts))
    if unknown:
        raise StoreError(
            f"{use_case.name} has no part {', '.join(unknown)} to load",
            hint=f"its parts are {', '.join(use_case.parts)}",
        )
    with (
        open_scratch_folder() as folder,
        get_bulk_engine(engine).connect() as connection,
        hold_lock(connection, f"ingest.{use_case.name}"),
    ):
        # The statement that took the lock began a transaction; rows must be read in one that begins later.
        connection.rollback()
        with connection.begin():
            loads = {
                name: _PartLoad(connection, use_case, part, parts[name], run.as_of, folder / name)
                for name, part in use_case.parts.items()
                if name in parts
            }
            for part_load in loads.values():
                part_load.write()
            outcomes = {name: part_load.outcome() for name, part_load in loads.items()}
            columns = (judge or _build_refusing_judge(use_case))(outcomes)
            for name, rows in (rejected or {}).items():
                quarantine.add_rejected_rows(connection, run_id, name, rows)
            counts = {name: outcome.rows for name, outcome in outcomes.items()}
            update_ingest(
                connection,
                run_id,
                status="loaded",
                rows_loaded=sum(counts.values()),
                digest=combine_digests({name: outcome.digest for name, outcome in outcomes.items()}),
                **columns,
            )
            staging.drop_staged_rows(connection, run_id)
    return counts


def combine_digests(digests: Mapping[str, str]) -> str:
    """SHA-256 over the digests of several parts."""
    return sha256("".join(f"{name}={digests[name]}\n" for name in sorted(digests)).encode()).hexdigest()


class _PartLoad:
    """One view (history and online table) or the label, within the transaction of a load."""

    def __init__(
        self,
        connection: sa.Connection,
        use_case: UseCase,
        part: FeatureView | Label,
        rows: Rows,
        as_of: datetime,
        folder: Path,
    ) -> None:
        folder.mkdir()
        self._connection = connection
        self._use_case = use_case
        self._part = part
        self._as_of = as_of
        self._folder = folder
        self._names = use_case.entity.key_names
        self._table = (
            declared.build_label_table(use_case)
            if isinstance(part, Label)
            else declared.build_history_table(use_case, part)
        )
        self._online = None if isinstance(part, Label) else declared.build_online_table(use_case, part)
        self._columns = [column.name for column in self._table.columns if column.name != declared.INGESTED_AT]
        self._sorter = (
            rows
            if isinstance(rows, RowSorter)
            else build_row_sorter(rows, self._table, self._columns, folder)
        )
        self._keys = IncomingKeys(
            connection, LABEL if self._online is None else part.name, self._table, self._names
        )
        self._digest = ContentDigest()
        self._rows = 0
        self._changed = False

    def write(self) -> None:
        """Load all rows."""
        newest = self._find_newest_event_time()
        # An online table that was emptied by hand is filled again, with all keys of the history.
        refill = newest is not None and self._online is not None and not self._has_rows(self._online)
        with closing(self._write_chunks()) as chunks:
            for chunk in chunks:
                if newest is None or chunk.earliest > newest:
                    self._append(chunk)
                else:
                    self._merge(chunk)
                if chunk.keys is not None:
                    self._keys.add(chunk.keys)
                chunk.discard()
        drop_temporary_table(self._connection, INCOMING_TABLE)
        if refill and self._online is not None:
            self._changed |= refresh_online_table(
                self._connection, self._table, self._online, self._names, everything=True
            )
        if self._changed:
            self._count_change()

    def outcome(self) -> LoadedPart:
        """The outcome of the load; to be called when all parts are written, because references lead to other
        parts."""
        failures = self._sorter.failures()
        for reference in self._part.contract.references:
            view = self._use_case.view(reference.view)
            failures += self._keys.find_missing_keys(
                reference, declared.build_online_table(self._use_case, view)
            )
        self._keys.drop()
        return LoadedPart(
            self._rows, self._digest.hexdigest(), self._changed, self._sorter.left_out, tuple(failures)
        )

    def _append(self, chunk: Chunk) -> None:
        """Load rows that the table cannot have yet, and the last one of each key into the online table."""
        moment = {declared.INGESTED_AT: to_naive_utc(self._as_of)}
        load_rows(self._connection, self._table.name, chunk.rows, fixed=moment)
        self._rows += chunk.rows.rows
        self._changed = True
        if self._online is not None and chunk.newest is not None:
            load_rows(self._connection, self._online.name, chunk.newest, fixed=moment, replace=True)

    def _merge(self, chunk: Chunk) -> None:
        """Load those rows that differ from what the table has."""
        fill_temporary_table(self._connection, INCOMING_TABLE, self._table, chunk.rows)
        if insert_changed_rows(self._connection, self._table, self._names, self._columns, self._as_of):
            self._changed = True
        count = count_stored_rows(self._connection, self._table, self._names, self._as_of)
        self._rows += count
        if count and self._online is not None:
            self._changed |= refresh_online_table(self._connection, self._table, self._online, self._names)

    def _find_newest_event_time(self) -> datetime | None:
        """The greatest event time (aware UTC) in the table; None when it is empty, and the end of time where
        comparing every row is quicker than finding it."""
        if not self._has_rows(self._table):
            return None
        if self._sorter.rows < _FEW:
            return _END_OF_TIME
        table = self._table if self._online is None else self._online
        newest = self._connection.execute(sa.select(sa.func.max(table.c[EVENT_TIME]))).scalar()
        return to_aware_utc(newest) if newest else _END_OF_TIME

    def _has_rows(self, table: sa.Table) -> bool:
        statement = sa.select(sa.literal(1)).select_from(table).limit(1)
        return self._connection.execute(statement).first() is not None

    def _write_chunks(self) -> Generator[Chunk, None, None]:
        chunks = read_ahead(
            lambda: write_chunks(
                self._sorter,
                self._columns,
                self._folder,
                self._digest,
                with_newest=self._online is not None,
                with_keys=bool(self._part.contract.references),
            )
        )
        return cast("Generator[Chunk, None, None]", chunks)

    def _count_change(self) -> None:
        """Raise the tables' change counters, which tell readers that their cached copies are out of date."""
        for table in (self._table, self._online):
            if table is not None:
                count_change(self._connection, table.name)


def _build_refusing_judge(use_case: UseCase) -> LoadJudge:
    def refuse_errors(loaded: Mapping[str, LoadedPart]) -> RunColumns:
        reports = [Report(use_case.name, name, part.rows, 0, part.failures) for name, part in loaded.items()]
        if broken := [report for report in reports if not report.ok]:
            raise ValidationFailed(
                f"the rows break the contract of {use_case.name}; nothing was loaded\n"
                + "\n\n".join(report.as_table() for report in broken),
                hint="mend the rows, then load them again",
            )
        return RunColumns()

    return refuse_errors
