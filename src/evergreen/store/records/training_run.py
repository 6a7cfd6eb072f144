"""Training runs: one row in MariaDB per (use case, as_of), which holds what each step hands to the next."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from evergreen.documents import JsonObject, read_document
from evergreen.errors import TrainingError
from evergreen.store.connection.json_columns import format_json_object, parse_json_object
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.platform import TRAINING_RUN

_JSON = ("dataset_query", "params", "metrics", "verdict", "training_window")
_MOMENTS = ("as_of", "dataset_read_at", "started_at", "finished_at")
_REASON_LENGTH = 255
_ENDS = ("promoted", "rejected", "denied")


@dataclass(frozen=True)
class _RecordedQuery:
    """Of the document `dataset_query` how far back the labels reach."""

    since: datetime | None = None


@dataclass(frozen=True)
class _RecordedSearch:
    """Of the document `params` what a later training takes: CatBoost's parameters by their names."""

    params: dict[str, bool | int | float | str]


@dataclass(frozen=True)
class _RecordedEvaluation:
    """Of the document `metrics` what a promotion and its explanation rest on."""

    champion_version: int | None
    model_digest: str | None = None


@dataclass(frozen=True)
class _RecordedVerdict:
    """Of the document `verdict` whether the candidate may be promoted."""

    passed: bool


@dataclass(frozen=True)
class TrainingRun:
    """One training. Moments are aware UTC; what later steps find out is None until then.

    The data set is (query, system time of its rows, digest): see `history.training_set`. The documents are
    JSON of classes of other rooms, which read them: `dataset_query` of `history.query.Query`, `params` of
    `training.search.search_result.SearchResult`, `metrics` of `training.judge.evaluation.Evaluation` and
    `verdict` of `model.judging.verdict.Verdict`. `trigger_name` is what led to the training and
    `training_window` how far back its rows reach (see `training.data.window_choice`); both are None in runs
    of versions that did not record them, and `training_window` also where the declaration alone decides.
    `status` goes started → prepared → tuned → evaluated → judged → registered (→ waiting, for a person's
    answer) → promoted, rejected or denied.
    """

    id: str
    use_case: str
    as_of: datetime
    reason: str
    status: str
    dataset_digest: str | None
    dataset_rows: int | None
    dataset_query: JsonObject | None
    dataset_read_at: datetime | None
    params: JsonObject | None
    metrics: JsonObject | None
    verdict: JsonObject | None
    mlflow_run_id: str | None
    model_version: int | None
    started_at: datetime
    finished_at: datetime | None
    trigger_name: str | None = None
    training_window: JsonObject | None = None

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.status in _ENDS

    @property
    def is_by_hand(self) -> bool:
        """Whether a person started it, as far as is on record."""
        return self.trigger_name in (None, "manual")

    @property
    def labels_since(self) -> datetime | None:
        """After which event time (aware UTC) its labels count; None for all of them."""
        return read_document(_RecordedQuery, self.dataset_query or {}).since

    @property
    def has_passed(self) -> bool:
        """Whether it was judged and may be promoted."""
        return self.verdict is not None and read_document(_RecordedVerdict, self.verdict).passed

    @property
    def champion_version(self) -> int | None:
        """The version that was champion when the candidate was evaluated; None without one, and before the
        evaluation."""
        return self._evaluation.champion_version if self._evaluation else None

    @property
    def model_digest(self) -> str | None:
        """The digest (SHA-256) of the model that was evaluated; None where none is on record."""
        return self._evaluation.model_digest if self._evaluation else None

    @property
    def _evaluation(self) -> _RecordedEvaluation | None:
        return None if self.metrics is None else read_document(_RecordedEvaluation, self.metrics)


def compute_training_run_id(use_case_name: str, as_of: datetime) -> str:
    """The id that a training of that use case as of that moment always has (a UUIDv5)."""
    return str(
        uuid.uuid5(
            uuid.NAMESPACE_URL, f"evergreen:training:{use_case_name}:{to_naive_utc(as_of).isoformat()}"
        )
    )


def start_training_run(
    engine: sa.Engine,
    use_case_name: str,
    as_of: datetime,
    reason: str,
    *,
    trigger: str | None = None,
    window: JsonObject | None = None,
) -> TrainingRun:
    """The training run of (use_case, as_of): a new one, or the one that an earlier call started."""
    values = {
        "id": compute_training_run_id(use_case_name, as_of),
        "use_case": use_case_name,
        "as_of": to_naive_utc(as_of),
        "reason": reason[:_REASON_LENGTH],
        "status": "started",
        "started_at": to_naive_utc(datetime.now(UTC)),
        "trigger_name": trigger,
        "training_window": format_json_object(window),
    }
    with engine.begin() as connection:
        insert = sa.dialects.mysql.insert(TRAINING_RUN).values(**values)
        connection.execute(insert.on_duplicate_key_update(id=TRAINING_RUN.c.id))
    return get_training_run(engine, compute_training_run_id(use_case_name, as_of))


