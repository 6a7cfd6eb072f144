"""Every decision of the demo's tour, taken at any moment and with any seed of the bank, without a stack.

simulated bank -> training set -> candidate -> gate; then requests -> drift -> retrain, or not; then the same
again in the recession. The bank, the point-in-time join, search, fit, evaluation, gate, drift and governor
are the product's own functions. Only what stands between them is missing: the bank's rows come from
`simulator.recorded` instead of through MariaDB and the ingest (the test test_demo_training_sets.py
shows that the store's join gives the very same table), the champion is the model just fitted instead of one
from MLflow, and no request is replayed. The search is the declared one, but no clock ends it: on a busy
machine it would otherwise be another search.

Used by `make bench-train`, by `make bench-serving`, which serves the tour's champion, and by
tests/unit/demo/test_demo_decisions.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeAlias
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa

from evergreen.demo.timeline import Timeline
from evergreen.demo.tour import PREDICTION_COUNT
from evergreen.demo.upstream import CUSTOMER_COUNT, SEED
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.matrix import Columns, select_rows
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.model.predict import predict_inputs
from evergreen.model.reference_profile import build_reference_profile
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.drift.compare import compare_windows, count_columns
from evergreen.monitoring.governor.decide import decide
from evergreen.monitoring.governor.inputs import DriftEvidence, GovernorInputs
from evergreen.settings import Settings
from evergreen.store.connection import arrow
from evergreen.store.history import asof
from evergreen.store.history.query import TableSelection, build_query
from evergreen.store.history.training_set import TrainingSet
from evergreen.store.tables.declared import INGESTED_AT
from evergreen.training import candidate
from evergreen.training.data.rows import TrainingRows, prepare_rows
from evergreen.training.data.split import Cut, number_entities, split_for_validation
from evergreen.training.judge.answers import score_holdout
from evergreen.training.judge.contest import ChampionScores
from evergreen.training.judge.gate import judge_candidate
from evergreen.training.record import pictures
from evergreen.training.search.samplers import create_pruner
from evergreen.training.search.search_result import build_search_result
from evergreen.training.search.worker import run_trials
from evergreen.usecase import EVENT_TIME, UseCase
from evergreen.usecases import load_use_case
from evergreen.usecases.credit_score.simulator import draw, periods_before, simulate_recorded_rows

USE_CASE = "credit_score"
_ENDLESS_SECONDS = 86_400.0


@dataclass(frozen=True)
class Training:
    """One training: its rows and model (digests), and what the gate said."""

    dataset: str
    rows: int
    model: str
    passed: bool
    summary: str


@dataclass(frozen=True)
class Monitoring:
    """One look at the requests: whether to retrain, and the reason."""

    retrain: bool
    reason: str


@dataclass(frozen=True)
class Decisions:
    """What a tour decides, and how many of its fresh customers in recession each model answers rightly."""

    first: Training
    as_usual: Monitoring
    in_recession: Monitoring
    second: Training
    v1_accuracy: float
    v2_accuracy: float

    @property
    def hold(self) -> bool:
        """Whether the tour would be verified: v1 promoted, no drift while nothing drifts, drift in the
        recession, v2 promoted and better."""
        return (
            self.first.passed
            and not self.as_usual.retrain
            and self.in_recession.retrain
            and self.second.passed
            and self.v2_accuracy > self.v1_accuracy
        )

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "hold": self.hold}


# The candidates of trainings by the digest of everything that search, fit and evaluation read, so that equal
# trainings are done once. Of one declaration and budget.
KnownFits: TypeAlias = dict[str, candidate.Candidate]


@dataclass(frozen=True)
class _Trained:
    rows: TrainingRows
    made: candidate.Candidate
    told: Training


def declared(**budget: Any) -> UseCase:
    """credit_score as it is declared, but that its search ends by its trials alone, and with another `budget`
    of them if one is given (fields of `Tuning`)."""
    use_case = load_use_case(USE_CASE, Settings())
    return replace(use_case, tuning=replace(use_case.tuning, seconds=_ENDLESS_SECONDS, **budget))


def training_sets(moment: datetime, seed: int = SEED, customers: int = CUSTOMER_COUNT) -> list[TrainingSet]:
    """The training sets of v1 and v2 of a tour taken at `moment` (aware) on the bank of that seed."""
    timeline, use_case = Timeline.until(moment), declared()
    simulate = partial(simulate_recorded_rows, start=timeline.begins, customers=customers, seed=seed)
    before = simulate(end=timeline.first_training)
    after = simulate(end=timeline.now, recession_from=timeline.recession_from)
    return [
        training_set(use_case, before, timeline.first_training),
        training_set(use_case, after, timeline.now),
    ]


def training_set(use_case: UseCase, frames: dict[str, pd.DataFrame], as_of: datetime) -> TrainingSet:
    """The point-in-time join of what the bank had recorded, ingested as of that moment."""
    window = use_case.retrain.fixed_window
    query = build_query(use_case, as_of, as_of - window if window else None)
    tables = dict(zip(("customer", "monthly_fact"), query.views, strict=True))
    views = [(_table(frames[name], part, as_of), part.max_age) for name, part in tables.items()]
    labels = _table(frames["score_outcome"], query.label, as_of)
    times = arrow.to_integers(labels[EVENT_TIME])
    counts = times <= asof.to_microseconds(as_of - query.delay)
    if query.since is not None:
        counts &= times > asof.to_microseconds(query.since)
    labels = labels.filter(pa.array(counts)).drop_columns([INGESTED_AT])
    target = query.label.column_names[0]
    joined = asof.join_as_of(labels, views, query.key_names, as_of)
    joined = joined.select([name for name in joined.column_names if name != target] + [target])
    return TrainingSet(joined, arrow.digest_table(joined), as_of, as_of, query)


def digest_of(rows: TrainingSet) -> str:
    """The digest of a training set with its event times counted back from its `as_of`, in microseconds.

    It covers every row, in its order, and every column: keys, stored features, label and that distance.
    """
    place = rows.table.schema.get_field_index(EVENT_TIME)
    ago = asof.to_microseconds(rows.as_of) - arrow.to_integers(rows.table[EVENT_TIME])
    return arrow.digest_table(rows.table.set_column(place, EVENT_TIME, pa.array(ago)))


def take_decisions(
    moment: datetime,
    seed: int = SEED,
    customers: int = CUSTOMER_COUNT,
    known_fits: KnownFits | None = None,
    **budget: Any,
) -> Decisions:
    """Every decision of the tour that is taken at `moment` (aware) on the bank of that seed. A small `budget`
    of the search makes it cheap, where only equality matters.

    A training that reads what one of `known_fits` did is not fitted again, and a new one is added there; the
    bank, the join, the gate, drift and governor are this moment's own in any case.
    """
    known_fits = {} if known_fits is None else known_fits
    use_case, timeline = declared(**budget), Timeline.until(moment)
    before, after = training_sets(moment, seed, customers)
    first = _train(use_case, before, None, known_fits)
    period = periods_before(timeline.begins, timeline.recession_from)
    usual, _ = _fresh(use_case, seed + 1, "stable", period)
    hard, truth = _fresh(use_case, seed + 2, "recession", period)
    second = _train(use_case, after, first, known_fits)
    return Decisions(
        first=first.told,
        as_usual=_monitor(use_case, first, usual, timeline.now),
        in_recession=_monitor(use_case, first, hard, timeline.now),
        second=second.told,
        v1_accuracy=_accuracy(use_case, first, hard, truth),
        v2_accuracy=_accuracy(use_case, second, hard, truth),
    )


def train_champion(moment: datetime, seed: int = SEED, customers: int = CUSTOMER_COUNT, **budget: Any) -> Any:
    """The CatBoost model that is champion at the end of the tour taken at `moment` (aware): its second
    training, beside the first one's champion."""
    use_case = declared(**budget)
    before, after = training_sets(moment, seed, customers)
    return _train(use_case, after, _train(use_case, before, None, {}), {}).made.model


