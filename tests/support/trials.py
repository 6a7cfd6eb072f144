"""Trials for unit tests: a trial's row, where it comes from and goes to, and a runtime that takes part."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from evergreen.model.loaded_model import LoadedModel
from evergreen.serving.fast.predictor import Predictor
from evergreen.serving.runtime import Runtime
from evergreen.serving.trial.trials import Trials
from evergreen.serving.trial.watch import TrialSource
from evergreen.store.predictions.channels import SHADOW
from evergreen.store.records.model_trial import ModelTrial
from evergreen.usecase import TrialLimits

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def build_trial(**changes: Any) -> ModelTrial:
    """A canary of version 2 beside version 1 for half of the keys, without end while the tests run."""
    fields: dict[str, Any] = {
        "id": "trial-1",
        "use_case": "parcel",
        "mode": "canary",
        "champion_version": 1,
        "challenger_version": 2,
        "challenger_run_id": "run-2",
        "share": 0.5,
        "limits": TrialLimits(),
        "started_at": NOW,
        "ends_at": NOW + timedelta(days=36_500),
        "started_by": "me",
    }
    return ModelTrial(**{**fields, **changes})


@dataclass
class Trialbook:
    """A MariaDB and an MLflow whose answers the test sets; an exception is raised. `ends` is what was ended,
    with None for the outcome where the time was over."""

    trial: ModelTrial | Exception | None = None
    model: LoadedModel | Exception | None = None
    champion: int | None = 1
    end_error: Exception | None = None
    loads: int = 0
    ends: list[tuple[str, str | None, str]] = field(default_factory=list)

    def build_source(self) -> TrialSource:
        return TrialSource(
            self._read,
            self._load,
            lambda trial, outcome, reason: self._end(trial, outcome, reason),
            lambda trial: self._end(trial, None, ""),
            lambda: self.champion,
        )

    def _read(self) -> ModelTrial | None:
        if isinstance(self.trial, Exception):
            raise self.trial
        return self.trial

    def _load(self, version: int) -> LoadedModel:
        self.loads += 1
        if isinstance(self.model, Exception):
            raise self.model
        assert self.model is not None
        return replace(self.model, version=version)

    def _end(self, trial: ModelTrial, outcome: str | None, reason: str) -> None:
        if self.end_error is not None:
            raise self.end_error
        self.ends.append((trial.id, outcome, reason))
        self.trial = None


def take_part(runtime: Runtime, book: Trialbook) -> Trials:
    """Have a runtime take part in the trial of the book, as its thread would after a look."""
    runtime.trials = Trials(
        runtime.use_case,
        book.build_source(),
        Predictor(runtime.use_case),
        partial(runtime._log_predicted, channel=SHADOW),
        poll_seconds=60.0,
        registry=CollectorRegistry(),
    )
    runtime.trials.watch.check()
    return runtime.trials
