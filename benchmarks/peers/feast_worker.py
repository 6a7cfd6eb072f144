"""What Feast does in its own environment (see `worker`): each method of `Worker` is a task.

The folder holds facts.parquet (customer_id, event_time and the features) and labels.parquet (customer_id,
event_timestamp, target).
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, Int64

KEY = "customer_id"
_NOT_FEATURES = {KEY, "event_time"}


class Worker:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        schema = pyarrow.parquet.read_schema(folder / "facts.parquet")
        features = [field for field in schema if field.name not in _NOT_FEATURES]
        customer = Entity(name="customer", join_keys=[KEY], value_type=ValueType.INT64)
        view = FeatureView(
            name="facts",
            entities=[customer],
            ttl=timedelta(0),  # for ever
            schema=[
                Field(name=KEY, dtype=Int64),
                *(Field(name=f.name, dtype=Int64 if str(f.type) == "int64" else Float64) for f in features),
            ],
            source=FileSource(path=str(folder / "facts.parquet"), timestamp_field="event_time"),
        )
        self.references = [f"facts:{field.name}" for field in features]
        # Feast's own defaults for one machine.
        self.store = FeatureStore(
            config=RepoConfig(
                project="bench",
                provider="local",
                registry=str(folder / "registry.db"),
                offline_store={"type": "dask"},
                online_store={"type": "sqlite", "path": str(folder / "online.db")},
                entity_key_serialization_version=3,
            )
        )
        self.store.apply([customer, view])
        self.labels = pd.read_parquet(folder / "labels.parquet")

    def join(self, output: str = "") -> dict[str, Any]:
        """The point-in-time join of every label, to Arrow; kept as Parquet when `output` is named."""
        started = time.perf_counter()
        table = self.store.get_historical_features(self.labels, self.references).to_arrow()
        taken = time.perf_counter() - started
        if output:
            pyarrow.parquet.write_table(table, output)
        return {"seconds": taken, "rows": table.num_rows}

    def materialize(self, start: str, end: str) -> dict[str, Any]:
        """Fill the online store."""
        started = time.perf_counter()
        self.store.materialize(datetime.fromisoformat(start), datetime.fromisoformat(end))
        return {"seconds": time.perf_counter() - started}

    def online(self, keys: list[int], values: bool = False) -> dict[str, Any]:
        """Milliseconds of one read of those keys."""
        rows = [{KEY: key} for key in keys]
        started = time.perf_counter()
        found = self.store.get_online_features(features=self.references, entity_rows=rows).to_dict()
        milliseconds = (time.perf_counter() - started) * 1000
        return {"milliseconds": milliseconds, "values": found if values else None}
