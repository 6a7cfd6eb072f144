"""References between the parts of a use case: each incoming key must stand in another view as well."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from evergreen.ingest.loading.bulk import RowsFile, drop_temporary_table, fill_temporary_table, load_rows
from evergreen.usecase import Reference
from evergreen.validation.report import MAX_EXAMPLES, Failure, build_failure


class IncomingKeys:
    """The keys that an ingest brought for one part, in a temporary table of the connection."""

    def __init__(self, connection: sa.Connection, part: str, like: sa.Table, names: Sequence[str]) -> None:
        self._connection = connection
        self._name = f"evergreen_keys_{part}"
        self._like = like
        self._names = tuple(names)
        self._filled = False

    def add(self, keys: RowsFile) -> None:
        if self._filled:
            load_rows(self._connection, self._name, keys)
        else:
            fill_temporary_table(self._connection, self._name, self._like, keys)
            self._filled = True

    def strangers(self, reference: Reference, online: sa.Table) -> list[Failure]:
        """The keys that have no row in the online table of the view referred to, as one failure or none."""
        if not self._filled:
            return []
        mine = sa.table(self._name, *(sa.column(name) for name in self._names)).alias("n")
        theirs = online.alias("o")
        same = sa.and_(*(theirs.c[name] == mine.c[name] for name in self._names))
        lacking = (
            sa.select(*(mine.c[name] for name in self._names))
            .select_from(mine.outerjoin(theirs, same))
            .where(theirs.c[self._names[0]].is_(None))
            .distinct()
        )
        count = self._connection.execute(sa.select(sa.func.count()).select_from(lacking.subquery())).scalar()
        if not count:
            return []
        rows = self._connection.execute(
            lacking.order_by(*(mine.c[n] for n in self._names)).limit(MAX_EXAMPLES)
        )
        examples = [" ".join(map(str, row)) for row in rows]
        check = f"stands in no row of {reference.view}"
        return [build_failure(", ".join(self._names), check, count, examples, severity=reference.severity)]

    def drop(self) -> None:
        drop_temporary_table(self._connection, self._name)