def get_training_run(engine: sa.Engine, training_run: str) -> TrainingRun:
    """That training run. Raises TrainingError when there is none."""
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(TRAINING_RUN).where(TRAINING_RUN.c.id == training_run)
        ).one_or_none()
    if row is None:
        raise TrainingError(
            f"there is no training run {training_run!r}", hint="start one: evergreen train USE_CASE"
        )
    return _parse_run(row)


def get_run_of_version(engine: sa.Engine, use_case_name: str, version: int) -> TrainingRun:
    """The training that made that version. Raises TrainingError when none is on record."""
    statement = sa.select(TRAINING_RUN).where(
        TRAINING_RUN.c.use_case == use_case_name, TRAINING_RUN.c.model_version == version
    )
    with engine.connect() as connection:
        row = connection.execute(statement.order_by(TRAINING_RUN.c.started_at.desc()).limit(1)).one_or_none()
    if row is None:
        raise TrainingError(
            f"no training of {use_case_name} on record made version {version}",
            hint=f"evergreen dataset list {use_case_name} shows the trainings and their versions",
        )
    return _parse_run(row)


def find_training_run(engine: sa.Engine, use_case_name: str, as_of: datetime) -> TrainingRun | None:
    """The training of that use case as of a moment (aware), if one was begun."""
    statement = sa.select(TRAINING_RUN).where(
        TRAINING_RUN.c.id == compute_training_run_id(use_case_name, as_of)
    )
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    return _parse_run(rows[0]) if rows else None


def find_unfinished_run(engine: sa.Engine, use_case_name: str, besides: str) -> TrainingRun | None:
    """The training of that use case that began last and has not ended, other than `besides`."""
    statement = (
        sa.select(TRAINING_RUN)
        .where(
            TRAINING_RUN.c.use_case == use_case_name,
            TRAINING_RUN.c.id != besides,
            TRAINING_RUN.c.status.not_in((*_ENDS, "waiting")),
        )
        .order_by(TRAINING_RUN.c.started_at.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(statement).one_or_none()
    return _parse_run(row) if row is not None else None


def find_waiting_run(engine: sa.Engine, use_case_name: str) -> TrainingRun | None:
    """The newest training of that use case whose version passed and waits for a person's answer."""
    statement = (
        sa.select(TRAINING_RUN)
        .where(
            TRAINING_RUN.c.use_case == use_case_name,
            TRAINING_RUN.c.status.in_(("registered", "waiting")),
        )
        .order_by(TRAINING_RUN.c.model_version.desc())
    )
    with engine.connect() as connection:
        runs = [_parse_run(row) for row in connection.execute(statement)]
    return next((run for run in runs if run.has_passed), None)


def find_last_parameters(
    engine: sa.Engine, use_case_name: str
) -> Mapping[str, bool | int | float | str] | None:
    """CatBoost's parameters that the newest finished search of that use case found; None where there is
    none."""
    statement = (
        sa.select(TRAINING_RUN.c.params)
        .where(TRAINING_RUN.c.use_case == use_case_name, TRAINING_RUN.c.params.is_not(None))
        .order_by(TRAINING_RUN.c.started_at.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        document = parse_json_object(connection.execute(statement).scalar())
    return read_document(_RecordedSearch, document).params if document else None


def _parse_run(row: sa.Row[Any]) -> TrainingRun:
    fields = dict(row._mapping)
    for name in _JSON:
        fields[name] = parse_json_object(fields[name])
    for name in _MOMENTS:
        fields[name] = to_aware_utc(fields[name]) if fields[name] is not None else None
    return TrainingRun(**fields)


def _to_column_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return format_json_object(value)
    return to_naive_utc(value) if isinstance(value, datetime) else value


def update_training_run(engine: sa.Engine, training_run: str, **fields: Any) -> TrainingRun:
    """Set fields of a training run (mappings become JSON, moments naive UTC), and return it."""
    values = {name: _to_column_value(value) for name, value in fields.items()}
    with engine.begin() as connection:
        connection.execute(TRAINING_RUN.update().where(TRAINING_RUN.c.id == training_run).values(**values))
    return get_training_run(engine, training_run)
