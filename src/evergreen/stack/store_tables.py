"""`python -m evergreen.stack.store_tables`: apply pending migrations of the platform's tables, then end.

It is a process of its own, so that SQLAlchemy and pandas do not stay in the supervisor's memory.
"""

from __future__ import annotations

import sys

from evergreen.errors import EvergreenError
from evergreen.settings import load_settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations


def main() -> int:
    """Apply the pending migrations of the stack named by EVERGREEN_HOME; 0, or the error's exit code."""
    try:
        applied = apply_migrations(get_engine(load_settings()))
    except EvergreenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"applied: {', '.join(applied) or 'nothing new'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
