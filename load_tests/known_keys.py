"""Keys that the online store holds, for the user who asks by key."""

from __future__ import annotations

import json
from pathlib import Path

import sqlalchemy as sa

from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.tables.declared import build_online_table
from evergreen.usecase import UseCase

_MOST = 2_000


def write_known_keys(settings: Settings, use_case: UseCase, path: Path) -> int:
    """Write keys that every view holds as JSON; how many, 0 where there are none or the store is away."""
    names = use_case.entity.key_names
    tables = [build_online_table(use_case, view) for view in use_case.views]
    first, *others = tables
    statement = sa.select(*(first.c[name] for name in names)).order_by(*(first.c[name] for name in names))
    for other in others:
        statement = statement.join(other, sa.and_(*(other.c[name] == first.c[name] for name in names)))
    try:
        with get_engine(settings).connect() as connection:
            rows = connection.execute(statement.limit(_MOST)).mappings().all()
    except sa.exc.SQLAlchemyError:
        return 0
    path.write_text(json.dumps([dict(row) for row in rows]), encoding="utf-8")
    return len(rows)
