"""The facts that a model card shows, gathered from the record of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evergreen.documents import JsonObject
from evergreen.model.judging.verdict import Verdict
from evergreen.model.signature import compute_feature_digests, list_model_inputs
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.judge.contest import describe_split
from evergreen.training.judge.evaluation import Evaluation
from evergreen.training.search.search_result import SearchResult
from evergreen.usecase import UseCase

_MOST_SMALL_GROUPS = 5


@dataclass(frozen=True)
class CardFeature:
    """An input of the model; `missing` is the share of rows without a value."""

    name: str
    type: str
    meaning: str
    missing: float | None


@dataclass(frozen=True)
class CardOnDemandFeature:
    """A feature that is computed at the moment of a request; `code` is the digest of its function."""

    name: str
    meaning: str
    code: str


@dataclass(frozen=True)
class CardData:
    """The training set and how it was divided. Times are ISO 8601, UTC."""

    digest: str | None
    rows: int
    entities: int
    train_rows: int
    holdout_rows: int
    holdout_from: str
    trained_until: str
    split: str
    read_at: str | None
    label: str
    classes: tuple[str, ...]
    class_shares: Mapping[str, float]
    features: tuple[CardFeature, ...]
    on_demand: tuple[CardOnDemandFeature, ...]

    def to_json(self) -> JsonObject:
        """The fields by their names."""
        return {
            "digest": self.digest,
            "rows": self.rows,
            "entities": self.entities,
            "train_rows": self.train_rows,
            "holdout_rows": self.holdout_rows,
            "holdout_from": self.holdout_from,
            "trained_until": self.trained_until,
            "split": self.split,
            "read_at": self.read_at,
            "label": self.label,
            "classes": list(self.classes),
            "class_shares": dict(self.class_shares),
            "features": [
                {"name": f.name, "type": f.type, "meaning": f.meaning, "missing": f.missing}
                for f in self.features
            ],
            "on_demand": [{"name": f.name, "meaning": f.meaning, "code": f.code} for f in self.on_demand],
        }


@dataclass(frozen=True)
class CardFacts:
    """Everything on a model card.

    `version` is None for a candidate that is not registered. `recipe`: CatBoost's parameters, the class
    weights and the task type. `limits`: sentences on how the model was judged and what is not known of it.
    """

    use_case: UseCase
    version: int | None
    run: TrainingRun
    code_version: str
    data: CardData
    recipe: JsonObject
    evaluation: Evaluation
    search: SearchResult
    verdict: Verdict
    limits: tuple[str, ...]

    def to_json(self) -> JsonObject:
        """What `training.card.render_model_card` takes."""
        return {
            "use_case": self.use_case.name,
            "title": self.use_case.title,
            "meaning": self.use_case.meaning,
            "problem": self.use_case.problem,
            "entity": self.use_case.entity.name,
            "version": self.version,
            "training_run": self.run.id,
            "mlflow_run": self.run.mlflow_run_id,
            "as_of": self.run.as_of.isoformat(),
            "reason": self.run.reason,
            "code_version": self.code_version,
            "model_digest": self.evaluation.model_digest,
            "data": self.data.to_json(),
            "recipe": self.recipe,
            "evaluation": self.evaluation.to_json(),
            "search": self.search.to_json(),
            "verdict": self.verdict.to_json(),
            "limits": list(self.limits),
        }


def collect_card_facts(
    use_case: UseCase, run: TrainingRun, tags: Mapping[str, str], version: int | None
) -> CardFacts:
    """Gather the facts of a judged training; `tags` are those of its MLflow run."""
    assert run.metrics is not None
    assert run.params is not None
    assert run.verdict is not None
    evaluation, search = Evaluation.from_json(run.metrics), SearchResult.from_json(run.params)
    return CardFacts(
        use_case=use_case,
        version=version,
        run=run,
        code_version=tags.get("evergreen.code_version", ""),
        data=_collect_data(use_case, run, evaluation),
        recipe={
            **search.params,
            "class_weights": use_case.tuning.class_weights,
            "task_type": evaluation.task_type,
        },
        evaluation=evaluation,
        search=search,
        verdict=Verdict.from_json(run.verdict),
        limits=tuple(_describe_limits(use_case, evaluation)),
    )


def _collect_data(use_case: UseCase, run: TrainingRun, evaluation: Evaluation) -> CardData:
    data = evaluation.data
    assert data is not None
    code = compute_feature_digests(use_case)
    return CardData(
        digest=run.dataset_digest,
        rows=data.rows,
        entities=data.entities,
        train_rows=evaluation.train_rows,
        holdout_rows=evaluation.holdout_rows,
        holdout_from=evaluation.holdout_from,
        trained_until=data.trained_until,
        split=describe_split(use_case),
        read_at=run.dataset_read_at.isoformat() if run.dataset_read_at else None,
        label=use_case.label.name,
        classes=use_case.label.classes,
        class_shares=data.class_shares,
        features=tuple(
            CardFeature(f.name, f.dtype, f.meaning, data.missing.get(f.name))
            for f in list_model_inputs(use_case)
        ),
        on_demand=tuple(
            CardOnDemandFeature(f.name, f.meaning, code[f.name])
            for f in use_case.on_demand_order
            if f.name in code
        ),
    )


def _describe_limits(use_case: UseCase, evaluation: Evaluation) -> list[str]:
    """Sentences on how the model was judged, and what therefore is not known of it."""
    limits = [
        "All metrics are those of a model with the same recipe that was fitted without the rows it was judged"
        " on. The registered model was then fitted on all rows.",
        f"Intervals hold 95 % of {evaluation.comparison.resamples:,} resamples in which the rows of one"
        f" {use_case.entity.name} are drawn together; they say nothing of a world that changes.",
    ]
    if use_case.folds:
        limits.append(
            f"Each of {use_case.folds} folds was judged by a model fitted on the others. The parameters were"
            " searched on the training part of the first fold, which the other folds' rows belong to: that"
            " favours the candidate a little against the baselines."
        )
    if use_case.split == "time":
        limits.append("The rows it was judged on are newer than those of that model's training.")
    else:
        limits.append(
            "The rows it was judged on are of the same time as those of its training: how it does on what"
            " comes later is not known."
        )
    small_groups = [
        f"{group.name} of {figures.feature} ({group.rows} rows)"
        for figures in evaluation.slices
        for group in figures.groups
        if not group.judged
    ]
    if small_groups:
        others = len(small_groups) - _MOST_SMALL_GROUPS
        more = f" and {others} more" if others > 0 else ""
        limits.append(f"Too few rows to judge: {', '.join(small_groups[:_MOST_SMALL_GROUPS])}{more}.")
    if not use_case.slices:
        limits.append("No groups are declared (slices): whether it treats people alike was not looked at.")
    return limits
