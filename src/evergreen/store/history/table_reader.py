"""Reads the tables of a query in parts, from the cache where nothing has changed, else from MariaDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from evergreen.store.history import scan
from evergreen.store.history.cache import Cache, Draft, finish_drafts
from evergreen.store.history.query import Query, TableSelection
from evergreen.store.tables.table_state import TableState, read_states


class TableReader:
    """Reads tables in parts, from the cache where nothing has changed, else from MariaDB."""

    def __init__(
        self,
        engine: sa.Engine,
        read_at: datetime,
        states: Mapping[str, TableState],
        query: Query,
        cache: Path | None,
        cache_mb: int,
    ) -> None:
        url = engine.url
        self._engine, self._read_at, self._states, self._query = engine, read_at, states, query
        self._cache = Cache(cache, cache_mb, f"{url.host}:{url.port}/{url.database}") if cache else None
        self._bounds: dict[int, list[Any]] = {}
        self._drafts: list[Draft] = []

    def parts(self, part: TableSelection) -> Iterator[pa.Table]:
        """The whole table as of `read_at`, sorted, in parts of whole keys."""
        state = self._states[part.table]
        cached = self._cache.find(part, state, self._read_at) if self._cache else None
        if cached is not None:
            yield from cached
            return
        bounds = self._divisions(part, scan.choose_range_count(state.rows))
        ranges = scan.read_key_ranges(self._engine, part, self._read_at, bounds)
        if self._cache is None or not state.settled(self._read_at):
            yield from ranges
            return
        draft = self._cache.draft(part, state)
        self._drafts.append(draft)
        for rows in ranges:
            draft.add(rows)
            yield rows

    def __enter__(self) -> TableReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Publish to the cache what was read of the tables that nobody changed meanwhile."""
        states: Mapping[str, TableState] = {}
        try:
            if kind is None and self._drafts:
                with self._engine.connect() as connection:
                    states = read_states(connection, [draft.state.name for draft in self._drafts])
        finally:
            finish_drafts(self._drafts, states)

    def _divisions(self, part: TableSelection, count: int) -> list[Any]:
        if count < 2:
            return []
        if count not in self._bounds:
            table = self._query.views[0].table if part is self._query.label else part.table
            self._bounds[count] = scan.find_key_bounds(
                self._engine, f"{table}__online", part.keys[0][0], count
            )
        return self._bounds[count]
