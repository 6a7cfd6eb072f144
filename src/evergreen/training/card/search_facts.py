"""What a model card tells of the hyperparameter search, as typed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evergreen.pages.json_reader import JsonReader
from evergreen.pages.model_charts.search import ParameterValue, TrialLoss
from evergreen.pages.numbers import format_value


@dataclass(frozen=True)
class TrialFacts:
    """A trial: `state` is "complete", "pruned" or "failed"; `trees` is how many the best fit of it had."""

    number: float | None
    state: str
    loss: float | None
    trees: float | None
    parameters: Mapping[str, ParameterValue]


@dataclass(frozen=True)
class SearchFacts:
    """The search: sampler, seconds, trials, the searched values and the importance of each parameter."""

    sampler: str | None
    seconds: float | None
    trials: Sequence[TrialFacts]
    space: Mapping[str, str]
    importance: Mapping[str, float]

    @classmethod
    def from_json(cls, document: JsonReader) -> SearchFacts:
        """Read the part "search" of the document."""
        return cls(
            sampler=document.get_text("sampler"),
            seconds=document.get_number("seconds"),
            trials=[
                TrialFacts(
                    number=each.get_number("number"),
                    state=each.get_text("state") or "",
                    loss=each.get_number("loss"),
                    trees=each.get_number("trees"),
                    parameters=each.get_parameters("params"),
                )
                for each in document.get_objects("trials")
            ],
            space={
                each.get_text("parameter") or "": format_value(each.get_value("values"))
                for each in document.get_objects("space")
            },
            importance=document.get_numbers("importance"),
        )

    @property
    def losses(self) -> list[TrialLoss]:
        """The trials as their charts take them."""
        return [
            TrialLoss(each.number, each.state, each.loss, each.parameters)
            for each in self.trials
            if each.number is not None
        ]
