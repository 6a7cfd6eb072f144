"""A prediction log of many rows on a private MariaDB: what the stages about counts measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa
from benchmarks.common.server import Bench, running

from evergreen.model.reference_profile import (
    FeatureProfile,
    build_reference_profile,
    build_slice_profiles,
    save_reference_profile,
)
from evergreen.settings import Settings
from evergreen.store.connection.database import get_bulk_engine, get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.predictions.channels import ONLINE
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.tables.create import create_tables
from evergreen.store.tables.declared import build_prediction_table
from evergreen.usecase import Entity, Feature, FeatureView, FileSource, Key, Label, Slice, UseCase

START = datetime(2026, 6, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
MILLISECOND = timedelta(milliseconds=1)
VERSION = 1
CLASSES = ("no", "yes")
SEGMENTS = ("retail", "trade", "public")
_SOURCE = FileSource("none.csv")
_CHUNK_ROWS = 100_000
_TRAINING_ROWS = 20_000


@dataclass(frozen=True)
class LogWorld:
    """A store with the empty tables of a use case, and the profile of its version 1."""

    bench: Bench
    settings: Settings
    use_case: UseCase
    profiles: Sequence[FeatureProfile]

    @property
    def engine(self) -> sa.Engine:
        """The ordinary engine of the store."""
        return get_engine(self.settings)


def declare_use_case(numbers: int, categories: int) -> UseCase:
    """So many numbers and categories; the first category, if there is one, has a slice of three groups."""
    features = (
        *(Feature(f"number_{n:02}", "float", "A number", max_null_share=0.1) for n in range(numbers)),
        *(Feature(f"choice_{n:02}", "category", "A choice", max_null_share=0.1) for n in range(categories)),
    )
    return UseCase(
        name="monitored",
        title="Monitored",
        meaning="What monitoring costs",
        entity=Entity("customer", (Key("customer_id", "int", "The customer's number"),)),
        views=(FeatureView("facts", _SOURCE, features, "Facts"),),
        label=Label("answer", _SOURCE, "The answer", classes=CLASSES),
        slices=(Slice("choice_00"),) if categories else (),
        split="stratified",
    )


@contextmanager
def open_log_world(folder: Path, use_case: UseCase, seed: int) -> Iterator[LogWorld]:
    """A server of its own with the use case's tables; gone at the end."""
    with running(folder) as bench:
        connection = bench.connect()
        connection.cursor().execute("CREATE DATABASE monitored")
        connection.cursor().execute("CREATE DATABASE monitored_ledger")
        for database in ("monitored", "monitored_ledger"):
            connection.cursor().execute(f"GRANT ALL ON {database}.* TO '{bench.server.user}'@'localhost'")
        connection.close()
        settings = bench.settings("monitored")
        settings.home.mkdir(exist_ok=True)
        apply_migrations(get_engine(settings))
        create_tables(get_engine(settings), use_case)
        draw = np.random.default_rng(seed)
        columns = draw_columns(use_case, _TRAINING_ROWS, draw)
        answers = draw.choice(np.array(CLASSES, dtype=object), _TRAINING_ROWS)
        profiles = build_reference_profile(use_case, columns, answers)
        profiles += build_slice_profiles(use_case, profiles, columns, answers, columns)
        save_reference_profile(get_engine(settings), use_case.name, VERSION, profiles)
        yield LogWorld(bench, settings, use_case, profiles)


def draw_columns(use_case: UseCase, rows: int, draw: np.random.Generator) -> dict[str, np.ndarray]:
    """Normally distributed numbers, one in fifty missing, and choices of three to eight names."""
    columns: dict[str, np.ndarray] = {}
    for place, feature in enumerate(use_case.stored_features):
        missing = draw.random(rows) < 0.02
        if feature.numeric:
            columns[feature.name] = np.where(missing, np.nan, draw.normal(place, 1 + place, rows))
        else:
            names = np.array([*SEGMENTS, *(f"choice {n}" for n in range(place % 6))], dtype=object)
            columns[feature.name] = draw.choice(names, rows)
            columns[feature.name][missing] = None
    return columns


def list_prediction_rows(
    use_case: UseCase, rows: int, draw: np.random.Generator, start: datetime = START, first: int = 0
) -> list[PredictionRow]:
    """Rows as a service logs them, a thousand in a second."""
    columns = draw_columns(use_case, rows, draw)
    names = list(columns)
    cells = [
        [None if cell is None or cell != cell else cell for cell in column.tolist()]
        for column in columns.values()
    ]
    ids = make_ids(start, timedelta(milliseconds=1), first, rows)
    answers = draw.random(rows)
    return [
        PredictionRow(
            prediction_id,
            VERSION,
            ONLINE,
            {"customer_id": number, **dict(zip(names, values, strict=True))},
            CLASSES[share > 0.5],
            max(share, 1 - share),
            {"no": 1 - share, "yes": share},
        )
        for number, (prediction_id, values, share) in enumerate(
            zip(ids, zip(*cells, strict=True), answers.tolist(), strict=True)
        )
    ]


def make_ids(start: datetime, step: timedelta, first: int, rows: int) -> list[str]:
    """UUIDv7 of moments that rise by `step`, told apart by their number."""
    milliseconds, width = int(start.timestamp() * 1000), step.total_seconds() * 1000
    moments = (milliseconds + int(width * (first + n)) for n in range(rows))
    return [
        f"{moment >> 16:08x}-{moment & 0xFFFF:04x}-7000-8000-{first + n:012x}"
        for n, moment in enumerate(moments)
    ]


def fill_log(world: LogWorld, rows: int, draw: np.random.Generator) -> None:
    """Load that many rows of one week into the log, past the shipper: without counts."""
    step = WEEK / rows
    for first in range(0, rows, _CHUNK_ROWS):
        some = min(_CHUNK_ROWS, rows - first)
        ids = make_ids(START, step, first, some)
        milliseconds = np.array([int(each[:8] + each[9:13], 16) for each in ids], dtype="datetime64[ms]")
        columns = {
            "prediction_id": pa.array(ids),
            "predicted_at": pa.array(milliseconds),
            "model_version": pa.array(np.full(some, VERSION)),
            "channel": pa.array([ONLINE] * some),
            "customer_id": pa.array(np.arange(first, first + some)),
            **{
                name: pa.array(values, from_pandas=True)
                for name, values in draw_columns(world.use_case, some, draw).items()
            },
            "prediction": pa.array(draw.choice(np.array(CLASSES, dtype=object), some)),
        }
        _load(world, pa.table(columns))


def _load(world: LogWorld, table: pa.Table) -> None:
    path = world.bench.folder / "rows.csv"
    pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed"))
    names = [f"@{name}" for name in table.column_names]
    values = ", ".join(f"`{name}` = NULLIF(@{name}, '')" for name in table.column_names)
    log = build_prediction_table(world.use_case).name
    with get_bulk_engine(world.engine).begin() as connection:
        connection.exec_driver_sql(
            f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE `{log}` CHARACTER SET utf8mb4"
            f" FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ({', '.join(names)}) SET {values}"
        )
    path.unlink()
