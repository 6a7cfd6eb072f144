"""How a training's version ends: promoted, rejected, denied, or waiting for an answer or for its trial."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from evergreen.model.judging.verdict import Verdict
from evergreen.registry import ledger, versions
from evergreen.registry.champion import read_champion
from evergreen.registry.champion_history import find_last_change
from evergreen.registry.reconcile import reconcile_ledger_under_lock
from evergreen.registry.succession import aliases
from evergreen.registry.versions import PROMOTED_AT
from evergreen.settings import Settings
from evergreen.store.records.checks.drift import find_report
from evergreen.store.records.model_trial import find_last_trial
from evergreen.store.records.training_run import TrainingRun
from evergreen.usecase import WithoutVerdict

# Who stands in the ledger for what the gate decided alone.
GATE_ACTOR = "gate"
# Who stands there for a candidate whose trial did not pass.
_TRIAL_ACTOR = "trial"
# Tags of a version: how its training ended, and why. MLflow's tags hold 5,000 characters.
_OUTCOME_TAG = "evergreen.outcome"
_REASON_TAG = "evergreen.outcome_because"
_TAG_LENGTH = 4000

Outcome = Literal["promoted", "rejected", "denied", "waiting"]


@dataclass(frozen=True)
class Candidate:
    """A registered version with the gate's verdict on it, and the training that made it.

    `champion_version` was champion when the candidate was evaluated. The verdict has no champion where that
    one could not be compared, for example because it does not fit the declaration any more. `cause` is what
    led to the training, "" for a person, and `as_of` (aware UTC) the moment that it worked as of.
    """

    use_case_name: str
    version: int
    training_run_id: str
    mlflow_run_id: str | None
    champion_version: int | None
    verdict: Verdict
    cause: str = ""
    as_of: datetime | None = None

    @classmethod
    def from_run(cls, run: TrainingRun) -> Candidate:
        """The candidate of a training run that has been judged and registered."""
        assert run.model_version is not None
        assert run.metrics is not None
        assert run.verdict is not None
        return cls(
            use_case_name=run.use_case,
            version=run.model_version,
            training_run_id=run.id,
            mlflow_run_id=run.mlflow_run_id,
            champion_version=run.champion_version,
            verdict=Verdict.from_json(run.verdict),
            cause="" if run.is_by_hand else f"{run.trigger_name}: {run.reason}",
            as_of=run.as_of,
        )

    def explain(self, reason: str) -> str:
        """A reason for the ledger, with what led to the training."""
        return f"{reason} (trained because of {self.cause})" if self.cause else reason


@dataclass(frozen=True)
class Settlement:
    """How a training ended and why. `outcome` is also its status; "waiting" is for a person's answer, or with
    `on_trial` for the end of a trial."""

    outcome: Outcome
    reason: str
    on_trial: bool = False


@dataclass(frozen=True)
class TrialFinding:
    """How the candidate's quality in its trial compares with the champion's, in words, and whether outcomes
    show that it is worse."""

    sentence: str
    is_worse: bool


def name_challenger(settings: Settings, use_case_name: str, version: int) -> None:
    """Point the alias `challenger` at a version that passed the gate, until its training ends."""
    aliases.set_challenger(settings, use_case_name, version)


def record_answer(
    database: sa.Engine, candidate: Candidate, *, approved: bool, actor: str, reason: str
) -> ledger.Entry:
    """Write a person's answer to a candidate into the ledger; return the line. The first answer stands."""
    answer = _find_answer(database, candidate)
    if answer is not None:
        return answer
    return _append_entry(database, candidate, "approve" if approved else "deny", actor=actor, reason=reason)


def settle_candidate(
    settings: Settings,
    database: sa.Engine,
    candidate: Candidate,
    *,
    needs_approval: bool,
    needs_trial: bool = False,
    without_verdict: WithoutVerdict = "promote",
    finding: TrialFinding | None = None,
) -> Settlement:
    """Promote or reject the candidate, in the ledger and in MLflow, or leave it waiting for an answer.

    A verdict only holds against the champion of the evaluation. If another version is champion by now, the
    candidate is rejected, unless it was champion in between. With `needs_approval` a candidate that passed
    waits until `record_answer` has written a person's answer. With `needs_trial` it then waits for the end of
    a trial beside the champion, and is rejected unless that passed; where nobody is champion there is nothing
    to try it beside. After a trial that saw too little for a verdict, the gate's verdict counts, or with
    `without_verdict` "reject" it is rejected. A candidate that is worse by the `finding` of its trial is
    rejected, too; otherwise the finding stands beside the reason. The outcome becomes tags of the version.
    Raises RegistryUnreachable, RegistryError, StoreUnreachable.
    """
    settlement = _decide(
        settings,
        database,
        candidate,
        needs_approval=needs_approval,
        needs_trial=needs_trial,
        without_verdict=without_verdict,
        finding=finding,
    )
    versions.tag_version(
        settings,
        candidate.use_case_name,
        candidate.version,
        {_OUTCOME_TAG: settlement.outcome, _REASON_TAG: settlement.reason[:_TAG_LENGTH]},
    )
    if settlement.outcome != "waiting":
        aliases.remove_challenger(settings, candidate.use_case_name, candidate.version)
    return settlement


def read_settlement(database: sa.Engine, candidate: Candidate, status: str) -> Settlement:
    """How a finished training ended, from its status and the ledger. Changes nothing and needs no lock.

    The reason is empty where the ledger has no such line.
    """
    if status == "denied":
        answer = _find_answer(database, candidate)
        return _build_denial(answer) if answer else Settlement("denied", "")
    if status == "promoted":
        return Settlement("promoted", _read_reason(database, candidate, "promote"))
    assert status == "rejected", status
    return Settlement("rejected", _read_reason(database, candidate, "reject"))


