"""Prediction requests to the running service, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

from evergreen.serving.calls.client import open_own_client
from evergreen.settings import Settings

# One row of a request: its raw feature values by name.
FeatureRow: TypeAlias = Mapping[str, str | int | float | bool | None]

_CONNECTIONS = 8


@dataclass(frozen=True)
class ReceivedAnswer:
    """What the demo reads of one answer of the service; the prediction is a class or a number."""

    prediction_id: str
    model_version: int
    prediction: str | float


@dataclass(frozen=True)
class Answers:
    """The answers to `sent` requests, in the order of the requests."""

    sent: int
    answers: tuple[ReceivedAnswer, ...]

    @property
    def answered(self) -> int:
        """How many requests were answered."""
        return len(self.answers)

    @property
    def versions(self) -> frozenset[int]:
        """The versions of the model that answered."""
        return frozenset(answer.model_version for answer in self.answers)

    def accuracy(self, labels: Sequence[str]) -> float:
        """Share of answers that equal the true label, in [0, 1]."""
        correct = sum(answer.prediction == label for answer, label in zip(self.answers, labels, strict=True))
        return correct / len(labels)


def send_requests(
    settings: Settings, url: str, rows: Sequence[FeatureRow], progress: Callable[[str], None]
) -> Answers:
    """POST each row to `/predict` over a few connections. The first request that is refused raises
    ServingError."""
    answers: list[ReceivedAnswer] = []
    with open_own_client(settings, url) as client, ThreadPoolExecutor(_CONNECTIONS) as threads:
        for answer in threads.map(client.predict, rows):
            answers.append(
                ReceivedAnswer(answer["prediction_id"], int(answer["model_version"]), answer["prediction"])
            )
            if len(answers) % 50 == 0:
                progress(f"{len(answers):,} of {len(rows):,} answered")
    return Answers(sent=len(rows), answers=tuple(answers))
