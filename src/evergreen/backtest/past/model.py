"""A model of the past, with its answers to requests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from evergreen.backtest.fits.fitting import FitRecord
from evergreen.backtest.past.requests import BLOCK, Requests
from evergreen.model.decision import read_class_weights
from evergreen.model.predict import decide_classes, predict_pool
from evergreen.model.predictions import Predictions
from evergreen.model.reference_profile import FeatureProfile, build_reference_profile

# The rows of a fit: the moment at which they were known, and the bounds of their event times.
Span = tuple[datetime, datetime | None, datetime | None]


class PastModel:
    """A fitted CatBoost model, the record of its fit, and the span of rows that it was fitted on.

    Its answers are computed when they are asked for, a block of requests at a time, and kept. Two threads may
    compute the same block; they write the same numbers.
    """

    def __init__(
        self,
        requests: Requests,
        model: Any,
        record: FitRecord,
        span: Span,
    ) -> None:
        self.requests, self.record, self.span = requests, record, span
        self._model = model
        self._classes = requests.rows.use_case.label.classes
        self._weights = read_class_weights(model) if self._classes else ()
        # Memory that is never written to takes no room, so a model that answers one day stays small.
        width = len(self._classes) or 1
        self._answers: npt.NDArray[np.float64] = np.empty((len(requests), width), dtype=np.float64)
        self._has_answers = np.zeros(-(-len(requests) // BLOCK), dtype=bool)

    def predict(self, span: slice) -> Predictions:
        """The answers to the requests in a span."""
        for block in range(span.start // BLOCK, -(-span.stop // BLOCK)):
            if not self._has_answers[block]:
                scores = predict_pool(self._model, self.requests.get_pool(block), self._classes)
                values = scores.predictions[:, None] if scores.probabilities is None else scores.probabilities
                self._answers[block * BLOCK : (block + 1) * BLOCK] = values
                self._has_answers[block] = True
        answers = self._answers[span]
        if not self._classes:
            return Predictions(answers[:, 0], None)
        return decide_classes(answers, self._classes, self._weights)

    @cached_property
    def profile(self) -> Mapping[str, FeatureProfile]:
        """The reference profile: the rows it was fitted on, and its predictions of the validation part."""
        rows = self.requests.rows
        columns = rows.take_inputs(rows.select_known(*self.span))
        profiles = build_reference_profile(rows.use_case, columns, self.record.list_predictions())
        return {profile.feature: profile for profile in profiles}
