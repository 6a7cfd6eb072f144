"""A backtest from beginning to end: the past of a use case replayed under several policies.

It reads the store, and writes into the home only: neither the registry nor the ledger, and no other table.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from evergreen.backtest.dates import format_moment
from evergreen.backtest.engine import Replay, ReplayResult
from evergreen.backtest.fits.cache import KeptFits
from evergreen.backtest.fits.worker import FitSetup, choose_worker_count
from evergreen.backtest.options import BacktestOptions, choose_parameters, list_policies
from evergreen.backtest.outcomes import Judged, add_gain, build_periods, judge_policy
from evergreen.backtest.past.clock import choose_clock, describe_event_clock, describe_gaps
from evergreen.backtest.past.requests import Requests
from evergreen.backtest.past.row_metric import RowMetric, build_row_metric
from evergreen.backtest.past.rows import build_rows
from evergreen.backtest.past.span import build_moments, choose_span
from evergreen.backtest.past.store_task import StoreTask
from evergreen.backtest.policies import NamedPolicy
from evergreen.backtest.recommend import recommend_policy
from evergreen.backtest.result import BacktestResult, Clock
from evergreen.backtest.state import BacktestFolder, compute_digest, compute_fits_key, open_folder
from evergreen.backtest.warming import warm_fits
from evergreen.errors import NotEnoughData, SettingsError, UseCaseError
from evergreen.model.judging.metrics import LESS_IS_BETTER, check_metric
from evergreen.model.signature import list_model_inputs
from evergreen.pages.backtest_page import render_backtest_page
from evergreen.private import make_private_folder, write_private_file
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.history.labelled_history import LabelledHistory, read_labelled_history
from evergreen.store.history.query import build_query
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_ingest_digest
from evergreen.usecases import load_use_case

logger = logging.getLogger(__name__)

# Called with what is being done, how much of it is done, and how much there is (0: not known).
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Backtest:
    """A finished backtest: its result, its page, and how many of its fits an interrupted one had left."""

    result: BacktestResult
    page: Path
    fits_found: int


def run_backtest(
    settings: Settings, use_case_name: str, options: BacktestOptions, progress: Progress | None = None
) -> Backtest:
    """Replay the past of a use case, write the result and its page, and return them.

    Interrupted and started again, it goes on with the fits that are done. Raises UseCaseError for a label
    without event time, SettingsError for options that make no sense, and what `read_labelled_history` and
    `choose_span` raise.
    """
    use_case = load_use_case(use_case_name, settings)
    if use_case.label.event_time is None:
        raise UseCaseError(
            f"the label of {use_case.name} has no event time, so its past has no days to replay",
            hint="declare event_time: the column that says when a row was true (evergreen new: --time)",
        )
    check_metric(use_case)
    policies = list_policies(use_case, options)
    database = get_engine(settings)
    parameters, source = choose_parameters(database, use_case, options.parameters)
    _refuse_future(options)
    say = progress or (lambda text, done, total: None)
    say("reading the store", 0, 0)
    history, clock, notes = _read_history(settings, database, use_case, options)
    requests = Requests(build_rows(use_case, history))
    start, end = choose_span(requests, options.start, options.end, options.every)
    moments = build_moments(start, end, options.every)
    notes += describe_gaps(requests, start, end, options.every)
    options_key = compute_digest(
        {"options": vars(options), "data": history.digest, "start": start, "end": end}
    )
    with open_folder(settings, use_case, compute_fits_key(use_case, parameters), options_key) as folder:
        notes += _describe_interruption(folder)
        requests.rows.save(folder.rows)
        setup = FitSetup(settings, use_case.name, folder.rows, folder.fits, parameters)
        row_count = len(requests.rows.select_known(end))
        workers = choose_worker_count(settings, row_count * len(list_model_inputs(use_case)))
        metric = build_row_metric(use_case, _measure_spread(requests, start))
        with KeptFits(setup, requests, workers) as cache:
            _require_first_model(cache, start)
            replays = _replay_policies(
                policies, requests, metric, options, cache, (start, *moments), workers, folder, say
            )
            say("measuring", 0, 0)
            periods = build_periods(requests, start, moments)
            results = [
                judge_policy(policy, replayed, cache, requests, metric, start, periods)
                for policy, replayed in zip(policies, replays, strict=True)
            ]
            records = cache.list_records()
        less_is_better = use_case.gate.metric in LESS_IS_BETTER
        results = _add_gains(results, less_is_better)
        outcomes = tuple(each.outcome for each in results)
        result = BacktestResult(
            use_case=use_case.name,
            title=use_case.title,
            problem=use_case.problem,
            metric=use_case.gate.metric,
            less_is_better=less_is_better,
            start=start,
            end=end,
            every_seconds=options.every.total_seconds(),
            checks=len(moments),
            clock=clock,
            rows=sum(periods.rows),
            first_rows=len(requests.rows.select_known(start)),
            parameters=dict(parameters),
            parameters_source=source,
            periods=periods.starts,
            period_rows=periods.rows,
            policies=outcomes,
            recommendation=recommend_policy(
                results,
                periods,
                use_case.gate.metric,
                less_is_better=less_is_better,
                row_less_is_better=metric.less_is_better,
            ),
            fits=sum(not record.refusal for record in records.values()),
            fits_shared=max(0, sum(outcome.fits for outcome in outcomes) - len(records)),
            cpu_seconds=round(sum(record.cpu_seconds for record in records.values()), 3),
            seconds=round(folder.seconds, 3),
            workers=workers,
            data_digest=history.digest,
            declaration_digest=compute_ingest_digest(use_case),
            notes=tuple(notes),
        )
        page = _write_result(folder, result, options.output)
        folder.save(is_done=True)
    return Backtest(result, page, cache.found)


def _refuse_future(options: BacktestOptions) -> None:
    now = datetime.now(UTC)
    for name, moment in (("--from", options.start), ("--to", options.end)):
        if moment is not None and moment > now:
            raise SettingsError(
                f"{name} {format_moment(moment)} is in the future: it is {now:%Y-%m-%d %H:%M} UTC",
                hint="a backtest replays what has happened",
            )


def _read_history(
    settings: Settings, database: sa.Engine, use_case: UseCase, options: BacktestOptions
) -> tuple[LabelledHistory, Clock, list[str]]:
    """The history by the clock that was chosen, or that suits it, and a sentence about that clock."""
    query = build_query(use_case, datetime.now(UTC))

    def read(clock: Clock) -> LabelledHistory:
        return read_labelled_history(
            database,
            query,
            by_event=clock == "event",
            cache=settings.cache_folder if settings.cache_mb else None,
            cache_mb=settings.cache_mb,
        )

    if options.clock == "event":
        return read("event"), "event", [f"As asked for: {describe_event_clock(use_case)}"]
    history = read("ingested")
    if options.clock == "ingested":
        return history, "ingested", []
    clock, note = choose_clock(use_case, history, options.start, options.end)
    return (history if clock == "ingested" else read(clock)), clock, [note] if note else []


def _describe_interruption(folder: BacktestFolder) -> list[str]:
    if folder.went_on:
        logger.info("going on with an interrupted backtest: %d fits are there", folder.went_on)
    if folder.was_other:
        return [
            "An earlier backtest that was interrupted had other parameters or another declaration: its fits"
            " could not be used."
        ]
    return []


def _measure_spread(requests: Requests, start: datetime) -> float:
    """The standard deviation of the numbers that were known as labels at the beginning; 1 for classes."""
    if requests.rows.use_case.label.classes:
        return 1.0
    spread = float(np.std(requests.rows.take_labels(requests.rows.select_known(start))))
    return spread if spread > 0.0 else 1.0


def _require_first_model(cache: KeptFits, start: datetime) -> None:
    """Raise NotEnoughData with the reason where no model can be fitted as of the beginning."""
    identity, model, _ = cache.fit(start, None, None)
    if model is None:
        refusal = cache.list_records()[identity].refusal
        raise NotEnoughData(
            f"as of {format_moment(start)} no first model can be fitted: {refusal}",
            hint="let the backtest begin later (--from)",
        )


def _replay_policies(
    policies: Sequence[NamedPolicy],
    requests: Requests,
    metric: RowMetric,
    options: BacktestOptions,
    cache: KeptFits,
    moments: Sequence[datetime],
    workers: int,
    folder: BacktestFolder,
    say: Progress,
) -> list[ReplayResult]:
    """Replay all policies side by side; of `moments` the first is that of the first training."""
    start, checks = moments[0], moments[1:]
    stop, lock = threading.Event(), threading.Lock()
    window = requests.rows.use_case.drift.window
    total, steps_done = len(policies) * len(checks), 0

    def replay(policy: NamedPolicy) -> ReplayResult | None:
        nonlocal steps_done
        with_evidence = not policy.heeds_calendar_only
        task = StoreTask(requests, metric, options.every, with_evidence=with_evidence)
        steps = Replay(task, cache, policy.policy, checks, start, window)
        for _ in steps.iterate():
            with lock:
                steps_done += 1
                say(f"{cache.done + cache.found:,} models", steps_done, total)
                folder.save_now_and_then()
            if stop.is_set():
                return None
        return steps.result()

    with ThreadPoolExecutor(len(policies) + 1, "replay") as pool:
        futures = [pool.submit(replay, policy) for policy in policies]
        daily = next((policy for policy in policies if policy.kind == "daily"), None)
        if daily is not None and workers > 1:
            task = StoreTask(requests, metric, options.every, with_evidence=False)
            pool.submit(warm_fits, cache, task, daily.policy, checks, workers, stop)
        try:
            results = [future.result() for future in futures]
        finally:
            stop.set()
    return [result for result in results if result is not None]


def _add_gains(judged: Sequence[Judged], less_is_better: bool) -> list[Judged]:
    values = {each.outcome.kind: each.outcome.value for each in judged}
    never, daily = values.get("never"), values.get("daily")
    return [
        Judged(add_gain(each.outcome, never, daily, less_is_better=less_is_better), each.values)
        for each in judged
    ]


def _write_result(folder: BacktestFolder, result: BacktestResult, output: Path | None) -> Path:
    """Write the document into the folder, and the page there or to `output`; the page's path."""
    document = result.to_json()
    target = output or folder.path / "backtest.html"
    if target.is_dir():
        target /= f"{result.use_case}.html"
    try:
        write_private_file(folder.path / "result.json", json.dumps(document))
        make_private_folder(target.parent)
        write_private_file(target, render_backtest_page(document), keep_mode=output is not None)
    except OSError as error:
        raise SettingsError(
            f"the page cannot be written to {target}: {error.strerror or error}",
            hint="name another file with --output",
        ) from error
    return target
