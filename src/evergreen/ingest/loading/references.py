"""References between the parts of a use case: each incoming key must also be a key of another view."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from evergreen.ingest.loading.bulk import RowsFile, drop_temporary_table, fill_temporary_table, load_rows
from evergreen.usecase import Reference
from evergreen.validation.report import MAX_EXAMPLES, Failure, build_failure


class IncomingKeys:
    """The keys that an ingest brought for one part, in a temporary table of the connection.

    `like` is the part's table, whose types the keys `names` get.
    """

    def __init__(self, connection: sa.Connection, part: str, like: sa.Table, names: Sequence[str]) -> None:
        self._connection = connection
        self._table_name = f"evergreen_keys_{part}"
        self._like = like
        self._names = tuple(names)
        self._is_filled = False

    def add(self, keys: RowsFile) -> None:
        """Load the keys of a file into the temporary table, which is created with the first of them."""
        if self._is_filled:
            load_rows(self._connection, self._table_name, keys)
        else:
            fill_temporary_table(self._connection, self._table_name, self._like, keys)
            self._is_filled = True

    def find_missing_keys(self, reference: Reference, online: sa.Table) -> list[Failure]:
        """The keys that have no row in the online table of the view referred to, as one failure or none."""
        if not self._is_filled:
            return []
        incoming = sa.table(self._table_name, *(sa.column(name) for name in self._names)).alias("n")
        existing = online.alias("o")
        same_key = sa.and_(*(existing.c[name] == incoming.c[name] for name in self._names))
        missing = (
            sa.select(*(incoming.c[name] for name in self._names))
            .select_from(incoming.outerjoin(existing, same_key))
            .where(existing.c[self._names[0]].is_(None))
            .distinct()
        )
        statement = sa.select(sa.func.count()).select_from(missing.subquery())
        count = self._connection.execute(statement).scalar()
        if not count:
            return []
        rows = self._connection.execute(
            missing.order_by(*(incoming.c[name] for name in self._names)).limit(MAX_EXAMPLES)
        )
        examples = [" ".join(map(str, row)) for row in rows]
        check = f"stands in no row of {reference.view}"
        return [build_failure(", ".join(self._names), check, count, examples, severity=reference.severity)]

    def drop(self) -> None:
        """Drop the temporary table."""
        drop_temporary_table(self._connection, self._table_name)
