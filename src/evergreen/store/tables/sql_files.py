"""SQL files: the migrations, and the statements by which an administrator prepares the ledger.

Standard library only: the supervisor of the embedded stack reads these files too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from evergreen.errors import StoreError

_PACKAGE = Path(__file__).resolve().parents[2]
_LEDGER = Path("admin") / "ledger.sql"
_GRANTS = ("GRANT", "REVOKE")


def find_migrations_folder() -> Path:
    """Where the migrations are: inside an installed package, or `sql/` of the checkout."""
    for place in (_PACKAGE / "_sql", _PACKAGE.parents[1] / "sql"):
        if any(place.glob("*.sql")):
            return place
    raise StoreError(
        "the platform's migrations (sql/*.sql) are not where the package expects them",
        hint=f"reinstall evergreen; looked in {_PACKAGE / '_sql'} and {_PACKAGE.parents[1] / 'sql'}",
    )


def split_statements(script: str) -> list[str]:
    """The statements of a script. A statement ends with a semicolon at the end of a line."""
    code = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("--"))
    statements = (statement.strip() for statement in re.split(r";\s*$", code, flags=re.MULTILINE))
    return [statement for statement in statements if statement]


def get_ledger_schema(database: str) -> str:
    """The database in which the ledger of the platform's `database` stands."""
    return f"{database}_ledger"


def fill_ledger_name(script: str, database: str) -> str:
    """A script with the name of that ledger's database filled in."""
    return script.replace("{ledger}", get_ledger_schema(database))


def build_ledger_statements(database: str, definer: str = "CURRENT_USER") -> list[str]:
    """The statements that create the ledger, or bring an earlier version's up to date.

    `definer` is the account with whose rights the trigger runs that numbers and dates lines; it must last.
    """
    statements = [each for each in _read_ledger_statements(database) if not each.startswith(_GRANTS)]
    return [statement.replace("{definer}", definer) for statement in statements]


def build_ledger_grants(database: str, user: str, hosts: Sequence[str]) -> list[str]:
    """The statements, an administrator's, after which `user` may read and append to the ledger, no more."""
    grants = [each for each in _read_ledger_statements(database) if each.startswith(_GRANTS)]
    return [grant.replace("{user}", user).replace("{host}", host) for host in hosts for grant in grants]


def build_full_grants(database: str, user: str, hosts: Sequence[str]) -> list[str]:
    """The statements, an administrator's, after which `user` may do everything in `database` alone."""
    # In GRANT an underscore would stand for any character.
    pattern = database.replace("_", r"\_").replace("%", r"\%")
    return [f"GRANT ALL PRIVILEGES ON `{pattern}`.* TO '{user}'@'{host}'" for host in hosts]


def _read_ledger_statements(database: str) -> list[str]:
    return split_statements(
        fill_ledger_name((find_migrations_folder() / _LEDGER).read_text("utf-8"), database)
    )
