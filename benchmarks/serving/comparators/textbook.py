"""The way that tutorials show: BentoML, a DataFrame and a row of SQL for each request.

bentoml serve benchmarks.serving.comparators.textbook:Textbook

One pandas DataFrame per request, a scikit-learn scaler per numeric column, `predict` and then
`predict_proba`, INSERT and COMMIT before the answer. Its scalers have mean 0 and deviation 1: they cost what
any others cost, and the champion, which was trained on unscaled numbers, answers as it should.
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import bentoml
import catboost
import numpy as np
import pandas as pd
import sqlalchemy as sa
from sklearn.preprocessing import StandardScaler

from evergreen.model.signature import list_model_inputs
from evergreen.registry.champion import read_champion
from evergreen.registry.models import load_model
from evergreen.settings import load_settings
from evergreen.store.connection.database import get_engine
from evergreen.usecases import load_use_case

CREATE = """
CREATE TABLE textbook_log (
  prediction_id CHAR(36) PRIMARY KEY,
  at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  request LONGTEXT NOT NULL,
  prediction VARCHAR(191) NOT NULL,
  probabilities LONGTEXT NOT NULL
)
"""
INSERT = """
INSERT INTO textbook_log (prediction_id, request, prediction, probabilities) VALUES (%s, %s, %s, %s)
"""


@bentoml.service(name="textbook")
class Textbook:
    """Predicts one row, and logs it, a request at a time."""

    def __init__(self) -> None:
        settings = load_settings()
        self.use_case = load_use_case(settings.use_case, settings)
        champion = read_champion(settings, self.use_case.name)
        assert champion is not None
        self.version = champion.version
        self.model: catboost.CatBoostClassifier = load_model(settings, self.use_case, champion.version).model
        self.inputs = list_model_inputs(self.use_case)
        self.stored = self.use_case.stored_features
        self.scalers = {feature.name: _create_scaler() for feature in self.stored if feature.numeric}
        self.engine = get_engine(settings)
        with self.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS textbook_log"))
            connection.execute(sa.text(CREATE))
        self.connections = threading.local()

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, data: dict[str, Any]) -> dict[str, Any]:
        frame = pd.DataFrame([data])
        for name, scaler in self.scalers.items():
            frame[name] = frame[name].astype("float64")
            frame[name] = scaler.transform(frame[[name]].to_numpy())[:, 0]
        for feature in self.use_case.on_demand_order:
            values = feature.function(**{name: frame[name].to_numpy() for name in feature.inputs})
            frame[feature.name] = np.where(np.isinf(values), np.nan, values)
        for needed in self.inputs:
            if not needed.numeric:
                frame[needed.name] = frame[needed.name].fillna("missing")
        ordered = frame[[feature.name for feature in self.inputs]]
        prediction = str(self.model.predict(ordered)[0][0])
        shares = self.model.predict_proba(ordered)[0]
        probabilities = {
            str(name): float(share) for name, share in zip(self.model.classes_, shares, strict=True)
        }
        prediction_id = str(uuid.uuid4())
        self._log(prediction_id, data, prediction, probabilities)
        return {
            "prediction_id": prediction_id,
            "model_version": self.version,
            "prediction": prediction,
            "probability": max(probabilities.values()),
            "probabilities": probabilities,
        }

    def _log(
        self, prediction_id: str, data: dict[str, Any], prediction: str, shares: dict[str, float]
    ) -> None:
        # A connection for each of BentoML's threads, and a transaction for each request.
        connection = getattr(self.connections, "own", None)
        if connection is None:
            connection = self.connections.own = self.engine.raw_connection()
        connection.cursor().execute(
            INSERT,
            (prediction_id, json.dumps(data), prediction, json.dumps(shares)),
        )
        connection.commit()


def _create_scaler() -> StandardScaler:
    return StandardScaler().fit(np.array([[-1.0], [1.0]]))
