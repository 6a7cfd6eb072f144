"""Challengers that must not stay: their trials end by themselves, and the ledger says why."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import cast

from benchmarks.chaos.fault import Fault, Report, Size
from benchmarks.chaos.faulty_service import FAULTY, SERVICE
from benchmarks.chaos.models import WRONG_SKEW, register_model
from benchmarks.chaos.service import Service, wait_for
from benchmarks.chaos.stand import Stand
from benchmarks.serving.world import USE_CASE

from evergreen.loop.trial import read_trial_report, start_declared_trial
from evergreen.registry import ledger
from evergreen.store.connection.database import get_engine
from evergreen.usecase import TrialMode

_MOST_SECONDS = 30.0
# What the ledger's reason must say of each.
_REASONS = {
    "wrong": "distance of its predictions",
    "slow": "its predictions take",
    "hang": "",
    "raise": "it failed on",
}
_SHARE = 0.5


def try_challenger(stand: Stand, size: Size, report: Report, fault: str) -> None:
    """A challenger that is verified like any other, and then is wrong, slow, or raises."""
    champion = stand.versions[0]
    stand.make_champion(champion)
    bad = register_model(stand.world, 5, WRONG_SKEW if fault == "wrong" else 1.0)
    more = {} if fault == "wrong" else {FAULTY: f"{bad}:{fault}"}
    with stand.run_service(f"challenger-{fault}", service=SERVICE, more=more) as service:
        service.await_version(champion)
        with stand.run_load(service, rate=size.rate) as load:
            for mode in size.trial_modes:
                _try_mode(stand, service, report, bad, cast("TrialMode", mode), _REASONS[fault])
            service.await_rows(10)
        report.failed += load.failed
        stand.reconcile(report, load.ids)
        after = [answer["model_version"] for answer in load.answers[-10:]]
        report.require(
            "answered_by_after", sorted(set(after)), f"v{champion} alone", set(after) == {champion}
        )
    report.judge_counts()


def _try_mode(
    stand: Stand, service: Service, report: Report, version: int, mode: TrialMode, reason: str
) -> None:
    settings = stand.world.settings
    trial = start_declared_trial(
        settings, USE_CASE, version, mode=mode, share=_SHARE, duration=timedelta(hours=1), actor="chaos"
    )

    def read() -> ledger.Entry | None:
        entries = ledger.read_entries(get_engine(settings), USE_CASE)
        ends = [entry for entry in entries if entry.action == "end_trial" and entry.at >= trial.started_at]
        return ends[0] if ends else None

    try:
        seconds = wait_for(lambda: read() is not None, "the end of the trial", 2 * _MOST_SECONDS)
    finally:
        report.facts[f"{mode}_rows"] = (service.read_metadata().get("trial") or {}).get("rows")
    line = read()
    assert line is not None
    ended = read_trial_report(settings, USE_CASE).trial
    report.require_at_most(f"{mode}_seconds", round(seconds, 1), _MOST_SECONDS)
    outcome = ended.outcome if ended else None
    report.require(f"{mode}_outcome", outcome, "failed", outcome == "failed")
    report.require(f"{mode}_ledger", line.reason, f"... {reason} ...", reason in line.reason)
    report.require(f"{mode}_actor", line.actor, "service", line.actor == "service")
    wait_for(lambda: service.read_metadata().get("trial") is None, "the worker's end of the trial")


FAULTS = tuple(
    Fault(
        f"challenger_{name}",
        f"a challenger that {what}: the trial ends by itself in {_MOST_SECONDS:.0f} s, the ledger says why",
        partial(try_challenger, fault=fault),
    )
    for name, what, fault in (
        ("wrong", "predicts something else", "wrong"),
        ("slow", "takes long", "slow"),
        ("hangs", "never answers", "hang"),
        ("raises", "raises", "raise"),
    )
)
