"""The processes that fit: each maps the rows into its memory, and does one fit at a time on one thread."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from evergreen.backtest.fits.fitting import fit_rows
from evergreen.backtest.fits.kept import keep_fit
from evergreen.backtest.past.rows import PastRows, load_rows
from evergreen.settings import Settings
from evergreen.training.fit.parameters import Parameters
from evergreen.usecases import load_use_case

_HALF = 0.5
# CatBoost keeps features as bytes, but rows, pools and gradients pass through wider ones on their way.
_BYTES_A_VALUE = 32
_BYTES_A_PROCESS = 300_000_000
_MEMORY, _AVAILABLE = Path("/proc/meminfo"), re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class FitSetup:
    """What all fits of a backtest share: where rows lie and fits are kept, and CatBoost's parameters."""

    settings: Settings
    use_case: str
    rows_folder: Path
    fits_folder: Path
    parameters: Parameters


@dataclass(frozen=True)
class FitJob:
    """One fit: the rows known at a moment, with event times in a span (see `PastRows.select_known`)."""

    identity: str
    known_at: datetime
    start: datetime | None
    end: datetime | None


def run_job(setup: FitSetup, rows: PastRows, job: FitJob, threads: int = 1) -> None:
    """Fit a job's rows and keep the result. Raises TrainingError when CatBoost refuses the parameters."""
    places = rows.select_known(job.known_at, job.start, job.end)
    model, record = fit_rows(rows, places, setup.parameters, threads)
    keep_fit(setup.fits_folder, job.identity, model, record)


def start_workers(setup: FitSetup, count: int) -> ProcessPoolExecutor:
    """Processes that take jobs by `fit_in_worker`; they end with this process, however it ends."""
    return ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=_open_rows, initargs=(setup,)
    )


def fit_in_worker(job: FitJob) -> None:
    """`run_job` in a process of `start_workers`."""
    assert _run is not None
    _run(job)


def choose_worker_count(settings: Settings, values: int) -> int:
    """How many processes fit at once: one a core (or EVERGREEN_THREADS), fewer where they would need more
    than half of the memory that is available. `values`: rows times inputs of the greatest training set."""
    cores = settings.threads or len(os.sched_getaffinity(0))
    free = _read_available_bytes()
    return max(1, min(cores, int(_HALF * free / (_BYTES_A_PROCESS + _BYTES_A_VALUE * values))))


def _read_available_bytes() -> int:
    """The memory that processes can get: what is free, and what Linux keeps of files until it is wanted."""
    match = _AVAILABLE.search(_MEMORY.read_text(encoding="ascii"))
    return int(match[1]) * 1024 if match else os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


# Of a worker: what fits a job, once its rows are there.
_run: Callable[[FitJob], None] | None = None


def _open_rows(setup: FitSetup) -> None:
    global _run
    # Ctrl-C reaches all processes of a terminal; the parent ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    rows = load_rows(load_use_case(setup.use_case, setup.settings), setup.rows_folder)

    def run(job: FitJob) -> None:
        run_job(setup, rows, job)

    _run = run


def _end_with_parent() -> None:
    """End this process when its parent has: a pool's process waits for jobs for ever otherwise, because it
    holds the other end of its queue itself."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