def _decide(
    settings: Settings,
    database: sa.Engine,
    candidate: Candidate,
    *,
    needs_approval: bool,
    needs_trial: bool,
    without_verdict: WithoutVerdict,
    finding: TrialFinding | None,
) -> Settlement:
    use_case_name, verdict = candidate.use_case_name, candidate.verdict
    reconcile_ledger_under_lock(settings, database, use_case_name)
    champion = read_champion(settings, use_case_name)
    champion_version = champion.version if champion else None
    verdict_holds = champion_version in (candidate.champion_version, candidate.version)
    if not verdict_holds:
        registered = versions.read_version(settings, use_case_name, candidate.version)
        if PROMOTED_AT in registered.tags:  # it was champion, and another version followed it
            return Settlement("promoted", _read_reason(database, candidate, "promote"))
    if not verdict.passed or not verdict_holds:
        reason = (
            _describe_overtaken(candidate.champion_version, champion_version)
            if verdict.passed
            else verdict.summary
        )
        reason = candidate.explain(reason)
        _append_entry(database, candidate, "reject", actor=GATE_ACTOR, reason=reason)
        return Settlement("rejected", reason)
    actor = GATE_ACTOR
    if needs_approval:
        answer = _find_answer(database, candidate)
        if answer is None:
            return Settlement("waiting", f"{verdict.summary}; waiting for somebody's approval")
        if answer.action == "deny":
            return _build_denial(answer)
        actor = answer.actor
    reason = candidate.explain(verdict.summary)
    if needs_trial and champion_version not in (None, candidate.version):
        unfit, warning = _judge_trial(database, candidate, without_verdict, finding)
        if unfit is not None:
            return unfit
        reason = f"{reason}; in its trial: {finding.sentence}" if finding else reason
        reason = f"{reason}; WARNING: {warning}" if warning else reason
    entry = _append_entry(database, candidate, "promote", actor=actor, reason=reason)
    # If a later change is in the ledger, an earlier call has promoted it and it was rolled back: that stands.
    if entry == find_last_change(database, use_case_name):
        aliases.set_champion(settings, use_case_name, candidate.version, entry.at)
    return Settlement("promoted", entry.reason)


def _judge_trial(
    database: sa.Engine,
    candidate: Candidate,
    without_verdict: WithoutVerdict,
    finding: TrialFinding | None,
) -> tuple[Settlement | None, str]:
    """That the candidate waits for its trial, or is rejected after it; None where it may be promoted, with
    what people should know then."""
    trial = find_last_trial(
        database, candidate.use_case_name, candidate.version, candidate.mlflow_run_id or ""
    )
    if trial is None or trial.is_running:
        reason = f"{candidate.verdict.summary}; waiting for the end of its trial"
        return Settlement("waiting", reason, on_trial=True), ""
    if finding is not None and finding.is_worse and trial.outcome in ("passed", "no_verdict"):
        reason = f"its trial shows that it is worse than its champion: {finding.sentence}"
        _append_entry(database, candidate, "reject", actor=_TRIAL_ACTOR, reason=reason)
        return Settlement("rejected", reason), ""
    if trial.outcome == "passed":
        return None, ""
    if trial.outcome == "no_verdict" and without_verdict == "promote":
        return None, f"its trial ended without a verdict, so that of the gate counts: {trial.reason}"
    outcome = str(trial.outcome).replace("_", " ")
    reason = candidate.explain(f"its trial ended, {outcome}: {trial.reason}")
    _append_entry(database, candidate, "reject", actor=_TRIAL_ACTOR, reason=reason)
    return Settlement("rejected", reason), ""


def _append_entry(
    database: sa.Engine, candidate: Candidate, action: ledger.Action, *, actor: str, reason: str
) -> ledger.Entry:
    return ledger.append_entry(
        database,
        use_case_name=candidate.use_case_name,
        action=action,
        from_version=candidate.champion_version,
        to_version=candidate.version,
        training_run_id=candidate.training_run_id,
        mlflow_run_id=candidate.mlflow_run_id,
        actor=actor,
        reason=reason + _describe_check(database, candidate),
        verdict=candidate.verdict,
    )


def _describe_check(database: sa.Engine, candidate: Candidate) -> str:
    """How to see the check that the training began with, as the end of a reason; "" where none began it."""
    if not candidate.cause or candidate.as_of is None:
        return ""
    if find_report(database, candidate.use_case_name, candidate.as_of) is None:
        return ""
    return f"; its check: evergreen report {candidate.use_case_name} --as-of {candidate.as_of.isoformat()}"


def _find_answer(database: sa.Engine, candidate: Candidate) -> ledger.Entry | None:
    """The line with a person's answer to this candidate, if there is one."""
    return _find_entry(database, candidate, "approve") or _find_entry(database, candidate, "deny")


def _read_reason(database: sa.Engine, candidate: Candidate, action: ledger.Action) -> str:
    entry = _find_entry(database, candidate, action)
    return entry.reason if entry else ""


def _find_entry(database: sa.Engine, candidate: Candidate, action: ledger.Action) -> ledger.Entry | None:
    return ledger.find_entry(
        database,
        candidate.use_case_name,
        action,
        training_run_id=candidate.training_run_id,
        mlflow_run_id=candidate.mlflow_run_id,
    )


def _build_denial(answer: ledger.Entry) -> Settlement:
    return Settlement("denied", f"denied by {answer.actor}: {answer.reason}")


def _describe_overtaken(compared_version: int | None, champion_version: int | None) -> str:
    rival = f"champion v{compared_version}" if compared_version else "the baseline"
    event = f"v{champion_version} became champion" if champion_version else "the champion was removed"
    return f"rejected: it was compared with {rival}, and meanwhile {event}; train again as of a later moment"
