"""The card as a whole: the verdict first, then what it rests on."""

from __future__ import annotations

from html import escape
from pathlib import Path

from evergreen.pages.numbers import moment, short
from evergreen.pages.page import Html, Section, facts, page
from evergreen.training.card import data, groups, model, results, verdict
from evergreen.training.card.parts import Facts, part

_MOST_LIMITS = 25


def model_card(facts: Facts) -> str:
    """One HTML page without scripts or network that tells a person whether to let this model in.

    `facts` is JSON-able: who the model is ("use_case", "title", "meaning", "problem", "entity", "version",
    "training_run", "mlflow_run", "as_of", "reason", "code_version", "model_digest") and the parts "data",
    "recipe", "evaluation", "search", "verdict" and "limits". Any part may be missing or None: then it is not
    shown.
    """
    version = facts.get("version")
    title = f"{facts.get('title') or facts.get('use_case') or 'Model'}: "
    title += f"version {version}" if version is not None else "a candidate"
    drawn = {
        "Verdict": verdict.verdict(facts),
        "Data": data.data(part(facts, "data")),
        "Metrics": results.metrics(part(facts, "evaluation")),
        "Changed answers": results.changed_answers(part(facts, "evaluation")),
        "Slices": groups.slices(part(facts, "evaluation")),
        "Calibration": model.calibration(part(facts, "evaluation")),
        "Importance": model.importance(part(facts, "evaluation")),
        "Learning curve": model.learning_curve(part(facts, "evaluation")),
        "Search": model.search(part(facts, "search"), part(facts, "recipe")),
        "Limits": _limits(facts),
        "Origin": _origin(facts),
    }
    sections = [Section(name, body) for name, body in drawn.items() if body]
    style = (Path(__file__).parent / "card.css").read_text(encoding="utf-8")
    return page(short(title, 160), _intro(facts), sections, style=style, links=False)


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
        told.append(f"trained as of {moment(given['as_of'])}")
    if given.get("reason"):
        told.append(f"reason: {short(given['reason'], 200)}")
    return [*([short(meaning, 600)] if meaning else []), " · ".join(told) + "."]


def _limits(given: Facts) -> str:
    said = [short(each, 600) for each in given.get("limits") or () if each]
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in said[:_MOST_LIMITS])}</ul>" if said else ""


def _origin(given: Facts) -> str:
    """What is needed to find everything again, to the letter."""

    def code(name: str) -> Html | None:
        value = given.get(name)
        return Html(f"<code>{escape(short(value, 128))}</code>") if value else None

    return facts(
        {
            "use case": code("use_case"),
            "training run": code("training_run"),
            "MLflow run": code("mlflow_run"),
            "model digest": code("model_digest"),
            "code version": code("code_version"),
        }
    )
