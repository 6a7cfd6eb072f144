"""The collectors `mariadb` and `tables`: what the store's records say, and what the feature tables hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from evergreen.exporter.check_samples import add_check
from evergreen.exporter.declarations import load_declarations
from evergreen.exporter.samples import Samples
from evergreen.registry.champion_history import read_champions_at
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine, get_request_engine
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.predictions.counts import read_logged_spans
from evergreen.store.predictions.prediction_log import find_newest_moment
from evergreen.store.records.checks.decision import describe_latest_decision
from evergreen.store.records.ingest_run import find_last_load
from evergreen.store.records.model_trial import find_running_trial
from evergreen.store.records.summary import StoreSummary, read_last_ingest, summarize_store
from evergreen.store.records.training_run import find_waiting_run
from evergreen.store.tables.declared import build_tables
from evergreen.store.tables.table_state import read_states
from evergreen.usecase import FeatureView, Label, UseCase
from evergreen.usecase.names import LABEL


class RecordsReader:
    """Reads for the collector `mariadb`: short queries on records, counts of the log by hour and the ledger.

    A statement without an answer for some seconds ends the collection.
    """

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._settings = settings
        self._clock = clock

    def __call__(self, samples: Samples) -> None:
        """Add the values of every use case. Raises StoreUnreachable."""
        engine = get_request_engine(get_engine(self._settings))
        use_cases, faults = load_declarations(self._settings)
        for name in (*use_cases, *faults):
            samples.add("evergreen_declaration_valid", name in use_cases, name)
        now = self._clock()
        with samples.guard("the ledger"):
            for name, entry in read_champions_at(engine, now).items():
                if name in use_cases:
                    samples.add_moment("evergreen_champion_since_timestamp_seconds", entry.since, name)
        for use_case in use_cases.values():
            self._add_use_case(samples, engine, use_case, now)

    def _add_use_case(self, samples: Samples, engine: sa.Engine, use_case: UseCase, now: datetime) -> None:
        name = use_case.name
        with samples.guard(f"ingests of {name}"):
            load = find_last_load(engine, use_case, now)
            samples.add_moment("evergreen_last_load_timestamp_seconds", load.as_of if load else None, name)
            with engine.connect() as connection:
                ingest = read_last_ingest(connection, use_case)
            if ingest is not None:
                has_failed = ingest.status in ("failed", "interrupted")
                samples.add("evergreen_last_ingest_failed", has_failed, name)
        trial = None
        with samples.guard(f"trials of {name}"):
            trial = find_running_trial(engine, name)
            samples.add("evergreen_trial_running", trial is not None, name)
            samples.add_moment(
                "evergreen_trial_end_timestamp_seconds", trial.ends_at if trial else None, name
            )
        with samples.guard(f"trainings of {name}"):
            run = find_waiting_run(engine, name) if use_case.approval == "manual" else None
            version = run.model_version if run else None
            if trial is not None and trial.challenger_version == version:
                version = None  # somebody has approved it, and it is on its trial
            samples.add("evergreen_approval_waiting_version", version or 0, name)
        with samples.guard(f"the prediction log of {name}"):
            _add_log(samples, engine, use_case)
        with samples.guard(f"checks of {name}"):
            add_check(samples, engine, use_case)
        with samples.guard(f"decisions of {name}"):
            decision = describe_latest_decision(engine, name)
            if decision is not None:
                samples.add_moment("evergreen_decision_timestamp_seconds", decision.as_of, name)
                samples.add("evergreen_decision_retrain", decision.retrain, name)


class TablesReader:
    """Reads for the collector `tables`: rows of the feature tables, which are counted again only when a table
    of the use case has changed. A count reads the keys of a whole table."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # By use case, what the tables held when their states were these.
        self._summaries: dict[str, tuple[tuple[str, ...], StoreSummary]] = {}

    def __call__(self, samples: Samples) -> None:
        """Add the values of every use case. Raises StoreUnreachable."""
        engine = get_engine(self._settings)
        for use_case in load_declarations(self._settings)[0].values():
            with samples.guard(f"tables of {use_case.name}"):
                _add_tables(samples, use_case, self._summarize(engine, use_case))

    def _summarize(self, engine: sa.Engine, use_case: UseCase) -> StoreSummary:
        logs = (use_case.prediction_table, use_case.outcome_table)
        names = [table.name for table in build_tables(use_case) if table.name not in logs]
        # A server that hangs is noticed here within seconds: a count may take as long as it needs.
        with get_request_engine(engine).connect() as connection:
            states = read_states(connection, names)
        tokens = tuple(f"{name}|{states[name].token}" for name in names if name in states)
        known = self._summaries.get(use_case.name)
        if known is None or known[0] != tokens:
            known = self._summaries[use_case.name] = (tokens, summarize_store(engine, use_case))
        return known[1]


def compute_age_limit(part: FeatureView | Label) -> timedelta | None:
    """How old the newest row of a part may be by its contract's freshness and its `max_age`; None without
    either. A label is due its `delay` after the event time."""
    limits = []
    if part.contract.freshness is not None:
        delay = part.delay if isinstance(part, Label) else timedelta(0)
        limits.append(part.contract.freshness.within + delay)
    if isinstance(part, FeatureView) and part.max_age is not None:
        limits.append(part.max_age)
    return min(limits) if limits else None


def _add_tables(samples: Samples, use_case: UseCase, summary: StoreSummary) -> None:
    name = use_case.name
    for view_name, view in summary.views.items():
        samples.add("evergreen_feature_rows", view.rows, name, view_name)
        samples.add("evergreen_online_keys", view.keys, name, view_name)
    samples.add("evergreen_label_rows", summary.label.rows, name)
    for part_name, part in use_case.parts.items():
        # Rows of a timeless part have no age.
        if part.event_time is None:
            continue
        table = summary.label if part_name == LABEL else summary.views[part_name]
        newest = "evergreen_newest_row_timestamp_seconds"
        samples.add_moment(newest, table.newest_event_time, name, part_name)
        limit = compute_age_limit(part)
        seconds = limit.total_seconds() if limit else None
        samples.add("evergreen_newest_row_limit_seconds", seconds, name, part_name)


def _add_log(samples: Samples, engine: sa.Engine, use_case: UseCase) -> None:
    spans = read_logged_spans(engine, use_case.name)
    rows: dict[str, int] = {}
    for span in spans:
        rows[span.channel] = rows.get(span.channel, 0) + span.rows
    for channel, number in rows.items():
        samples.add("evergreen_log_rows", number, use_case.name, channel)
    last_hour = max((span.last for span in spans if span.channel in TRAFFIC), default=None)
    if last_hour is not None:
        moment = find_newest_moment(engine, use_case, last_hour)
        samples.add_moment("evergreen_newest_prediction_timestamp_seconds", moment, use_case.name)