def _table(frame: pd.DataFrame, part: TableSelection, as_of: datetime) -> pa.Table:
    """A table of the bank as the ingest leaves it in the store."""
    times = frame["valid_from"] if "valid_from" in frame else frame[EVENT_TIME]
    stored = frame.assign(
        **{EVENT_TIME: times.dt.tz_localize("UTC"), INGESTED_AT: pd.Timestamp(as_of)}
    ).filter(part.schema.names)
    return pa.Table.from_pandas(stored, schema=part.schema, preserve_index=False)


def _train(
    use_case: UseCase, given: TrainingSet, champion: _Trained | None, known_fits: KnownFits
) -> _Trained:
    """Search, fit, evaluate beside the champion, and judge: the steps of `evergreen.loop.train`."""
    rows = prepare_rows(use_case, given)
    validation = split_for_validation(use_case, rows.frame[rows.cuts[0].train])
    key = _digest_inputs(use_case, rows, validation, champion)
    made = known_fits.get(key)
    if made is None:
        made = known_fits[key] = _fit(use_case, given, rows, validation, champion)
    verdict = judge_candidate(use_case, made.evaluation)
    told = Training(
        dataset=digest_of(given),
        rows=len(given),
        model=made.evaluation.model_digest,
        passed=verdict.passed,
        summary=verdict.summary,
    )
    return _Trained(rows, made, told)


