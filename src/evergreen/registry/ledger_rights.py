"""Which rights the platform's user has on the ledger, read from MariaDB's SHOW GRANTS."""

from __future__ import annotations

import re

import sqlalchemy as sa

from evergreen.store.tables.sql_files import get_ledger_schema

# A line such as: GRANT SELECT, INSERT (`at`, `actor`) ON `evergreen_ledger`.`promotion` TO `evergreen`@`%`
_GRANT = re.compile(r"^GRANT (?P<rights>.+?) ON (?:`(?P<schema>.+?)`|\*)\.(?:`(?P<table>.+?)`|\*) TO ")
# One right of that list, with its columns if it is limited to some.
_RIGHT = re.compile(r"(?P<right>[A-Z ]+?)(?: \((?P<columns>[^)]*)\))?(?:, |$)")
# With any of these on the table, or on one of its columns, lines can be changed or deleted.
_HARMFUL = frozenset({"ALL PRIVILEGES", "UPDATE", "DELETE", "DROP", "ALTER", "TRIGGER"})
# Columns that MariaDB sets. A user that may insert them could date a line back, or use up the numbers.
_SET_BY_MARIADB = frozenset({"id", "recorded_at"})


def is_ledger_protected(engine: sa.Engine) -> bool:
    """Whether MariaDB refuses this user to change, delete, number and date lines, by its SHOW GRANTS.

    Raises StoreUnreachable.
    """
    schema = get_ledger_schema(str(engine.url.database))
    with engine.connect() as connection:
        grants = connection.execute(sa.text("SHOW GRANTS")).scalars()
        return not any(is_harmful_grant(grant, schema) for grant in grants)


def is_harmful_grant(grant: str, schema: str) -> bool:
    """Whether a line of SHOW GRANTS gives a right that endangers the ledger in the database `schema`."""
    match = _GRANT.match(grant)
    if match is None or (match["table"] or "promotion") != "promotion":
        return False
    pattern = match["schema"]
    if pattern is not None and not re.fullmatch(_convert_grant_pattern(pattern), schema):
        return False
    return any(
        _is_harmful_right(right["right"], right["columns"]) for right in _RIGHT.finditer(match["rights"])
    )


def _is_harmful_right(right: str, columns: str | None) -> bool:
    if right == "INSERT":
        return columns is None or not _SET_BY_MARIADB.isdisjoint(re.findall(r"`(.+?)`", columns))
    return right in _HARMFUL


def _convert_grant_pattern(pattern: str) -> str:
    """A database name in GRANT as a regular expression.

    There `_` stands for one character and `%` for any number; after a backslash they stand for themselves.
    """
    wildcards = {"_": ".", "%": ".*"}
    tokens = re.findall(r"\\.|.", pattern)
    return "".join(wildcards.get(token) or re.escape(token[-1]) for token in tokens)
