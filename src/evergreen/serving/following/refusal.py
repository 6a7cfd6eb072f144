"""Why a changed declaration is not taken over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DeclarationRefusal:
    """Why a declaration is not taken over, and what to do next.

    `declaration` is its digest, or "" where it cannot be loaded. A `passing` refusal is no fault of the
    declaration (a server does not answer, tables are not changed yet): it is tried again by itself. `at` is
    since when (ISO 8601 in UTC), "" before it is known.
    """

    reason: str
    hint: str = ""
    declaration: str = ""
    passing: bool = False
    at: str = ""