def _digest_inputs(use_case: UseCase, rows: TrainingRows, validation: Cut, champion: _Trained | None) -> str:
    """The digest of all that search, fit and evaluation read: each feature, on-demand ones too, the label,
    which rows are whose, how they are divided, and the champion. Of event times these see the division alone.
    """
    masks = [mask for cut in (*rows.cuts, validation) for mask in (cut.train, cut.test)]
    arrays = [*rows.columns.values(), rows.label, number_entities(use_case, rows.frame), *masks]
    digest = hashlib.sha256(repr(list(rows.columns)).encode())
    digest.update((champion.told.model if champion else "").encode())
    for array in arrays:
        digest.update(f"|{array.dtype}{array.shape}|".encode())
        digest.update(repr(array.tolist()).encode() if array.dtype == np.dtype(object) else array.tobytes())
    return digest.hexdigest()


def _fit(
    use_case: UseCase, given: TrainingSet, rows: TrainingRows, validation: Cut, champion: _Trained | None
) -> candidate.Candidate:
    """Search, fit and evaluate beside the champion."""
    import optuna

    settings = Settings(threads=1)
    part = rows.cuts[0].train
    study = optuna.create_study(direction="minimize", pruner=create_pruner(use_case))
    run_trials(
        study,
        use_case,
        select_rows(rows.columns, part),
        rows.label[part],
        validation,
        machine=candidate.choose_machine(settings, use_case),
    )
    run: Any = SimpleNamespace(as_of=given.as_of)
    with _without_servers(use_case, rows, champion):
        return candidate.build_candidate(
            settings, _no_database(), use_case, run, rows, build_search_result(study, use_case)
        )


def _no_database() -> Any:
    return None


@contextmanager
def _without_servers(use_case: UseCase, rows: TrainingRows, champion: _Trained | None) -> Iterator[None]:
    """An evaluation whose champion is at hand, without a prediction log, and without what only people see."""
    rival = ChampionScores(None, None, "")
    if champion is not None:
        model = champion.made.model
        answers = score_holdout(use_case, [model] * len(rows.cuts), rows.columns, rows.cuts)
        loaded = LoadedModel(
            version=1,
            run_id="",
            model=model,
            feature_names=tuple(feature.name for feature in use_case.model_features),
            classes=use_case.label.classes,
            size_bytes=champion.made.evaluation.footprint.size_bytes,
        )
        rival = ChampionScores(1, answers, "all hold-out rows are newer than its training", loaded)
    with (
        patch.object(candidate, "score_champion", lambda *_: rival),
        patch.object(candidate, "replay_requests", lambda *_: None),
        patch.object(candidate, "compute_learning_curve", lambda *_: []),
        patch.object(pictures, "draw_answers", lambda *_: {}),
        patch.object(pictures, "draw_model", lambda *_: {}),
    ):
        yield


def _monitor(use_case: UseCase, champion: _Trained, columns: Columns, as_of: datetime) -> Monitoring:
    """What monitoring makes of those requests: the steps of `evergreen.loop.monitor`."""
    answers = champion.made.scores.predictions
    reference = {
        each.feature: each for each in build_reference_profile(use_case, champion.rows.columns, answers)
    }
    since = as_of - timedelta(minutes=5)
    result = compare_windows(
        use_case.drift, {ALL_ROWS: reference}, {ALL_ROWS: count_columns(reference, columns)}, since=since
    )
    drift = DriftEvidence(
        severity=result.severity,
        reason=result.reason,
        rows=result.rows,
        breaches=int(result.severity == "drift"),
        since=since if result.severity == "drift" else None,
    )
    # Neither outcomes nor rows that are new to the champion are known: drift alone is weighed.
    inputs = GovernorInputs(as_of=as_of, champion=1, promoted_at=since, drift=drift)
    answer = decide(use_case.retrain, inputs)
    return Monitoring(answer.retrain, answer.reason)


def _fresh(use_case: UseCase, seed: int, scenario: str, period: int) -> tuple[Columns, Sequence[str]]:
    """The tour's requests as columns of all features, and the scores that these customers will get."""
    rows, truth = draw(PREDICTION_COUNT, seed, scenario=scenario, period=period)
    frame = pd.DataFrame(rows)
    kinds = {f.name: "float64" if f.numeric else "object" for f in use_case.stored_features}
    return add_on_demand_columns(use_case, build_columns_from_frame(frame.astype(kinds), use_case)), truth


def _accuracy(use_case: UseCase, trained: _Trained, columns: Columns, truth: Sequence[str]) -> float:
    predictions = predict_inputs(use_case, trained.made.model, columns).predictions
    return float((predictions == truth).mean())
