"""What a model card tells, as typed values read from the JSON document of a training run's record.

Any part of the document may be missing or null, as in records of earlier versions: a scalar is then None, a
collection empty. Numbers that are not finite count as missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evergreen.pages.json_reader import JsonReader
from evergreen.pages.numbers import format_value
from evergreen.training.card.evaluation_facts import EvaluationFacts
from evergreen.training.card.search_facts import SearchFacts


@dataclass(frozen=True)
class FeatureSection:
    """An input of the model; `code` is the digest of the function that computes it on demand, if one does."""

    name: str
    type: str | None
    meaning: str | None
    missing: float | None
    code: str | None
    on_demand: bool


@dataclass(frozen=True)
class DataSection:
    """The training set: rows, moments (ISO 8601), the label's classes with their shares, the features."""

    digest: str | None
    rows: int | None
    entities: int | None
    train_rows: int | None
    holdout_rows: int | None
    holdout_from: str | None
    trained_until: str | None
    split: str | None
    read_at: str | None
    label: str | None
    class_shares: Mapping[str, float]
    features: Sequence[FeatureSection]

    @classmethod
    def from_json(cls, document: JsonReader) -> DataSection:
        """Read the part "data" of the document."""
        shares = document.get_numbers("class_shares")
        classes = [str(name) for name in document.get_list("classes")] or list(shares)
        return cls(
            digest=document.get_text("digest"),
            rows=document.get_count("rows"),
            entities=document.get_count("entities"),
            train_rows=document.get_count("train_rows"),
            holdout_rows=document.get_count("holdout_rows"),
            holdout_from=document.get_text("holdout_from"),
            trained_until=document.get_text("trained_until"),
            split=document.get_text("split"),
            read_at=document.get_text("read_at"),
            label=document.get_text("label"),
            class_shares={name: shares[name] for name in classes if name in shares},
            features=_read_features(document),
        )


@dataclass(frozen=True)
class CheckFacts:
    """A check of the gate: the model's number, the wanted one, and why it came out so.

    `result` is "failed", "warning" or "passed".
    """

    name: str
    result: str
    candidate: float | None
    wanted: float | None
    reason: str

    @classmethod
    def from_json(cls, document: JsonReader) -> CheckFacts:
        """Read a check. Verdicts of before there were warnings say only whether it passed."""
        result = document.get_text("result")
        if result not in ("failed", "warning", "passed"):
            result = "passed" if document.get_flag("passed") else "failed"
        return cls(
            name=document.get_text("name") or "",
            result=result,
            candidate=document.get_number("candidate"),
            wanted=document.get_number("wanted"),
            reason=document.get_text("reason") or "",
        )


@dataclass(frozen=True)
class VerdictFacts:
    """The gate's verdict; `passed` is None while no gate has judged the model."""

    passed: bool | None
    summary: str
    metric: str | None
    champion_version: str | None
    checks: Sequence[CheckFacts]

    @classmethod
    def from_json(cls, document: JsonReader) -> VerdictFacts:
        """Read the part "verdict" of the document."""
        return cls(
            passed=document.get_flag("passed"),
            summary=document.get_text("summary") or "",
            metric=document.get_text("metric"),
            champion_version=document.get_text("champion_version"),
            checks=[CheckFacts.from_json(each) for each in document.get_objects("checks")],
        )


@dataclass(frozen=True)
class CardDocument:
    """Everything that a model card tells. `recipe` has the parameters of the fit as text."""

    use_case: str | None
    title: str | None
    meaning: str | None
    problem: str | None
    entity: str | None
    version: str | None
    training_run: str | None
    mlflow_run: str | None
    as_of: str | None
    reason: str | None
    code_version: str | None
    model_digest: str | None
    data: DataSection
    recipe: Mapping[str, str]
    evaluation: EvaluationFacts
    search: SearchFacts
    verdict: VerdictFacts
    limits: Sequence[str]

    @classmethod
    def from_json(cls, document: object) -> CardDocument:
        """Read the whole document, as `training.record.card_facts` writes it."""
        reader = JsonReader(document)
        return cls(
            use_case=reader.get_text("use_case"),
            title=reader.get_text("title"),
            meaning=reader.get_text("meaning"),
            problem=reader.get_text("problem"),
            entity=reader.get_text("entity"),
            version=reader.get_text("version"),
            training_run=reader.get_text("training_run"),
            mlflow_run=reader.get_text("mlflow_run"),
            as_of=reader.get_text("as_of"),
            reason=reader.get_text("reason"),
            code_version=reader.get_text("code_version"),
            model_digest=reader.get_text("model_digest"),
            data=DataSection.from_json(reader.get_object("data")),
            recipe={name: format_value(value) for name, value in reader.get_parameters("recipe").items()},
            evaluation=EvaluationFacts.from_json(reader.get_object("evaluation")),
            search=SearchFacts.from_json(reader.get_object("search")),
            verdict=VerdictFacts.from_json(reader.get_object("verdict")),
            limits=[str(each) for each in reader.get_list("limits") if each],
        )


def _read_features(document: JsonReader) -> list[FeatureSection]:
    """The model's inputs, then the on-demand features that are not among them."""
    inputs, on_demand = document.get_objects("features"), document.get_objects("on_demand")
    code = {each.get_text("name") or "": each.get_text("code") for each in on_demand}
    names = {each.get_text("name") for each in inputs}
    others = [each for each in on_demand if each.get_text("name") not in names]
    return [
        FeatureSection(
            name=(name := each.get_text("name") or ""),
            type=each.get_text("type"),
            meaning=each.get_text("meaning"),
            missing=each.get_number("missing"),
            code=code.get(name),
            on_demand=name in code,
        )
        for each in [*inputs, *others]
    ]
