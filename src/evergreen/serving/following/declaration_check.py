"""`python -m evergreen.serving.following.declaration_check RESULT HELD`: check the declaration on disk.

It runs in a process of its own, because only that reads all modules of a use case anew, and because code that
hangs or ends the program ends this process alone. RESULT is the file for the outcome, HELD the digest of the
declaration that the service holds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from evergreen.errors import EvergreenError, StoreError
from evergreen.serving.following.checked_declaration import CheckedDeclaration
from evergreen.serving.following.refusal import DeclarationRefusal
from evergreen.settings import Settings, load_settings
from evergreen.store.connection.database import get_engine
from evergreen.store.rights.roles import list_service_rights
from evergreen.store.tables.evolve import diff_tables
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_serving_digest
from evergreen.usecases import load_use_case

# Differences in which the store has something that the declaration has not do not hinder a service.
_NEEDED = ("create table", "add", "retype")


def load_and_check(settings: Settings, held: str) -> CheckedDeclaration:
    """Check the declaration on disk in this process."""
    try:
        use_case = load_use_case(settings.use_case, settings)
    except EvergreenError as error:
        return CheckedDeclaration("", DeclarationRefusal(error.message, error.hint))
    digest = compute_serving_digest(use_case)
    return CheckedDeclaration(
        digest, None if digest == held else find_table_fault(settings, use_case, digest)
    )


def find_table_fault(settings: Settings, use_case: UseCase, digest: str) -> DeclarationRefusal | None:
    """Why the tables that a service works with do not suit that declaration yet; None where they do."""
    try:
        # The service's account may know no other tables, such as histories: to it they are not there.
        served = list_service_rights(use_case)
        changes = [
            change
            for change in diff_tables(get_engine(settings), use_case)
            if change.kind in _NEEDED and change.table in served
        ]
    except StoreError as error:
        reason = f"the tables cannot be compared with it: {error.message}"
        return DeclarationRefusal(reason, error.hint, digest, passing=True)
    if not changes:
        return None
    more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
    return DeclarationRefusal(
        f"the tables are not as it declares them ({changes[0]}{more})",
        hint=f"evergreen apply {use_case.name}; an ingest adds new features as well",
        declaration=digest,
        passing=True,
    )


def main(arguments: list[str]) -> int:
    """Write the outcome into the file RESULT."""
    result, held = arguments
    try:
        outcome = load_and_check(load_settings(), held)
    except EvergreenError as error:
        outcome = CheckedDeclaration("", DeclarationRefusal(error.message, error.hint, passing=True))
    Path(result).write_bytes(msgspec.json.encode(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
