"""What the steps of the verb ingest return: JSON-able documents for Airflow's XCom and the command line."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class RunIdentity(TypedDict):
    """Which run a step belongs to; `as_of` is ISO text in UTC."""

    ingest_run: str
    use_case: str
    as_of: str


class ExtractResult(RunIdentity):
    """What `extract_source_rows` returns: the number of raw rows by part.

    `rows_loaded` (0), `unchanged` (true) and `said` (the reason in words) are there only where there was
    nothing to read; then the run is over.
    """

    rows: dict[str, int]
    rows_loaded: NotRequired[int]
    unchanged: NotRequired[bool]
    said: NotRequired[str]


class ValidateResult(RunIdentity):
    """What `validate_staged_rows` returns: the rows by part that may be loaded, the number of those that
    broke a check where the contract lets the others load, and the number of those held back for a later
    run."""

    rows: dict[str, int]
    rejected: int
    held_back: int


class LoadResult(RunIdentity):
    """What `load_clean_rows` and `run_ingest` return.

    `rows_in` rows were read. `loaded` has, by part, the rows of the store that belong to this run, and
    `rows_loaded` is their sum; rows that the store had already do not count. `said` is there where a message
    is due: every row of a part lies in the future, or nothing changed (`unchanged`).
    """

    rows_in: int | None
    rows_loaded: int
    loaded: dict[str, int]
    rejected: int
    held_back: int
    unchanged: NotRequired[bool]
    said: NotRequired[str]
