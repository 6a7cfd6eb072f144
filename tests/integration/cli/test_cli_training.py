"""`evergreen train`, `gate explain` and `approve`, as typed, on a real store and a real MLflow database."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from evergreen.registry.actor import identify_actor
from support.command_line import CommandLine, environment


@pytest.fixture
def typed(toy_store, monkeypatch, capsys):
    """Runs a command with the toy's rows in the store."""
    line = CommandLine(monkeypatch, capsys)
    return lambda *arguments: line.run(*arguments, home=toy_store.home, **environment(toy_store))


@pytest.fixture(autouse=True)
def _fresh_declaration():
    sys.modules.pop("evergreen_usecases_toy", None)
    yield
    sys.modules.pop("evergreen_usecases_toy", None)


def declare(settings, before, after):
    path = Path(settings.use_cases) / "toy" / "__init__.py"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    sys.modules.pop("evergreen_usecases_toy", None)


def test_a_training_shows_what_was_searched_who_was_beaten_and_how_it_ended(typed):
    done = typed("train", "toy", "--as-of", "2026-07-01", "--reason", "first")
    assert done.returncode == 0, done.stderr
    for words in ("600 rows, 2 trials", "linear", "beats a guess's 0.5000", "toy v1 is champion"):
        assert words in done.stdout
    assert "Traceback" not in done.stderr
    again = typed("train", "toy", "--as-of", "2026-07-01", "--json")
    told = json.loads(again.stdout)
    assert (told["version"], told["promoted"], told["waiting"]) == (1, True, False)

    explained = typed("gate", "explain", "toy", "1")
    assert "toy v1: promoted" in explained.stdout
    assert "because: first" in explained.stdout
    facts = json.loads(typed("gate", "explain", "toy", "1", "--json").stdout)
    assert {check["name"] for check in facts["checks"]} == {"beats linear", "beats dummy", "size", "latency"}

    same = typed("train", "--reproduce", told["training_run"][:8])
    assert same.returncode == 0, same.stderr
    assert "the same models byte by byte" in same.stdout
    assert json.loads(typed("train", "--reproduce", told["mlflow_run"], "--json").stdout)["same"] is True


def test_a_rejected_candidate_exits_7_and_names_the_way_to_the_reasons(typed, toy_store):
    declare(
        toy_store,
        "margin=-0.05, baseline_margin=-0.05",
        'baseline_margin=0.4, hard=("beats linear",), model_mb=0.0, warn=("size",)',
    )
    done = typed("train", "toy", "--as-of", "2026-07-01")
    assert done.returncode == 7
    assert "toy keeps its champion: rejected: roc_auc" in done.stderr
    assert "evergreen gate explain toy 1" in done.stderr
    explained = typed("gate", "explain", "toy", "1")
    assert "toy v1: rejected" in explained.stdout
    assert "2 of 4 checks passed, 1 failed, 1 warning\n" in explained.stdout
    for result, check in (("✗ failed", "beats linear"), ("! warning", "size"), ("✓ passed", "latency")):
        assert any(line.split(check)[0].strip() == result for line in explained.stdout.splitlines())
    told = json.loads(typed("gate", "explain", "toy", "1", "--json").stdout)
    assert [check["result"] for check in told["checks"]] == ["failed", "passed", "warning", "passed"]
    assert told["warnings"] == [told["checks"][2]["reason"]]
    run = typed("run", "train", "toy", "--as-of", "2026-07-01")
    assert run.returncode == 7, "both commands are one"


def test_warnings_are_shown_with_the_training_and_counted_in_the_ledger(typed, toy_store):
    declare(toy_store, "margin=-0.05, baseline_margin=-0.05", "baseline_margin=0.4")
    done = typed("train", "toy", "--as-of", "2026-07-01")
    assert done.returncode == 0, done.stderr
    assert "toy v1 is champion\nWarning: roc_auc 0." in done.stdout
    assert "! warning" in done.stdout
    shown = typed("ledger", "toy").stdout
    assert "passed with 1 warning: roc_auc 0." in shown
    assert "warnings" in shown.splitlines()[0]
    [line] = json.loads(typed("ledger", "toy", "--json").stdout)["lines"]
    assert line["warnings"] == line["verdict"]["warnings"]
    assert line["warnings"][0].endswith("by 0.4")


def test_a_version_that_waits_is_approved_or_denied_as_typed(typed, toy_store):
    declare(toy_store, "    retrain=RetrainPolicy(),", '    approval="manual",')
    assert "No model of toy was trained yet: evergreen train toy\n" in typed("dataset", "list", "toy").stdout
    waiting = typed("train", "toy", "--as-of", "2026-07-01")
    assert waiting.returncode == 0
    assert "toy v1 passed the gate and waits for approval: evergreen approve toy 1" in waiting.stdout
    denied = typed("approve", "toy", "--deny", "--reason", "not yet")
    assert denied.returncode == 0, denied.stderr
    assert "toy v1 stays out: denied by" in denied.stdout
    typed("train", "toy", "--as-of", "2026-07-02")
    approved = typed("approve", "toy", "2", "--json")
    assert json.loads(approved.stdout)["promoted"] is True
    lines = json.loads(typed("ledger", "toy", "--json").stdout)["lines"]
    assert [line["action"] for line in reversed(lines)] == ["deny", "approve", "promote"]
    assert {line["actor"] for line in lines} == {identify_actor()}
    nothing = typed("approve", "toy")
    assert nothing.returncode == 6
    assert "no version of toy waits for an answer" in nothing.stderr


def test_wrong_words_are_named(typed):
    assert "train what?" in typed("train").stderr
    both = typed("train", "toy", "--reproduce", "abc")
    assert both.returncode == 2
    assert "leave USE_CASE and --as-of out" in both.stderr
    unknown = typed("train", "--reproduce", "abc")
    assert "there is no training run 'abc'" in unknown.stderr
    assert unknown.returncode == 5
    missing = typed("gate", "explain", "toy", "9")
    assert missing.returncode == 6
    assert "no training of toy on record made version 9" in missing.stderr
    assert "did you mean 'toy'" in typed("train", "tyo").stderr
