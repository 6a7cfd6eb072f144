"""About as many labelled rows as wanted, from the simulated bank through the ingest into the store."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from urllib.parse import urlencode

from benchmarks.common.timing import say

from evergreen.loop.ingest import run_ingest as ingest
from evergreen.settings import Settings
from evergreen.sources.connections import CONNECTION_PREFIX
from evergreen.stack.deploy.facts import BANK_DATABASE
from evergreen.usecases.credit_score import CONNECTION
from evergreen.usecases.credit_score.simulator import populate

USE_CASE = "credit_score"
SCENARIO = "stable"
# The declared window, half a year, ends here and holds five of the bank's periods whose outcomes are known.
AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
PERIODS = 5
_START = AS_OF - timedelta(days=155)
_SEED = 2026


def fill(settings: Settings, rows: int) -> None:
    """Simulate a bank that gives about `rows` labelled rows, and ingest what it had recorded by AS_OF."""
    account = f"{settings.mariadb_user}:{settings.mariadb_password.get_secret_value()}"
    options = urlencode({"unix_socket": settings.mariadb_socket, "local_infile": 1})
    bank = f"mysql://{account}@localhost/{BANK_DATABASE}?{options}"
    say(f"simulating a bank of {rows // PERIODS:,} customers, and ingesting its {PERIODS} periods")
    populate(bank, start=_START, end=AS_OF, customers=rows // PERIODS, seed=_SEED)
    with patch.dict(os.environ, {f"{CONNECTION_PREFIX}{CONNECTION.upper()}": bank}):
        ingest(settings, USE_CASE, AS_OF)
