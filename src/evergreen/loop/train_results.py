"""What the steps of a training return: small JSON documents, which Airflow hands from task to task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from evergreen.documents import Json
from evergreen.training.fit.parameters import ParameterValue


class PreparedTrainingSet(TypedDict):
    """The training run, and rows and SHA-256 digest of its training set."""

    training_run: str
    rows: int | None
    digest: str | None


class SearchShare(TypedDict):
    """The trials of one worker of the search, and the seconds of their fitting."""

    training_run: str
    worker: int
    trials: int
    seconds: float


class TunedModel(TypedDict):
    """The best trial's parameters and validation loss; trials and seconds of the whole search."""

    training_run: str
    params: Mapping[str, ParameterValue]
    loss: float
    trials: int
    seconds: float


class EvaluatedCandidate(TypedDict):
    """The candidate's MLflow run, and the gate's metric by contestant (None: took no part, or undefined)."""

    training_run: str
    mlflow_run: str | None
    metrics: Mapping[str, float | None]


class GateResult(TypedDict):
    """The verdict; `warnings` are the reasons of the checks that warn."""

    passed: bool
    summary: str
    checks: Json
    warnings: list[str]
    training_run: str


class RegisteredVersion(TypedDict):
    """The version in the registry; `card` is the address of its model card, empty without a server."""

    training_run: str
    version: int | None
    passed: bool
    summary: str
    card: str


class PromotionResult(TypedDict):
    """Whether the version became champion, waits for a person's approval or with `on_trial` for its trial, or
    neither, and why."""

    training_run: str
    version: int | None
    promoted: bool
    waiting: bool
    on_trial: bool
    reason: str
    warnings: list[str]


class RejectionResult(TypedDict):
    """Whether the candidate was rejected, with `after_trouble` whether that leaves drift or a drop in quality
    unmended, and why."""

    rejected: bool
    after_trouble: bool
    reason: str


class TrainingResult(TypedDict):
    """The results of all steps in one document."""

    training_run: str
    rows: int | None
    digest: str | None
    tuning: TunedModel
    mlflow_run: str | None
    metrics: Mapping[str, float | None]
    gate: GateResult
    version: int | None
    passed: bool
    summary: str
    card: str
    promoted: bool
    waiting: bool
    on_trial: bool
    reason: str
    warnings: list[str]
