"""Requests to the running service, several at a time, every answer kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from evergreen.serving.client import ServiceClient
from evergreen.serving.http.bodies import PredictionBody

_CONNECTIONS = 8


@dataclass(frozen=True)
class Answers:
    """What came back, in the order sent."""

    sent: int
    answers: tuple[PredictionBody, ...]

    @property
    def answered(self) -> int:
        return len(self.answers)

    @property
    def versions(self) -> frozenset[int]:
        return frozenset(int(answer["model_version"]) for answer in self.answers)

    def accuracy(self, labels: Sequence[str]) -> float:
        """Share of answers that equal the true label, in [0, 1]."""
        right = sum(bool(a["prediction"] == label) for a, label in zip(self.answers, labels, strict=True))
        return right / len(labels)


def send_requests(url: str, rows: Sequence[Mapping[str, Any]], progress: Callable[[str], None]) -> Answers:
    """POST each row to `/predict` over a few connections. The first refused request raises ServingError."""
    answers: list[PredictionBody] = []
    with ServiceClient(url) as client, ThreadPoolExecutor(_CONNECTIONS) as threads:
        for answer in threads.map(client.predict, rows):
            answers.append(answer)
            if len(answers) % 50 == 0:
                progress(f"{len(answers):,} of {len(rows):,} answered")
    return Answers(sent=len(rows), answers=tuple(answers))
