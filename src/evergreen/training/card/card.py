"""The card as a whole: the verdict first, then what it rests on."""

from __future__ import annotations

from html import escape
from pathlib import Path

from evergreen.pages.numbers import format_moment, shorten_text
from evergreen.pages.page import Html, Section, render_facts, render_page
from evergreen.training.card import data, groups, model, results, verdict
from evergreen.training.card.parts import Facts, get_mapping

_MOST_LIMITS = 25


def render_model_card(facts: Facts) -> str:
    """One HTML page without scripts or network that tells a person whether to let this model in.

    `render_facts` is JSON-able: who the model is ("use_case", "title", "meaning", "problem", "entity",
    "version", "training_run", "mlflow_run", "as_of", "reason", "code_version", "model_digest") and the parts
    "data", "recipe", "evaluation", "search", "verdict" and "limits". Any part may be missing or None: then
    it is not shown.
    """
    version = facts.get("version")
    title = f"{facts.get('title') or facts.get('use_case') or 'Model'}: "
    title += f"version {version}" if version is not None else "a candidate"
    drawn = {
        "Verdict": verdict.render_verdict(facts),
        "Data": data.render_data(get_mapping(facts, "data")),
        "Metrics": results.render_metrics(get_mapping(facts, "evaluation")),
        "Changed answers": results.render_changed_answers(get_mapping(facts, "evaluation")),
        "Slices": groups.render_slices(get_mapping(facts, "evaluation")),
        "Calibration": model.render_calibration(get_mapping(facts, "evaluation")),
        "Importance": model.render_importance(get_mapping(facts, "evaluation")),
        "Learning curve": model.render_learning_curve(get_mapping(facts, "evaluation")),
        "Search": model.render_search(get_mapping(facts, "search"), get_mapping(facts, "recipe")),
        "Limits": _limits(facts),
        "Origin": _origin(facts),
    }
    sections = [Section(name, body) for name, body in drawn.items() if body]
    style = (Path(__file__).parent / "card.css").read_text(encoding="utf-8")
    return render_page(shorten_text(title, 160), _intro(facts), sections, style=style, links=False)


def _intro(given: Facts) -> list[str]:
    meaning = given.get("meaning")
    problem = {
        "binary": "One of two classes",
        "multiclass": "One of several classes",
        "regression": "A number",
    }
    told = [
        f"{problem.get(str(given.get('problem')), 'A prediction')} for each {given.get('entity') or 'row'}"
    ]
    if given.get("as_of"):
        told.append(f"trained as of {format_moment(given['as_of'])}")
    if given.get("reason"):
        told.append(f"reason: {shorten_text(given['reason'], 200)}")
    return [*([shorten_text(meaning, 600)] if meaning else []), " · ".join(told) + "."]


def _limits(given: Facts) -> str:
    said = [shorten_text(each, 600) for each in given.get("limits") or () if each]
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in said[:_MOST_LIMITS])}</ul>" if said else ""


def _origin(given: Facts) -> str:
    """What is needed to find everything again, to the letter."""

    def code(name: str) -> Html | None:
        value = given.get(name)
        return Html(f"<code>{escape(shorten_text(value, 128))}</code>") if value else None

    return render_facts(
        {
            "use case": code("use_case"),
            "training run": code("training_run"),
            "MLflow run": code("mlflow_run"),
            "model digest": code("model_digest"),
            "code version": code("code_version"),
        }
    )
