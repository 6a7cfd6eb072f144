"""The training set in numbers, as the evaluation and the model card show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.model.signature import list_model_inputs
from evergreen.training.data.checks import find_present_values
from evergreen.training.data.rows import TrainingRows
from evergreen.usecase import EVENT_TIME, UseCase


@dataclass(frozen=True)
class DataFacts:
    """Rows and entities, the last event time (ISO 8601, UTC), each class's share of the rows, and each model
    input's share of missing values."""

    rows: int
    entities: int
    trained_until: str
    class_shares: Mapping[str, float]
    missing: Mapping[str, float]

    def to_json(self) -> JsonObject:
        """The fields by their names."""
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> DataFacts:
        """What `to_json` returned."""
        return read_document(DataFacts, document)


def collect_data_facts(use_case: UseCase, rows: TrainingRows) -> DataFacts:
    """Count what `DataFacts` holds."""
    frame, label = rows.frame, rows.label
    missing = {
        f.name: round(1.0 - float(np.mean(find_present_values(rows.columns[f.name], f.numeric))), 6)
        for f in list_model_inputs(use_case)
    }
    return DataFacts(
        rows=len(label),
        entities=int(frame.groupby(list(use_case.entity.key_names), dropna=False).ngroups),
        trained_until=frame[EVENT_TIME].max().isoformat(),
        class_shares={name: round(float(np.mean(label == name)), 6) for name in use_case.label.classes},
        missing=missing,
    )
