"""The fits of a backtest, each done once, whichever policies ask for it, and kept on disk.

A fit is known by the content of its rows, so policies that train on the same rows share it, and a backtest
that was interrupted finds what it had fitted, also where the store holds more rows by now.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from types import TracebackType

from evergreen.backtest.fits.fitting import FitRecord
from evergreen.backtest.fits.kept import find_fit, load_fitted_model
from evergreen.backtest.fits.worker import FitJob, FitSetup, fit_in_worker, run_job, start_workers
from evergreen.backtest.past.model import PastModel, Span
from evergreen.backtest.past.requests import Requests
from evergreen.errors import TrainingError

_BYTES_OF_PREDICTIONS = 256_000_000
_LEAST_MODELS = 4
_MOST_MODELS = 256


class KeptFits:
    """`Fits` in `workers` processes; with one worker in a thread of this process.

    A context manager: at its end the processes are gone, and what they were fitting is given up. Safe for
    several threads. `found` counts the fits that an earlier backtest had left on disk, `done` those of this
    one, `shared` how often a fit was asked for again.
    """

    def __init__(self, setup: FitSetup, requests: Requests, workers: int) -> None:
        self._setup, self._requests, self._rows = setup, requests, requests.rows
        self._pool: ProcessPoolExecutor | ThreadPoolExecutor = (
            start_workers(setup, workers) if workers > 1 else ThreadPoolExecutor(1, "fit")
        )
        self._lock = threading.Lock()
        self._records: dict[str, Future[FitRecord]] = {}
        self._models: OrderedDict[tuple[str, Span], PastModel] = OrderedDict()
        width = max(1, len(self._rows.use_case.label.classes))
        in_memory = _BYTES_OF_PREDICTIONS // (8 * width * max(1, len(requests)))
        self._most_models = min(_MOST_MODELS, max(_LEAST_MODELS, in_memory))
        self.found = self.done = self.shared = 0

    def __enter__(self) -> KeptFits:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes."""
        self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def fit(
        self, known_at: datetime, start: datetime | None, end: datetime | None
    ) -> tuple[str, PastModel | None, float]:
        """See `Fits.fit`. Raises TrainingError when a process that fits has died."""
        identity = self._rows.identify(self._rows.select_known(known_at, start, end))
        record = self._find_or_fit(FitJob(identity, known_at, start, end))
        if record.refusal:
            return identity, None, record.cpu_seconds
        # Two trainings may have the same rows, but not the same moment, which a model tells.
        span = (known_at, start, end)
        with self._lock:
            model = self._models.get((identity, span))
            if model is None:
                model = self._models[identity, span] = self._load(identity, record, span)
            self._models.move_to_end((identity, span))
            while len(self._models) > self._most_models:
                self._models.popitem(last=False)
        return identity, model, record.cpu_seconds

    def list_records(self) -> dict[str, FitRecord]:
        """The records of all fits that were asked for, by identity."""
        return {identity: future.result() for identity, future in self._records.items() if future.done()}

    def _find_or_fit(self, job: FitJob) -> FitRecord:
        with self._lock:
            future = self._records.get(job.identity)
            is_own = future is None
            if future is None:
                future = self._records[job.identity] = Future()
            else:
                self.shared += 1
        if is_own:
            try:
                future.set_result(self._fit(job))
            except BaseException as error:  # noqa: BLE001  raised again by all who wait for it
                future.set_exception(error)
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise TrainingError(
                "a process that fitted a model has died, most likely for want of memory",
                hint="run the same command again, which goes on, with EVERGREEN_THREADS=1: one fit at a time",
            ) from error

    def _fit(self, job: FitJob) -> FitRecord:
        folder = self._setup.fits_folder
        record = find_fit(folder, job.identity)
        if record is not None:
            self.found += 1
            return record
        if isinstance(self._pool, ProcessPoolExecutor):
            self._pool.submit(fit_in_worker, job).result()
        else:
            self._pool.submit(run_job, self._setup, self._rows, job).result()
        record = find_fit(folder, job.identity)
        if record is None:
            raise TrainingError(
                f"the model that was fitted is not in {folder}", hint="look whether its disk is full"
            )
        self.done += 1
        return record

    def _load(self, identity: str, record: FitRecord, span: Span) -> PastModel:
        is_classifier = bool(self._rows.use_case.label.classes)
        model = load_fitted_model(self._setup.fits_folder, identity, is_classifier=is_classifier)
        return PastModel(self._requests, model, record, span)
