"""Probe requests: does a service answer as the model that it should serve predicts by itself?

`evergreen deploy` sends them after a promotion. They are logged in a channel of their own, so that they count
neither as traffic nor in drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from evergreen.errors import EvergreenError
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import predict_rows
from evergreen.model.predictions import Answer
from evergreen.registry.champion import read_champion
from evergreen.registry.verification import load_recorded_model
from evergreen.serving.calls.client import open_own_client
from evergreen.serving.channels import CANARY
from evergreen.serving.http.bodies import PredictionBody, RequestRow
from evergreen.serving.http.examples import draw_requests
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_log import read_recent_inputs
from evergreen.usecase import UseCase
from evergreen.validation.domain_words import is_refused

# How many rows are drawn from the declaration, and how many real ones are read from the log.
DRAWN_PROBE_ROWS = 50
LOGGED_PROBE_ROWS = 50
# Probabilities that differ by less agree: they went through JSON and another order of summation.
TOLERANCE = 1e-9
_MOST_EXAMPLES = 5
_EXAMPLE_CHARACTERS = 300


class ProbeDocument(TypedDict):
    """`ProbeReport` as JSON."""

    model_version: int
    rows: int
    errors: int
    mismatches: int
    examples: list[str]


@dataclass(frozen=True)
class ProbeReport:
    """How a service answered probe requests that version `model_version` should answer.

    Of the judged `rows`, `errors` were refused or failed and `mismatches` had another answer than the model's
    own; `examples` describe the first of both.
    """

    model_version: int
    rows: int
    errors: int
    mismatches: int
    examples: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no answer was bad."""
        return not self.errors and not self.mismatches

    def describe(self) -> str:
        """The report of bad answers in one line."""
        return (
            f"of {self.rows} probe rows {self.errors} failed and {self.mismatches} differed: "
            f"{'; '.join(self.examples)}"
        )

    def to_json(self) -> ProbeDocument:
        """The report as the next task of the deploy DAG reads it."""
        return {
            "model_version": self.model_version,
            "rows": self.rows,
            "errors": self.errors,
            "mismatches": self.mismatches,
            "examples": list(self.examples),
        }

    @classmethod
    def from_json(cls, data: ProbeDocument) -> ProbeReport:
        """The report that `to_json` wrote."""
        return cls(
            int(data["model_version"]),
            data["rows"],
            data["errors"],
            data["mismatches"],
            tuple(data["examples"]),
        )


def collect_probe_rows(settings: Settings, use_case: UseCase, seed: int, until: datetime) -> list[RequestRow]:
    """Rows drawn from the declaration with `seed`, and the newest logged online requests up to a moment."""
    recent_rows = read_recent_inputs(get_engine(settings), use_case, until=until, limit=LOGGED_PROBE_ROWS)
    # The log also holds rows from when a rule was a guess, and rows of keys that lack a view: to refuse those
    # is no fault of the champion.
    accepted = [row for row in recent_rows if not is_refused(use_case.stored_features, row)]
    return [*draw_requests(use_case, DRAWN_PROBE_ROWS, seed=seed), *accepted]


def send_probe_requests(
    settings: Settings, use_case: UseCase, url: str, version: int, rows: Sequence[RequestRow]
) -> ProbeReport:
    """Send rows to the service at `url` and compare its answers with those of a version loaded here.

    Rows that a champion promoted meanwhile answers are not judged. Raises nothing for bad answers, but
    ModelRefused where the registry no longer holds the version that was registered: the service cannot be
    blamed for that.
    """
    champion = load_recorded_model(settings, get_engine(settings), use_case, version)
    expected = predict_rows(use_case, champion, build_columns_from_rows(use_case, rows)).list_answers()
    row_count = errors = mismatches = 0
    examples: list[str] = []
    # The header's former value, which a service that an earlier version started takes as well.
    with open_own_client(settings, url, channel=CANARY) as client:
        for row, own in zip(rows, expected, strict=True):
            try:
                answer = client.predict(row)
            except EvergreenError as error:
                row_count += 1
                errors += 1
                examples.append(error.message)
                continue
            if _is_overtaken(settings, use_case.name, version, answer["model_version"]):
                continue
            row_count += 1
            if difference := describe_difference(answer, own, version):
                mismatches += 1
                examples.append(difference)
    shortened = tuple(example[:_EXAMPLE_CHARACTERS] for example in examples[:_MOST_EXAMPLES])
    return ProbeReport(version, row_count, errors, mismatches, shortened)


def describe_difference(answer: PredictionBody, own: Answer, version: int) -> str:
    """In which way a service's answer is not the model's own; "" when they agree."""
    if answer["model_version"] != version:
        return f"version {answer['model_version']} answered instead of {version}"
    service_value, own_value = answer["prediction"], own.prediction
    if own.probabilities is None:
        numbers = float(service_value), float(own_value)
        distance = abs(numbers[0] - numbers[1])
        return (
            ""
            if distance <= TOLERANCE * max(1.0, abs(numbers[1]))
            else f"{service_value} instead of {own_value}"
        )
    worst = max(abs(answer["probabilities"][name] - share) for name, share in own.probabilities.items())
    if service_value != own_value or worst > TOLERANCE:
        return f"{service_value!r} instead of {own_value!r}, probabilities differ by up to {worst:.3g}"
    return ""


def _is_overtaken(settings: Settings, use_case_name: str, version: int, answering: int) -> bool:
    """Whether another version answers because it has become champion."""
    if answering == version:
        return False
    champion = read_champion(settings, use_case_name)
    return champion is not None and champion.version == answering
