"""The memory that an ingest needs, measured in a process that does nothing else.

python -m benchmarks.store.memory USE_CASE     (settings in the environment, as for every command)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.common.server import Bench
from benchmarks.common.timing import say
from benchmarks.store import data
from benchmarks.store.data import WIDE, Size
from benchmarks.store.ingest import HISTORY, write_files

from evergreen.store.connection.database import get_engine

ROOT = Path(__file__).resolve().parents[2]


def measure(bench: Bench, size: Size) -> dict[str, Any]:
    """Peak resident memory in MB and seconds of an ingest of that many rows by a fresh process."""
    say(f"  writing a file of {size.rows:,} rows")
    folder = write_files(bench, size)
    say(f"  ingesting it ({(folder / 'facts.csv').stat().st_size / 1e6:,.0f} MB) in a process of its own")
    with bench.store(WIDE, "memory") as settings:
        environment = os.environ | {
            "EVERGREEN_HOME": str(settings.home),
            "EVERGREEN_USE_CASES": settings.use_cases,
            "EVERGREEN_MARIADB_SOCKET": str(settings.mariadb_socket),
            "EVERGREEN_MARIADB_USER": settings.mariadb_user,
            "EVERGREEN_MARIADB_PASSWORD": settings.mariadb_password.get_secret_value(),
            "EVERGREEN_MARIADB_DATABASE": settings.mariadb_database,
        }
        command = [sys.executable, "-m", "benchmarks.store.memory", WIDE]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
        with get_engine(settings).connect() as connection:
            rows = connection.exec_driver_sql(f"SELECT COUNT(*) FROM `{HISTORY}`").scalar()  # noqa: S608
    if rows != size.rows:
        raise SystemExit(f"{rows} of {size.rows} rows arrived")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"rows": size.rows, **found}


def peak_mb() -> float:
    """The most that this process had resident at any time, in MB (10^6 bytes).

    Linux's VmHWM, not getrusage's ru_maxrss: that one begins with the size of the process that started this.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return kib * 1024 / 1e6


def main() -> int:
    import time

    from evergreen.loop.ingest import run_ingest
    from evergreen.settings import load_settings

    settings = load_settings()
    started = time.perf_counter()
    run_ingest(settings, sys.argv[1], data.LOADED)
    taken = time.perf_counter() - started
    sys.stdout.write(json.dumps({"peak_rss_mb": peak_mb(), "seconds": taken}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
