"""The platform's own tables: numbered SQL files, applied once each, in order, safe to run again."""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.store.database import NO_SUCH_TABLE, error_code, exclusive

_NAME = re.compile(r"^\d{4}_[a-z0-9_]+\.sql$")
_PACKAGE = Path(__file__).resolve().parents[1]


def folder() -> Path:
    """Where the migrations are: inside an installed package, or `sql/` of the checkout."""
    for place in (_PACKAGE / "_sql", _PACKAGE.parents[1] / "sql"):
        if any(place.glob("*.sql")):
            return place
    raise StoreError(
        "the platform's migrations (sql/*.sql) are not where the package expects them",
        hint=f"reinstall evergreen; looked in {_PACKAGE / '_sql'} and {_PACKAGE.parents[1] / 'sql'}",
    )


def migrate(engine: sa.Engine, source: Path | None = None) -> list[str]:
    """Apply the migrations that this database has not seen; the names of those applied now.

    MariaDB commits DDL implicitly, so a migration killed half-way is run again from its start and must
    bear it (IF NOT EXISTS). Callers at the same time wait for each other.
    """
    source = source or folder()
    files = sorted(path for path in source.glob("*.sql") if _NAME.match(path.name))
    with engine.connect() as connection:
        if not [path for path in files if path.stem not in _seen(connection)]:
            return []
        with exclusive(connection, "migrate"):
            seen = _seen(connection)
            applied = [path for path in files if path.stem not in seen]
            for path in applied:
                for statement in statements(path.read_text("utf-8")):
                    connection.exec_driver_sql(statement)
                connection.execute(
                    sa.text("INSERT IGNORE INTO schema_migration (name) VALUES (:name)"), {"name": path.stem}
                )
                connection.commit()
    return [path.stem for path in applied]


def statements(script: str) -> list[str]:
    """The statements of a migration. A statement ends with a semicolon at the end of a line."""
    code = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("--"))
    parts = (part.strip() for part in re.split(r";\s*$", code, flags=re.MULTILINE))
    # The driver formats with %, so a literal one must be doubled.
    return [part.replace("%", "%%") for part in parts if part]


def _seen(connection: sa.Connection) -> set[str]:
    try:
        return set(connection.execute(sa.text("SELECT name FROM schema_migration")).scalars())
    except sa.exc.ProgrammingError as error:
        if error_code(error) != NO_SUCH_TABLE:
            raise
        return set()
    finally:
        connection.rollback()
