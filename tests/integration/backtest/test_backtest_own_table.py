"""Backtests of tables that `evergreen new` has declared, as their owner types the commands."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from support.command_line import CommandLine, Done, environment
from support.whole_database import read_everything

DAYS, ROWS_A_DAY, CHANGE = 40, 9, 22
TARGETS = ("returned", "days_to_pay")
# Few checks and few trees: what a policy decides is tested elsewhere.
CHOICES = ("--every", "4d", "--policy", "declared", "--beside", "never,8d,daily")
QUICK = ("--parameters", "depth=3,learning_rate=0.3")

Typed = Callable[..., Done]


def build_orders(target: str) -> pd.DataFrame:
    """40 days of a shop's orders; on day 22 the meaning of `visits` turns round."""
    rng = np.random.default_rng(5)
    count = DAYS * ROWS_A_DAY
    number = np.arange(count)
    visits = rng.poisson(4.0, count)
    turned = np.where(number < CHANGE * ROWS_A_DAY, 1.0, -1.0)
    score = turned * (visits - 4) + rng.normal(0.0, 0.6, count)
    moments = pd.Timestamp("2026-01-01") + pd.to_timedelta(number / ROWS_A_DAY, unit="D")
    values = {"returned": np.where(score > 0, "yes", "no"), "days_to_pay": (20 + 4 * score).round(1)}
    return pd.DataFrame(
        {
            "order_id": number + 1,
            "ordered_at": moments.strftime("%Y-%m-%d %H:%M:%S"),
            "amount": rng.gamma(2.0, 20.0, count).round(2),
            "visits": visits,
            "way": rng.choice(np.array(["web", "shop", "phone"], dtype=object), count),
            target: values[target],
        }
    )


@pytest.fixture
def typed(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    settings.home.mkdir()
    line = CommandLine(monkeypatch, capsys)
    given = {**environment(settings), "EVERGREEN_THREADS": "1"}
    return lambda *arguments: line.run(*arguments, home=settings.home, **given)


def declare(typed: Typed, home: Path, name: str, rows: pd.DataFrame, *options: str) -> None:
    """Declare a use case for a table, and ingest it."""
    rows.to_csv(home / f"{name}.csv", index=False)
    target = str(rows.columns[-1])
    command = ("new", name, "--from", str(home / f"{name}.csv"), "--key", "order_id", "--target", target)
    for done in (typed(*command, *options), typed("run", "ingest", name)):
        assert done.returncode == 0, done.stderr


def backtest(typed: Typed, *options: str) -> dict[str, Any]:
    done = typed("backtest", *options, *QUICK, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize("target", TARGETS)
def test_a_new_use_case_is_replayed_and_nothing_but_the_home_is_written(
    settings: Settings, typed: Typed, target: str
) -> None:
    declare(typed, settings.home, "orders", build_orders(target), "--time", "ordered_at")
    before = read_everything(get_engine(settings))
    facts = backtest(typed, "orders", *CHOICES)
    assert read_everything(get_engine(settings)) == before
    assert before["ledger"] == []
    assert not (settings.home.parent / "mlflow.db").exists()

    is_number = target == "days_to_pay"
    assert facts["problem"] == ("regression" if is_number else "binary")
    assert (facts["metric"], facts["less_is_better"]) == (("rmse", True) if is_number else ("roc_auc", False))
    assert facts["clock"] == "event"
    policies = {policy["name"]: policy for policy in facts["policies"]}
    assert [(name, policy["kind"]) for name, policy in policies.items()] == [
        *(("declared", "declared"), ("never", "never"), ("8d", "fixed"), ("daily", "daily")),
    ]
    for policy in policies.values():
        assert math.isfinite(policy["value"])
        assert policy["value"] == policy["metrics"][facts["metric"]]
        assert len(policy["decisions"]) == facts["checks"]
        assert all(
            each["reason"].startswith("yes, because " if each["retrain"] else "no, because ")
            for each in policy["decisions"]
        )
        assert sum(each["retrain"] for each in policy["decisions"]) >= policy["retrains"]
    never, daily = policies["never"], policies["daily"]
    assert (never["retrains"], never["gain"], daily["gain"]) == (0, 0.0, 1.0)
    assert math.copysign(1.0, never["gain"]) == 1.0, "a gain of 0 has no sign"
    assert 0 < policies["8d"]["retrains"] < daily["retrains"]
    worse = max if is_number else min
    assert worse(policy["value"] for policy in policies.values()) == never["value"]
    # Retraining pays here, so a policy that does so is to be declared.
    advice = facts["recommendation"]
    assert advice["policy"] in policies.keys() - {"never"}
    assert advice["declaration"] == policies[advice["policy"]]["declaration"]
    assert advice["declaration"].startswith("retrain=RetrainPolicy(")
    assert advice["reason"].startswith(f"{facts['metric']} {policies[advice['policy']]['value']:.4f} with ")

    again = typed("backtest", "orders", *CHOICES, *QUICK)
    assert again.returncode == 0, again.stderr
    assert f"{facts['fits']} different training sets fitted ({facts['fits']} of them found" in again.stdout
    for title in ("as declared", "never retrain", "retrain every 8d", "retrain at every check (4d)"):
        assert f"\n{title} " in again.stdout
    assert f"\nDeclare {advice['policy']}: {advice['reason']}." in again.stdout
    assert f"    {advice['declaration']}\n" in again.stdout
    assert "-0%" not in again.stdout
    assert again.stderr == "", "a progress bar is for terminals"


def test_what_cannot_be_replayed_is_said(settings: Settings, typed: Typed) -> None:
    rows = build_orders("returned")
    home, timed = settings.home, ("--time", "ordered_at")
    declare(typed, home, "timeless", rows.drop(columns="ordered_at"))
    declare(typed, home, "few", rows.head(30), *timed)
    without_days = rows[(rows["ordered_at"] < "2026-01-20") | (rows["ordered_at"] > "2026-02-02")]
    declare(typed, home, "gap", without_days, *timed)

    for options, code, message, hint in (
        (("timeless",), 2, "the label of timeless has no event time", "declare event_time"),
        (("few",), 6, "few has 10 labelled rows, and the first model takes 50", "ingest more history"),
        (
            *(("gap", "--from", "2026-02-03", "--to", "2026-01-20"), 2),
            *("would begin on 2026-02-03 and end on 2026-01-20", "let --from be the earlier date"),
        ),
        (
            *(("gap", "--from", "2026-01-22", "--to", "2026-01-30"), 5),
            *("no labelled row between 2026-01-22 and 2026-01-30", "choose dates within that time"),
        ),
        (
            *(("gap", "--from", "2026-01-02", "--to", "2026-01-30"), 6),
            *("as of 2026-01-02 gap has 10 labelled rows", "begin later: on 2026-01-07"),
        ),
    ):
        done = typed("backtest", *options)
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        error, advice = done.stderr.splitlines()
        assert error.startswith("Error: ")
        assert message in error
        assert advice.startswith(f"Hint: {hint}")

    facts = backtest(
        typed, "gap", "--from", "2026-01-16", "--to", "2026-02-08", "--every", "3d", "--beside", "never"
    )
    assert facts["notes"][-1].startswith("No row lies between 2026-01-19 21:20 UTC and 2026-02-02")
    assert 0 in facts["period_rows"]
    silent = facts["policies"][0]["curve"][facts["period_rows"].index(0)]
    assert silent is None
