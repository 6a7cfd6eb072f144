"""Which grants endanger the ledger: those by which a line can be changed, or numbered and dated at will."""

from __future__ import annotations

import pytest

from evergreen.registry.ledger_rights import is_harmful_grant

SCHEMA = "ever_green_ledger"
NAMED = "`at`, `use_case`, `reason`"


@pytest.mark.parametrize(
    ("rights", "place"),
    [
        ("SELECT", "`ever_green_ledger`.`promotion`"),
        (f"SELECT, INSERT ({NAMED})", "`ever_green_ledger`.`promotion`"),
        (f"INSERT ({NAMED}), SELECT (`id`, `recorded_at`)", "`ever_green_ledger`.`promotion`"),
        ("SELECT, INSERT, UPDATE, DELETE", "`ever_green_ledger`.`another`"),
        ("ALL PRIVILEGES", "`ever\\_green`.*"),
        ("ALL PRIVILEGES", "`ever_green`.*"),
        ("USAGE", "*.*"),
    ],
)
def test_what_is_needed_is_harmless(rights: str, place: str) -> None:
    assert not is_harmful_grant(f"GRANT {rights} ON {place} TO `evergreen`@`%`", SCHEMA)


@pytest.mark.parametrize(
    ("rights", "place"),
    [
        ("SELECT, INSERT", "`ever_green_ledger`.`promotion`"),
        (f"SELECT, INSERT ({NAMED}, `id`)", "`ever_green_ledger`.`promotion`"),
        ("INSERT (`recorded_at`), SELECT", "`ever_green_ledger`.*"),
        (f"INSERT ({NAMED}), UPDATE (`reason`)", "`ever_green_ledger`.`promotion`"),
        ("SELECT, DELETE", "`ever%`.*"),
        ("INSERT", "*.*"),
        ("ALL PRIVILEGES", "*.*"),
    ],
)
def test_what_endangers_it_is_seen(rights: str, place: str) -> None:
    assert is_harmful_grant(f"GRANT {rights} ON {place} TO `evergreen`@`%`", SCHEMA)
