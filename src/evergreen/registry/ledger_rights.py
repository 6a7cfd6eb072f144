"""What MariaDB lets the platform's user do to the ledger."""

from __future__ import annotations

import re

import sqlalchemy as sa

from evergreen.store.tables.sql_files import get_ledger_schema

_GRANT = re.compile(r"^GRANT (?P<rights>.+?) ON (?:`(?P<schema>.+?)`|\*)\.(?:`(?P<table>.+?)`|\*) TO ")
_RIGHT = re.compile(r"(?P<right>[A-Z ]+?)(?: \((?P<columns>[^)]*)\))?(?:, |$)")
# With any of these on its table, or on one of its columns, lines can be changed or made to vanish.
_HARMFUL = frozenset({"ALL PRIVILEGES", "UPDATE", "DELETE", "DROP", "ALTER", "TRIGGER"})
# What MariaDB sets: who may insert it could date a line back, or use up the numbers.
_SET_BY_MARIADB = frozenset({"id", "recorded_at"})


def is_ledger_protected(engine: sa.Engine) -> bool:
    """Whether MariaDB would refuse this user to change or delete a line, and to number or date one, as SHOW
    GRANTS tells."""
    schema = get_ledger_schema(str(engine.url.database))
    with engine.connect() as connection:
        grants = connection.execute(sa.text("SHOW GRANTS")).scalars()
        return not any(is_harmful_grant(grant, schema) for grant in grants)


def is_harmful_grant(grant: str, schema: str) -> bool:
    """Whether a line of SHOW GRANTS gives a right that endangers the ledger in the database `schema`."""
    found = _GRANT.match(grant)
    if found is None or (found["table"] or "promotion") != "promotion":
        return False
    where = found["schema"]
    if where is not None and not re.fullmatch(_convert_grant_pattern(where), schema):
        return False
    return any(
        _is_harmful_right(right["right"], right["columns"]) for right in _RIGHT.finditer(found["rights"])
    )


def _is_harmful_right(right: str, columns: str | None) -> bool:
    if right == "INSERT":
        return columns is None or not _SET_BY_MARIADB.isdisjoint(re.findall(r"`(.+?)`", columns))
    return right in _HARMFUL


def _convert_grant_pattern(pattern: str) -> str:
    """A pattern of GRANT (`_` is one character, `%` any, a backslash takes that away) as a regex."""
    meanings = {"_": ".", "%": ".*"}
    parts = re.findall(r"\\.|.", pattern)
    return "".join(meanings.get(part) or re.escape(part[-1]) for part in parts)
