"""The card as a whole: the verdict first, then what it rests on."""

from __future__ import annotations

from html import escape
from pathlib import Path

from evergreen.pages.numbers import format_moment, shorten_text
from evergreen.pages.page import Html, Section, render_facts, render_page
from evergreen.training.card.data import render_data
from evergreen.training.card.facts import CardDocument
from evergreen.training.card.groups import render_slices
from evergreen.training.card.model import render_calibration, render_importance, render_learning_curve
from evergreen.training.card.results import render_changed_answers, render_metrics
from evergreen.training.card.search import render_search
from evergreen.training.card.verdict import render_verdict

_MOST_LIMITS = 25
_PROBLEMS = {
    "binary": "One of two classes",
    "multiclass": "One of several classes",
    "regression": "A number",
}


def render_model_card(document: object) -> str:
    """One HTML page without scripts or network that tells a person whether to let this model in.

    `document` is the JSON document of `training.record.card_facts`: who the model is ("use_case", "title",
    "meaning", "problem", "entity", "version", "training_run", "mlflow_run", "as_of", "reason",
    "code_version", "model_digest") and the parts "data", "recipe", "evaluation", "search", "verdict" and
    "limits". Any part may be missing or None: then it is not shown.
    """
    facts = CardDocument.from_json(document)
    title = f"{facts.title or facts.use_case or 'Model'}: "
    title += f"version {facts.version}" if facts.version is not None else "a candidate"
    evaluation = facts.evaluation
    bodies = {
        "Verdict": render_verdict(facts),
        "Data": render_data(facts.data),
        "Metrics": render_metrics(evaluation),
        "Changed answers": render_changed_answers(evaluation),
        "Slices": render_slices(evaluation),
        "Calibration": render_calibration(evaluation),
        "Importance": render_importance(evaluation),
        "Learning curve": render_learning_curve(evaluation),
        "Search": render_search(facts.search, facts.recipe),
        "Limits": _render_limits(facts),
        "Origin": _render_origin(facts),
    }
    sections = [Section(name, body) for name, body in bodies.items() if body]
    style = (Path(__file__).parent / "card.css").read_text(encoding="utf-8")
    return render_page(shorten_text(title, 160), _describe_model(facts), sections, style=style, links=False)


def _describe_model(facts: CardDocument) -> list[str]:
    """The paragraphs below the title: what is predicted, and when and why the model was trained."""
    clauses = [f"{_PROBLEMS.get(facts.problem or '', 'A prediction')} for each {facts.entity or 'row'}"]
    if facts.as_of:
        clauses.append(f"trained as of {format_moment(facts.as_of)}")
    if facts.reason:
        clauses.append(f"reason: {shorten_text(facts.reason, 200)}")
    meaning = [shorten_text(facts.meaning, 600)] if facts.meaning else []
    return [*meaning, " · ".join(clauses) + "."]


def _render_limits(facts: CardDocument) -> str:
    items = [f"<li>{escape(shorten_text(each, 600))}</li>" for each in facts.limits[:_MOST_LIMITS]]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _render_origin(facts: CardDocument) -> str:
    """The ids and digests with which rows, run and model are found again."""

    def render_code(value: str | None) -> Html | None:
        """An id in a fixed-width font."""
        return Html(f"<code>{escape(shorten_text(value, 128))}</code>") if value else None

    return render_facts(
        {
            "use case": render_code(facts.use_case),
            "training run": render_code(facts.training_run),
            "MLflow run": render_code(facts.mlflow_run),
            "model digest": render_code(facts.model_digest),
            "code version": render_code(facts.code_version),
        }
    )
